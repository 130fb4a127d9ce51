import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { Endpoint } from '../listeners/dsn.ts'
import { type BrokerFigures, brokerReadings } from './broker-readings.ts'
import { exposition } from './exposition.ts'
import { processReadings } from './process.ts'

/** Whoever asks is this machine's own Prometheus: nobody needs more connections, or longer. */
const maxConnections = 16
const requestMs = 5000

/** `GET /metrics` of a broker, on an address that only this machine can reach. */
export class MetricsDoor {
  readonly #endpoint: Endpoint
  readonly #server: Server

  constructor(endpoint: Endpoint, figures: () => BrokerFigures) {
    this.#endpoint = endpoint
    this.#server = createServer(
      { requestTimeout: requestMs, headersTimeout: requestMs },
      (request, response) => {
        if (request.url?.split('?')[0] !== '/metrics') return void response.writeHead(404).end()
        if (request.method !== 'GET' && request.method !== 'HEAD') {
          response.writeHead(405, { allow: 'GET, HEAD' }).end()
          return
        }
        exposition([[...processReadings('broker'), ...brokerReadings(figures())]]).then(
          ({ contentType, text }) => response.writeHead(200, { 'content-type': contentType }).end(text),
          () => response.writeHead(500).end(),
        )
      },
    )
    this.#server.maxConnections = maxConnections
  }

  /** Where it is, with the port that the system chose; undefined before it has started. */
  get url(): string | undefined {
    const address = this.#server.address()
    if (typeof address !== 'object' || address === null) return undefined
    const { host } = this.#endpoint
    return `http://${host.includes(':') ? `[${host}]` : host}:${address.port}/metrics`
  }

  async start(): Promise<void> {
    const { host, port } = this.#endpoint
    this.#server.listen({ host, port })
    try {
      await once(this.#server, 'listening')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(
        `metrics cannot use http://${host}:${port}: ${reason}. Set metrics (POSTERN_METRICS) to another address.`,
      )
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise(resolve => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }
}

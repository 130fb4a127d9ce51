import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { PosternError } from '../protocol/index.ts'
import { type Endpoint, endpointAddress } from './dsn.ts'
import { TcpConnection } from './tcp-connection.ts'
import type { TcpLimits } from './tcp-limits.ts'
import type { ConnectionParts } from './tcp-parts.ts'

/** Connections that have not said anything: of more than these the oldest has to go. */
const maxSilent = 128

/** A connection that has been quiet for so long is asked by the system whether anybody is there. */
const keepAliveMs = 60_000

/** What has been sent when the broker stops is taken for so long, or until nothing has come for a while. */
const drainMs = 300
const drainIdleMs = 50

export interface TcpOptions extends Omit<ConnectionParts, 'account' | 'onLoggedIn' | 'onClosed'> {
  readonly endpoint: Endpoint
  readonly limits: TcpLimits
}

/** The TCP door: JSON objects in, JSON objects out, for the clients of PHPMessageBroker and for everybody. */
export class TcpListener {
  readonly #options: TcpOptions
  readonly #connections = new Set<TcpConnection>()
  readonly #silent = new Set<TcpConnection>()
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, socket => this.#accept(socket))
  #arrivals = 0
  #isStopping = false

  constructor(options: TcpOptions) {
    this.#options = options
  }

  /** @returns where it listens, with the port that the system chose. */
  async start(): Promise<Endpoint> {
    const { endpoint, logger } = this.#options
    this.#server.listen({ port: endpoint.port, ...(endpoint.host !== '*' && { host: endpoint.host }) })
    try {
      await once(this.#server, 'listening')
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new Error(
        `tcp cannot use ${endpointAddress(endpoint)}: ${reason}. Set tcp (POSTERN_TCP) to another address.`,
      )
    }
    this.#server.on('error', error => logger.limited('accept-failed', { reason: error.message }))
    const address = this.#server.address()
    return {
      host: endpoint.host,
      port: typeof address === 'object' && address ? address.port : endpoint.port,
    }
  }

  get connections(): number {
    return this.#connections.size
  }

  /** Lets those go who are no longer among the users. */
  recheck(): void {
    for (const connection of this.#connections) connection.recheck()
  }

  /** Takes what is under way, and resets every connection. What is not acknowledged by then goes back. */
  async stop(): Promise<void> {
    if (this.#isStopping) return
    this.#isStopping = true
    this.#server.close()
    for (const connection of this.#connections) connection.stopReceiving()
    for (
      let waitedMs = 0, isIdle = this.#connections.size === 0;
      waitedMs < drainMs && !isIdle;
      waitedMs += drainIdleMs
    ) {
      const before = this.#arrivals
      await delay(drainIdleMs)
      isIdle = this.#arrivals === before && ![...this.#connections].some(({ isBusy }) => isBusy)
    }
    for (const connection of this.#connections) connection.reset()
  }

  #accept(socket: Socket): void {
    socket.setKeepAlive(true, keepAliveMs)
    const { limits } = this.#options
    if (this.#isStopping) return void socket.resetAndDestroy()
    const account = limits.open(socket.remoteAddress ?? '', this.#connections.size)
    if (account instanceof PosternError) {
      socket.resetAndDestroy()
      this.#tellFull(account)
      return
    }
    socket.on('data', () => this.#arrivals++)
    const connection = new TcpConnection(socket, {
      ...this.#options,
      account,
      onLoggedIn: () => this.#silent.delete(connection),
      onClosed: () => {
        account.close()
        this.#silent.delete(connection)
        this.#connections.delete(connection)
      },
    })
    this.#connections.add(connection)
    this.#silent.add(connection)
    if (this.#silent.size > maxSilent) this.#dropSilent()
  }

  /** Threat: whoever opens connections and says nothing keeps others out. */
  #dropSilent(): void {
    for (const connection of this.#silent) {
      if (!connection.isSilent) continue
      this.#silent.delete(connection)
      return connection.reset()
    }
  }

  #tellFull(error: PosternError): void {
    const { logger, broker } = this.#options
    broker.refusals.add(error)
    const { limit, setting } = error.toBody()
    logger.limited('too-many-connections', { socket: 'tcp', limit, setting })
  }
}

import { seatAt } from './hub-port.ts'
import { type FromHub, isFromHub, type ToHub } from './hub-protocol.ts'
import { StreamHub } from './stream-hub.ts'
import { browserEffects } from './stream-source.ts'

/** Pages and workers of different versions must not meet: raised with every change of what they tell each other. */
const workerName = 'postern-stream-2'

/**
 * A page's end of the stream. The stream itself is in a worker that all pages of the browser share, or in the page
 * where the browser has no such workers.
 */
export class StreamClient {
  readonly #topic: string
  readonly #hear: (message: FromHub) => void
  #port: MessagePort

  constructor(topic: string, hear: (message: FromHub) => void) {
    this.#topic = topic
    this.#hear = hear
    this.#port = this.#openSharedPort() ?? openOwnPort()
    this.#listen()
    addEventListener('pagehide', () => this.#tell({ kind: 'leave' }))
    // A page that the browser kept whole, and shows again.
    addEventListener('pageshow', event => {
      if (event.persisted) this.#join()
    })
    addEventListener('online', () => this.#tell({ kind: 'network', online: true }))
    addEventListener('offline', () => this.#tell({ kind: 'network', online: false }))
  }

  /** Takes part again, after a refusal. */
  rejoin(): void {
    this.#join()
  }

  /** Connects at once, from where the stream was. */
  reconnect(): void {
    this.#tell({ kind: 'reconnect' })
  }

  #openSharedPort(): MessagePort | undefined {
    if (typeof SharedWorker !== 'function') return undefined
    const worker = new SharedWorker('/site/stream-worker.ts', { type: 'module', name: workerName })
    worker.addEventListener('error', () => {
      this.#port = openOwnPort()
      this.#listen()
    })
    return worker.port
  }

  #listen(): void {
    const port = this.#port
    port.addEventListener('message', event => {
      const message: unknown = event.data
      if (port !== this.#port || !isFromHub(message)) return
      if (message.kind === 'ping') this.#tell({ kind: 'pong' })
      else if (message.kind === 'dropped') this.#join()
      else this.#hear(message)
    })
    port.start()
    this.#join()
  }

  #join(): void {
    this.#tell({ kind: 'join', topic: this.#topic, online: navigator.onLine })
  }

  #tell(message: ToHub): void {
    this.#port.postMessage(message)
  }
}

function openOwnPort(): MessagePort {
  const { port1, port2 } = new MessageChannel()
  seatAt(new StreamHub(browserEffects()), port2)
  return port1
}

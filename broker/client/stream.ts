import { Subscriber } from 'zeromq'
import { type Batch, decodeBatch } from '../protocol/index.ts'

/**
 * ZMQ_RCVHWM, in batches of up to 64 KiB: what a busy process has not read yet. What the broker then drops is
 * repaired.
 */
const receiveHighWaterMark = 64

/** ZMQ_MAXMSGSIZE: twice the largest payload that a broker can be set to pass on. */
const maxMessageSize = 128 * 1024 * 1024

const heartbeat = { heartbeatInterval: 10_000, heartbeatTimeout: 30_000 }
const reconnect = { reconnectInterval: 100, reconnectMaxInterval: 1000 }

/** The subscription to the broker's stream: the whole log, as far as it is not dropped on the way. */
export class Stream {
  readonly #socket: Subscriber
  readonly #onBatches: (batches: readonly Batch[]) => void
  #addresses: readonly string[] = []
  #gathered: Batch[] = []

  /** @param onBatches called once a turn of the event loop with all that came in it, so that it goes on together. */
  constructor(onBatches: (batches: readonly Batch[]) => void) {
    this.#onBatches = onBatches
    this.#socket = new Subscriber({
      linger: 0,
      receiveHighWaterMark,
      maxMessageSize,
      ...heartbeat,
      ...reconnect,
    })
    this.#socket.subscribe()
    void this.#receive()
  }

  /** Listens at these addresses, and no longer at others. */
  connect(addresses: readonly string[]): void {
    for (const address of this.#addresses) if (!addresses.includes(address)) this.#socket.disconnect(address)
    for (const address of addresses) if (!this.#addresses.includes(address)) this.#socket.connect(address)
    this.#addresses = addresses
  }

  close(): void {
    this.#socket.close()
  }

  async #receive(): Promise<void> {
    while (!this.#socket.closed) {
      let frame: Uint8Array | undefined
      try {
        ;[frame] = await this.#socket.receive()
      } catch {
        if (this.#socket.closed) return
      }
      const batch = frame && decodeBatch(frame)
      if (batch) this.#gather(batch)
    }
  }

  #gather(batch: Batch): void {
    this.#gathered.push(batch)
    if (this.#gathered.length > 1) return
    setImmediate(() => {
      const gathered = this.#gathered
      this.#gathered = []
      this.#onBatches(gathered)
    })
  }
}

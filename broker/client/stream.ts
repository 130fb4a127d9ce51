import { Subscriber } from 'zeromq'
import { type Batch, decodeBatch, sharedBufferBytes } from '../protocol/index.ts'
import { type CurveKeys, curveOptions } from './curve.ts'
import { retryRefused } from './refusals.ts'

/**
 * ZMQ_RCVHWM, in batches of up to 64 KiB: what a busy process has not read yet. What the broker then drops is
 * repaired.
 */
const receiveHighWaterMark = 64

/** ZMQ_MAXMSGSIZE: twice the largest payload that a broker can be set to pass on. */
const maxMessageSize = 128 * 1024 * 1024

/**
 * ZMQ_TCP_KEEPALIVE: a broker whose machine is gone is noticed within half a minute, and the link notices it before.
 * Threat: at the mark above, libzmq 4.3.5 aborts the process when a heartbeat is due to a broker that has gone.
 */
const keepalive = {
  tcpKeepalive: 1,
  // In seconds.
  tcpKeepaliveIdle: 10,
  tcpKeepaliveInterval: 10,
  tcpKeepaliveCount: 2,
}
const reconnect = { reconnectInterval: 100, reconnectMaxInterval: 1000 }

/**
 * How long the next fan-out waits after the last one, as a share of what that one took, and at the most. A write to a
 * socket costs nearly the same for one message as for ten: with 16 publishers under way the wait halves the processor
 * time of each delivery. Whoever publishes less than the process can carry does not meet it, because it is over by then.
 */
const restShare = 0.5
const longestRestMs = 10

/** The subscription to the broker's stream: the whole log, as far as it is not dropped on the way. */
export class Stream {
  readonly #socket: Subscriber
  readonly #onBatches: (batches: readonly Batch[]) => void
  #addresses: readonly string[] = []
  #gathered: Batch[] = []
  /** The moment from which the next call may be made. */
  #restedMs = 0
  #restTimer: NodeJS.Timeout | undefined

  /**
   * @param onBatches called with all that came in a turn of the event loop, or in several while it rests from a call
   * that took long, so that it goes on together.
   */
  constructor(onBatches: (batches: readonly Batch[]) => void, curve?: CurveKeys) {
    this.#onBatches = onBatches
    this.#socket = new Subscriber({
      linger: 0,
      receiveHighWaterMark,
      maxMessageSize,
      ...keepalive,
      ...reconnect,
      ...curveOptions(curve),
    })
    retryRefused(this.#socket, { addresses: () => this.#addresses, curve })
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
    clearTimeout(this.#restTimer)
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
      const batch = frame && decodeBatch(frame.length < sharedBufferBytes ? Buffer.from(frame) : frame)
      if (batch) this.#gather(batch)
    }
  }

  #gather(batch: Batch): void {
    this.#gathered.push(batch)
    if (this.#gathered.length > 1) return
    const restMs = this.#restedMs - performance.now()
    // A timer cannot be shorter than this, and a short rest saves nothing that it would be worth.
    if (restMs >= 1) this.#restTimer = setTimeout(() => this.#passOn(), restMs)
    else setImmediate(() => this.#passOn())
  }

  #passOn(): void {
    if (this.#socket.closed) return
    const gathered = this.#gathered
    this.#gathered = []
    const beganMs = performance.now()
    this.#onBatches(gathered)
    const endedMs = performance.now()
    this.#restedMs = endedMs + Math.min(longestRestMs, restShare * (endedMs - beganMs))
  }
}

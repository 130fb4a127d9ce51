import { Push } from 'zeromq'
import { BatchWriter, noEpoch, type Publication, parsePublicTopic, parseType } from '../protocol/index.ts'
import { parseBrokerAddress } from './address.ts'
import { type CurveKeys, curveOptions } from './curve.ts'
import { retryRefused } from './refusals.ts'

/** Where a broker's ingest socket listens by default. */
export const defaultIngest = 'tcp://127.0.0.1:5000'

const defaultSendHighWaterMark = 8

/** ZMQ_LINGER: how long `close()` waits for what the broker has not taken yet. */
const lingerMs = 1000

const encoder = new TextEncoder()

interface Taken {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export interface SenderOptions {
  /** The broker's ingest socket. Default `tcp://127.0.0.1:5000`. */
  readonly ingest?: string
  /** For a broker that asks for keys. Default: the connection is not encrypted. */
  readonly curve?: CurveKeys
  /**
   * Called, about once a second, while the broker refuses the connection for its keys, or for having none. What was
   * sent before may be lost.
   */
  readonly onRefused?: (reason: string) => void
  /**
   * ZMQ_SNDHWM: batches that may wait for a broker that is busy or away; then `send()` waits. Default 8: what waits in
   * a short queue is still in the processor's cache when it is sent, which doubles what goes through.
   */
  readonly sendHighWaterMark?: number
}

export interface SendOptions {
  /** The name of the event on an event stream. Default: none. */
  readonly type?: string
}

/**
 * Publishes without receipts, as fast as the broker takes it: what is sent within one turn of the event loop travels
 * as one batch. A message may be lost with the connection; publish through `Relay` where that matters.
 *
 * On a durable topic its messages are kept for a `Receiver` like any other. Nobody is told when they are on disk, nor
 * when the topic keeps as much as it may or its store is away: the broker then drops, counts and logs them.
 *
 * @throws Error when the address is not `tcp://host:port`, or a key is none.
 */
export class Sender {
  readonly #socket: Push
  readonly #writer = new BatchWriter()
  #topic = ''
  /** What the senders of the batch that is being gathered wait for: one promise for all of them. */
  #taken: Taken | undefined
  #queue: Promise<void> = Promise.resolve()

  constructor({
    ingest = defaultIngest,
    sendHighWaterMark = defaultSendHighWaterMark,
    curve,
    onRefused,
  }: SenderOptions = {}) {
    const address = parseBrokerAddress(ingest)
    this.#socket = new Push({ linger: lingerMs, sendHighWaterMark, ...curveOptions(curve) })
    // Listening keeps a program running that has not closed its sender.
    if (curve || onRefused) retryRefused(this.#socket, { addresses: () => [address], curve, onRefused })
    this.#socket.connect(address)
  }

  /**
   * Sends a message. Text travels as UTF-8.
   *
   * @returns when ZeroMQ has taken it: in order, and waiting while its queue is full.
   * @throws PosternError `INVALID_TOPIC`, `RESERVED_TOPIC`, `INVALID_TYPE`.
   */
  send(topic: string, payload: string | Uint8Array, { type = '' }: SendOptions = {}): Promise<void> {
    try {
      // One topic often follows itself, and checking it costs more than the rest of sending.
      if (topic !== this.#topic) this.#turnTo(parsePublicTopic(topic))
      return this.#append({
        topic: this.#topic,
        type: parseType(type),
        binary: typeof payload !== 'string',
        payload: typeof payload === 'string' ? encoder.encode(payload) : payload,
      })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Hands over what has been sent, and closes. May be called twice. */
  async close(): Promise<void> {
    if (this.#socket.closed) return
    this.#flush()
    // A broker that is away takes nothing, and its queue may be full: then closing is what ends the wait.
    let timer: NodeJS.Timeout | undefined
    const linger = new Promise<void>(resolve => {
      timer = setTimeout(resolve, lingerMs)
    })
    await Promise.race([this.#queue, linger])
    clearTimeout(timer)
    this.#socket.close()
  }

  #turnTo(topic: string): void {
    this.#flush()
    this.#topic = topic
  }

  #append(publication: Publication): Promise<void> {
    if (this.#writer.isFullFor(publication)) this.#flush()
    this.#writer.add(publication)
    if (!this.#taken) {
      this.#taken = makeTaken()
      setImmediate(() => this.#flush())
    }
    return this.#taken.promise
  }

  #flush(): void {
    const taken = this.#taken
    if (!taken) return
    this.#taken = undefined
    const frames = [this.#topic, this.#writer.finish({ epoch: noEpoch, first: 0, timeMs: 0 }).bytes]
    // A socket takes one send at a time while its queue is full.
    this.#queue = this.#queue.then(() => this.#socket.send(frames)).then(taken.resolve, taken.reject)
  }
}

// Node 20, which this package is for too, has no `Promise.withResolvers`.
function makeTaken(): Taken {
  let resolve = () => {}
  let reject: Taken['reject'] = () => {}
  const promise = new Promise<void>((onTaken, onFailed) => {
    resolve = onTaken
    reject = onFailed
  })
  return { promise, resolve, reject }
}

import { Push } from 'zeromq'
import { BatchWriter, noEpoch, type Publication, parsePublicTopic, parseType } from '../protocol/index.ts'
import { parseBrokerAddress } from './address.ts'

/** Where a broker's ingest socket listens by default. */
export const defaultIngest = 'tcp://127.0.0.1:5000'

/** ZMQ_LINGER: how long `close()` waits for what the broker has not taken yet. */
const lingerMs = 1000

export interface SenderOptions {
  /** The broker's ingest socket. Default `tcp://127.0.0.1:5000`. */
  readonly ingest?: string
  /** ZMQ_SNDHWM: batches that may wait for a broker that is away; then `send()` waits. Default 1,000. */
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
 * @throws Error when the address is not `tcp://host:port`.
 */
export class Sender {
  readonly #socket: Push
  readonly #writer = new BatchWriter()
  #topic = ''
  #sent: { resolve: () => void; reject: (error: unknown) => void }[] = []
  #isDeferred = false
  #queue: Promise<void> = Promise.resolve()

  constructor({ ingest = defaultIngest, sendHighWaterMark = 1000 }: SenderOptions = {}) {
    this.#socket = new Push({ linger: lingerMs, sendHighWaterMark })
    this.#socket.connect(parseBrokerAddress(ingest))
  }

  /**
   * Sends a message. Text travels as UTF-8.
   *
   * @returns when ZeroMQ has taken it: in order, and waiting while its queue is full.
   * @throws PosternError `INVALID_TOPIC`, `RESERVED_TOPIC`, `INVALID_TYPE`.
   */
  send(topic: string, payload: string | Uint8Array, { type = '' }: SendOptions = {}): Promise<void> {
    let publication: Publication
    try {
      publication = {
        topic: parsePublicTopic(topic),
        type: parseType(type),
        binary: typeof payload !== 'string',
        payload: typeof payload === 'string' ? new TextEncoder().encode(payload) : payload,
      }
    } catch (error) {
      return Promise.reject(error)
    }
    if (publication.topic !== this.#topic || this.#writer.isFullFor(publication)) this.#flush()
    this.#topic = publication.topic
    // The topic stands once, in the frame before the batch.
    this.#writer.add({ ...publication, topic: '' })
    this.#defer()
    return new Promise((resolve, reject) => this.#sent.push({ resolve, reject }))
  }

  /** Hands over what has been sent, and closes. May be called twice. */
  async close(): Promise<void> {
    if (this.#socket.closed) return
    this.#flush()
    await this.#queue
    this.#socket.close()
  }

  #defer(): void {
    if (this.#isDeferred) return
    this.#isDeferred = true
    setImmediate(() => {
      this.#isDeferred = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#writer.count === 0) return
    const frames = [this.#topic, this.#writer.finish({ epoch: noEpoch, first: 0, timeMs: 0 })]
    const sent = this.#sent
    this.#sent = []
    // A socket takes one send at a time while its queue is full.
    this.#queue = this.#queue
      .then(() => this.#socket.send(frames))
      .then(
        () => {
          for (const { resolve } of sent) resolve()
        },
        (error: unknown) => {
          for (const { reject } of sent) reject(error)
        },
      )
  }
}

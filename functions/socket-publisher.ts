import type { Backbone, Receipt } from '#client'
import type { PublishLimits, Source } from '#limits'
import { describeError, type Logger } from '#logger'
import { codes, PosternError, type Refusals } from '#protocol'
import type { SocketOwner, WebSocketConnection } from './websocket.ts'
import { closeCodes, encodeTextFrame } from './websocket-frame.ts'

/** Where the messages of a connection go. */
export interface SocketPublisherOptions {
  readonly backbone: Backbone
  readonly log: Pick<Logger, 'error'>
  readonly refused: Refusals
  readonly limits: { readonly publishing: Pick<PublishLimits, 'take'> }
  /** The topic in the log. */
  readonly topic: string
  /** What the client calls it. */
  readonly publicTopic: string
  readonly type: string
  /** Each message is answered with its receipt or its error, in order. Otherwise an error closes the connection. */
  readonly answers: boolean
}

/** What may wait for receipts on one connection before nothing more is read from it: enough to keep the broker busy. */
const maxWaitingBytes = 256 * 1024
const maxWaitingMessages = 256

/** One publisher on a WebSocket. */
export class SocketPublisher implements SocketOwner {
  readonly #connection: WebSocketConnection
  readonly #source: Source
  readonly #options: SocketPublisherOptions
  #waitingMessages = 0
  #waitingBytes = 0
  /** The client does not read its answers. */
  #isFull = false
  #isPaused = false
  /** Resolves when everything that came before it has been answered. */
  #last: Promise<void> | undefined

  /** @param source whom the messages count for. */
  constructor(connection: WebSocketConnection, source: Source, options: SocketPublisherOptions) {
    this.#connection = connection
    this.#source = source
    this.#options = options
  }

  message(payload: Uint8Array, binary: boolean): void {
    const { backbone, limits, topic, type } = this.#options
    this.#waitingMessages++
    this.#waitingBytes += payload.length
    const refusal = limits.publishing.take(this.#source, payload.length)
    const outcome = refusal
      ? Promise.resolve(refusal)
      : backbone.publish({ topic, type, binary, payload }).catch((error: unknown) => this.#toError(error))
    this.#last = this.#settle(this.#last, outcome, payload.length)
    this.#adjust()
  }

  drained(): void {
    this.#isFull = false
    this.#adjust()
  }

  /** What has been read is published all the same. */
  gone(): void {}

  settled(): Promise<void> | undefined {
    return this.#waitingMessages > 0 ? this.#last : undefined
  }

  async #settle(
    previous: Promise<void> | undefined,
    outcome: Promise<Receipt | PosternError>,
    bytes: number,
  ): Promise<void> {
    await previous
    const answer = await outcome
    this.#waitingMessages--
    this.#waitingBytes -= bytes
    if (answer instanceof PosternError) this.#options.refused.add(answer)
    if (this.#options.answers) this.#answer(answer)
    else if (answer instanceof PosternError) this.#connection.close(closeCodeOf(answer), reasonOf(answer))
    this.#adjust()
  }

  #answer(answer: Receipt | PosternError): void {
    const body =
      answer instanceof PosternError
        ? { error: answer.toBody() }
        : { id: answer.id, topic: this.#options.publicTopic }
    if (!this.#connection.write(encodeTextFrame(JSON.stringify(body)))) this.#isFull = true
  }

  #adjust(): void {
    const mustWait =
      this.#isFull || this.#waitingBytes >= maxWaitingBytes || this.#waitingMessages >= maxWaitingMessages
    if (mustWait === this.#isPaused) return
    this.#isPaused = mustWait
    if (mustWait) this.#connection.pause()
    else this.#connection.resume()
  }

  #toError(error: unknown): PosternError {
    if (error instanceof PosternError) return error
    this.#options.log.error('publish failed', describeError(error))
    return new PosternError('INTERNAL')
  }
}

/** The code, and the limit that was the reason. */
function reasonOf({ code, setting }: PosternError): string {
  return code === 'RATE_LIMITED' ? `${code} ${setting}` : code
}

function closeCodeOf({ code }: PosternError): number {
  if (code === 'PAYLOAD_TOO_LARGE') return closeCodes.tooLarge
  return codes[code].temporary && code !== 'INTERNAL' ? closeCodes.tryAgainLater : closeCodes.internal
}

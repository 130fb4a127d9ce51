import * as v from 'valibot'
import type { Backbone, Delivered, ReceiveEnd, ReceiveSink, Receiving } from '#client'
import { describeError, type Logger } from '#logger'
import { PosternError, parseId, type Refusals } from '#protocol'
import { toReceived } from './envelope.ts'
import type { SocketOwner, WebSocketConnection } from './websocket.ts'
import { closeCodes, encodeTextFrame } from './websocket-frame.ts'

export interface SocketReceiverOptions {
  readonly backbone: Pick<Backbone, 'receive' | 'acknowledge'>
  readonly log: Pick<Logger, 'error'>
  readonly refused: Refusals
  /** A durable topic. */
  readonly topic: string
}

/** How many acknowledgements may wait for the broker before nothing more is read. */
const maxWaiting = 256

const command = v.object({
  ack: v.pipe(
    v.string(),
    v.check(id => parseId(id) !== undefined),
  ),
})

/**
 * One receiver on a WebSocket: each message comes with its id, is acknowledged by `{"ack": id}`, and that is confirmed
 * by `{"acknowledged": id}`. What waits is bounded by the broker's window.
 */
export class SocketReceiver implements SocketOwner, ReceiveSink {
  readonly #connection: WebSocketConnection
  readonly #options: SocketReceiverOptions
  readonly #receiving: Receiving
  /** What the client has not acknowledged, by id. */
  readonly #held = new Map<string, Delivered>()
  readonly #waiting = new Set<Promise<void>>()
  /** The client does not read its answers. */
  #isFull = false
  #isPaused = false

  constructor(connection: WebSocketConnection, options: SocketReceiverOptions) {
    this.#connection = connection
    this.#options = options
    this.#receiving = options.backbone.receive(options.topic, this)
  }

  deliver(delivered: Delivered): void {
    this.#held.set(delivered.message.id, delivered)
    const frame = encodeTextFrame(JSON.stringify(toReceived(delivered)))
    this.#fill(this.#connection.deliver(1, frame))
  }

  end(reason: ReceiveEnd, error?: PosternError): void {
    if (error) {
      this.#options.refused.add(error)
      this.#connection.close(closeCodes.refused, error.code)
    } else if (reason === 'slow') this.#connection.close(closeCodes.tryAgainLater, reason)
    else if (reason === 'failed') this.#connection.close(closeCodes.internal, reason)
    else this.#connection.shutDown()
  }

  message(payload: Uint8Array): void {
    const id = readAck(payload)
    if (id === undefined) {
      this.#refuse(
        new PosternError('INVALID_REQUEST', 'A receiver sends {"ack": "…"}, with the id of a message.'),
      )
    } else {
      const settled = this.#acknowledge(id).finally(() => {
        this.#waiting.delete(settled)
        this.#adjust()
      })
      this.#waiting.add(settled)
    }
    this.#adjust()
  }

  drained(): void {
    this.#isFull = false
    this.#adjust()
  }

  gone(): void {
    this.#held.clear()
    this.#receiving.close()
  }

  /** What was acknowledged before the close is confirmed before it is answered. */
  settled(): Promise<void> | undefined {
    if (this.#waiting.size === 0) return undefined
    return Promise.all(this.#waiting).then(() => {})
  }

  async #acknowledge(id: string): Promise<void> {
    const delivered = this.#held.get(id)
    this.#held.delete(id)
    try {
      if (delivered) await delivered.acknowledge()
      else await this.#acknowledgeEarlier(id)
      this.#say({ acknowledged: id })
    } catch (error) {
      this.#refuse(this.#toError(error), id)
    }
  }

  /** A message that an earlier connection has got. */
  async #acknowledgeEarlier(id: string): Promise<void> {
    const { backbone, topic } = this.#options
    const [unknown] = await backbone.acknowledge(topic, [id])
    if (unknown !== undefined) throw new PosternError('NOT_FOUND')
  }

  #refuse(error: PosternError, id?: string): void {
    this.#options.refused.add(error)
    this.#say({ error: error.toBody(), ...(id !== undefined && { id }) })
  }

  #say(told: object): void {
    this.#fill(this.#connection.write(encodeTextFrame(JSON.stringify(told))))
  }

  #fill(hasRoom: boolean): void {
    if (!hasRoom) this.#isFull = true
  }

  #adjust(): void {
    const mustWait = this.#isFull || this.#waiting.size >= maxWaiting
    if (mustWait === this.#isPaused) return
    this.#isPaused = mustWait
    if (mustWait) this.#connection.pause()
    else this.#connection.resume()
  }

  #toError(error: unknown): PosternError {
    if (error instanceof PosternError) return error
    this.#options.log.error('acknowledgement failed', describeError(error))
    return new PosternError('INTERNAL')
  }
}

function readAck(payload: Uint8Array): string | undefined {
  try {
    const told = v.safeParse(command, JSON.parse(Buffer.from(payload).toString()))
    return told.success ? told.output.ack : undefined
  } catch {
    return undefined
  }
}

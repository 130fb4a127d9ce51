import type { Backbone, EndReason, Sink, Start, Subscription } from '#client'
import type { Message, Position, Selection } from '#protocol'
import { encodeSocketGap, type SocketEncoder } from './socket-encoding.ts'
import type { Tally } from './tally.ts'
import type { SocketOwner, WebSocketConnection } from './websocket.ts'
import { closeCodes } from './websocket-frame.ts'

/** What a subscriber on a WebSocket gets. */
export interface SocketSubscriberOptions {
  readonly backbone: Backbone
  readonly tally: Tally
  /** Shared by all that get the same. */
  readonly encoder: SocketEncoder
  readonly selection: Selection
  readonly start: Start
  /** Messages of this type are its own, and left out. */
  readonly ownType?: string
}

/** One subscriber on a WebSocket: what comes from the log on one side, a connection on the other. */
export class SocketSubscriber implements Sink, SocketOwner {
  readonly #connection: WebSocketConnection
  readonly #encoder: SocketEncoder
  readonly #ownType: string | undefined
  readonly #tally: Tally
  readonly #subscription: Subscription
  #isFull = false

  constructor(connection: WebSocketConnection, options: SocketSubscriberOptions) {
    this.#connection = connection
    this.#encoder = options.encoder
    this.#ownType = options.ownType
    this.#tally = options.tally
    this.#subscription = options.backbone.subscribe(options.selection, options.start, this)
  }

  start(): void {}

  gap(position: Position): void {
    this.#tally.gaps++
    if (this.#encoder.format.envelope) this.#fill(this.#connection.write(encodeSocketGap(position)))
    // Bare payloads leave no other way to tell.
    else this.#connection.close(closeCodes.gap, 'gap')
  }

  deliver(messages: readonly Message[]): boolean {
    const frames = this.#encoder.encode(messages, this.#ownType)
    if (frames.length > 0) this.#fill(this.#connection.deliver(this.#countOf(messages), frames))
    return !this.#isFull
  }

  end(reason: EndReason): void {
    if (reason === 'shutdown') this.#connection.shutDown()
    else if (reason === 'slow') {
      this.#tally.slow++
      this.#connection.close(closeCodes.tryAgainLater, 'slow')
    } else this.#connection.close(closeCodes.internal, '')
  }

  drained(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.#subscription.resume()
  }

  gone(): void {
    this.#subscription.close()
  }

  /** Those that are not its own. */
  #countOf(messages: readonly Message[]): number {
    if (this.#ownType === undefined) return messages.length
    let count = 0
    for (const { type } of messages) if (type !== this.#ownType) count++
    return count
  }

  #fill(hasRoom: boolean): void {
    if (!hasRoom) this.#isFull = true
  }
}

import type { Backbone, EndReason, Sink, Start, Subscription } from '#client'
import type { Message, Position, Selection } from '#protocol'
import { comment, type EventEncoder, encodeGap, encodePlace, encodeRetry } from './event-encoding.ts'
import type { OpenStream, OpenStreams } from './open-streams.ts'
import type { Outlet, OutletOwner } from './outlet.ts'
import type { DoorTally, Tally } from './tally.ts'

export interface EventStreamOptions {
  readonly backbone: Backbone
  readonly streams: OpenStreams
  readonly encoder: EventEncoder
  /** How long the peer waits before it connects again. */
  readonly retryMs: number
  readonly random: () => number
  readonly tally: Tally
}

/**
 * Streams that end together come back over so long that each has this time to itself: 250 a second, which a tenth of a
 * processor carries. Measured, a stream that comes takes 0.33 ms of it in a process that has just started, then 0.14.
 */
const returnMs = 4

/** One subscriber on Server-Sent Events: what comes from the log on one side, a connection on the other. */
export class EventStream implements Sink, OutletOwner, OpenStream {
  readonly #options: EventStreamOptions
  readonly #outlet: Outlet
  readonly #door: DoorTally
  #subscription: Subscription | undefined
  #full = false
  #ended = false

  constructor(outlet: Outlet, options: EventStreamOptions) {
    this.#outlet = outlet
    this.#options = options
    this.#door = options.tally.door('event')
    this.#door.enter()
    outlet.write(encodeRetry(options.retryMs))
    options.streams.add(this)
  }

  subscribe(selection: Selection, start: Start): void {
    if (this.#ended) return
    this.#subscription = this.#options.backbone.subscribe(selection, start, this)
    // It may have ended while it began.
    if (this.#ended) this.#subscription.close()
  }

  start(position: Position): void {
    this.#write(encodePlace(position))
  }

  gap(position: Position): void {
    this.#options.tally.gaps++
    this.#write(encodeGap(position))
  }

  deliver(messages: readonly Message[]): boolean {
    const events = this.#options.encoder.encode(messages)
    if (!this.#ended) this.#door.send(messages.length, events.length)
    this.#write(events)
    return !this.#full
  }

  end(reason: EndReason): void {
    if (reason === 'slow') this.#options.tally.slow++
    if (reason === 'shutdown') this.shutDown()
    else this.#end()
  }

  beat(): void {
    // What is waiting already shows that the stream is alive, and a peer that does not read must cost nothing.
    if (this.#full) return
    const position = this.#subscription?.caughtUp ? this.#subscription.position : undefined
    this.#write(position ? encodePlace(position) : comment)
  }

  /** Asks the peer to come again after a while that differs from peer to peer: all at once would be a stampede. */
  shutDown(streams = 1): void {
    const { retryMs, random } = this.#options
    const spreadMs = Math.max(2 * retryMs, returnMs * streams)
    this.#write(encodeRetry(retryMs + spreadMs * random()))
    this.#end()
  }

  drained(): void {
    if (!this.#full) return
    this.#full = false
    this.#subscription?.resume()
  }

  gone(): void {
    if (!this.#ended) this.#door.leave()
    this.#ended = true
    this.#options.streams.remove(this)
    this.#subscription?.close()
  }

  #write(bytes: Uint8Array): void {
    if (!this.#ended && !this.#outlet.write(bytes)) this.#full = true
  }

  #end(): void {
    if (this.#ended) return
    this.gone()
    this.#outlet.end()
  }
}

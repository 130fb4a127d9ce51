import type { Backbone, EndReason, Sink, Start, Subscription } from '#client'
import type { Message, Position, PosternError, Rights, Selection } from '#protocol'
import {
  comment,
  type EventEncoder,
  encodeComment,
  encodeGap,
  encodePlace,
  encodeRetry,
} from './event-encoding.ts'
import type { OpenStream, OpenStreams } from './open-streams.ts'
import type { Outlet, OutletOwner } from './outlet.ts'
import type { Pass } from './pass.ts'
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
  #release: (() => void) | undefined
  #leave: (() => void) | undefined
  /** What came before the start is kept from it. */
  #isCut = false
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

  /** @param isCut what it has missed is kept from it, and it is told so. */
  subscribe(selection: Selection, start: Start, isCut = false): void {
    if (this.#ended) return
    this.#isCut = isCut
    this.#subscription = this.#options.backbone.subscribe(selection, start, this)
    // It may have ended while it began.
    if (this.#ended) this.#subscription.close()
  }

  /** @param leave is called when it is over. */
  hold(leave: (() => void) | undefined): void {
    if (this.#ended) leave?.()
    else this.#leave = leave
  }

  /** Goes on for as long as nothing speaks against it. */
  guard(pass: Pass, refusal: (rights: Rights) => PosternError | undefined): void {
    if (this.#ended || pass.rights.isOpen) return
    this.#release = pass.guard({ refusal, revoke: error => this.revoke(error) })
  }

  start(position: Position): void {
    if (this.#isCut) this.gap(position)
    else this.#write(encodePlace(position))
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

  /** Ends it, and says why. The peer comes again, as it does after any end, and is told the same as an answer. */
  revoke({ code, message }: PosternError): void {
    this.#write(encodeComment(`${code}: ${message}`))
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
    this.#release?.()
    this.#leave?.()
    this.#leave = undefined
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

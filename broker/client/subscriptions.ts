import {
  type Batch,
  type Message,
  type Position,
  PosternError,
  parseId,
  type Selection,
  type Tail,
} from '../protocol/index.ts'
import type { EndReason, Sink, Start, Subscription } from './backbone.ts'
import { Chunks } from './chunks.ts'
import { type Feed, FeedTable } from './feed.ts'

/** The past of some topics, as the broker gives it. */
export interface PastPage {
  readonly gap: boolean
  readonly from: Position
  readonly through: Position
  readonly more: boolean
  readonly messages: readonly Message[]
}

export interface SubscriptionsOptions {
  /** A subscription that is further behind, with a sink that takes nothing, is ended as slow. */
  readonly maxBufferedBytes: number
  readonly tail: () => Tail | undefined
  readonly replay: (selection: Selection, start: Start) => Promise<PastPage>
}

/**
 * All subscriptions of a process. One that has caught up is handed each batch as it comes; one that is behind, because
 * it resumes or its sink is full, keeps no more than its place in the log and reads on from there.
 */
export class Subscriptions {
  readonly #feeds = new FeedTable<Member>()
  readonly #shared: Shared

  constructor(options: SubscriptionsOptions) {
    this.#shared = { options, feeds: this.#feeds, chunks: new Chunks(), delivered: 0 }
  }

  get count(): number {
    return this.#feeds.count
  }

  /** Messages that were handed to sinks. */
  get delivered(): number {
    return this.#shared.delivered
  }

  add(selection: Selection, start: Start, sink: Sink): Subscription {
    const member = new Member(start, sink, this.#shared)
    member.join(this.#feeds.join(selection, member))
    return member
  }

  /** Hands on the next batches of the chain: to each subscription all that it gets of them at once. */
  deliver(batches: readonly Batch[]): void {
    const last = batches.at(-1)?.last
    if (last === undefined) return
    for (const [feed, messages] of this.#feeds.select(batches)) {
      let weight = 0
      for (const message of messages) weight += message.weight
      for (const member of feed.members) member.take(messages, weight, last)
    }
  }

  /** The chain is broken at this position: everyone goes on from its own place, and is told what is missing. */
  interrupt(position: Position): void {
    for (const member of this.#feeds.members()) member.fallBehind(position)
  }

  /** The log can be reached, or has moved to another place: whoever waits for it goes on. */
  wake(): void {
    this.#feeds.each(member => member.resumeReading())
  }

  end(reason: EndReason): void {
    for (const member of [...this.#feeds.members()]) member.end(reason)
  }
}

/** What all members have in common. */
interface Shared {
  readonly options: SubscriptionsOptions
  readonly feeds: FeedTable<Member>
  readonly chunks: Chunks
  delivered: number
}

class Member implements Subscription {
  readonly #start: Start
  readonly #sink: Sink
  readonly #shared: Shared
  #feed: Feed<Member> | undefined
  /** Undefined until it is known where to begin; while it is live, the chain's position counts. */
  #position: Position | undefined
  #hasBegun = false
  #isLive = false
  #isFull = false
  #isReading = false
  #isClosed = false
  #behindBytes = 0

  constructor(start: Start, sink: Sink, shared: Shared) {
    this.#start = start
    this.#sink = sink
    this.#shared = shared
  }

  get caughtUp(): boolean {
    return this.#isLive
  }

  get position(): Position | undefined {
    const end = this.#shared.options.tail()?.position
    if (!this.#isLive || !end || !this.#position) return this.#position
    return this.#position.offset > end.offset ? this.#position : end
  }

  join(feed: Feed<Member>): void {
    this.#feed = feed
    const tail = this.#shared.options.tail()
    const since = this.#start.since === undefined ? undefined : parseId(this.#start.since)
    if (tail && since && tail.reachesBack(since)) this.#position = since
    else if (tail && this.#start.since === undefined && !this.#start.history) this.#position = tail.position
    this.resumeReading()
  }

  /** Messages that follow what the chain has brought before. */
  take(messages: readonly Message[], weight: number, last: number): void {
    if (this.#isClosed) return
    if (!this.#isLive) {
      this.#behindBytes += weight
      if (this.#isFull && this.#behindBytes > this.#shared.options.maxBufferedBytes) this.end('slow')
      return
    }
    // A replay may have come further than the stream.
    const seen = this.#position?.offset ?? 0
    const fresh =
      messages[0] && messages[0].offset <= seen ? messages.filter(({ offset }) => offset > seen) : messages
    if (fresh.length === 0 || this.#hand(fresh)) return
    this.#isFull = true
    this.#isLive = false
    this.#behindBytes = 0
    const epoch = this.#shared.options.tail()?.position.epoch
    if (epoch !== undefined) this.#position = { epoch, offset: Math.max(last, seen) }
  }

  fallBehind(position: Position): void {
    if (!this.#isLive) return
    if ((this.#position?.offset ?? 0) < position.offset) this.#position = position
    this.#isLive = false
  }

  resume(): void {
    this.#isFull = false
    this.resumeReading()
  }

  resumeReading(): void {
    if (this.#isReading || this.#isLive || this.#isFull || this.#isClosed) return
    this.#isReading = true
    this.#startReading()
  }

  /** A function of its own: with its closure the one above would allocate for each member that has nothing to read. */
  #startReading(): void {
    this.#read().catch((error: unknown) => {
      // While the broker is away the subscription waits for `wake()`; anything else would end the same way again.
      if (!(error instanceof PosternError)) this.end('failed')
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#isLive = false
    if (this.#feed) this.#shared.feeds.leave(this.#feed, this)
  }

  end(reason: EndReason): void {
    if (this.#isClosed) return
    this.close()
    this.#sink.end(reason)
  }

  /** Hands over what the chain brings; a sink that throws ends itself, and not the chain for all others. */
  #hand(messages: readonly Message[]): boolean {
    try {
      return this.#deliver(messages)
    } catch {
      this.end('failed')
      return true
    }
  }

  #deliver(messages: readonly Message[]): boolean {
    this.#shared.delivered += messages.length
    return this.#sink.deliver(messages)
  }

  #begin(position: Position): void {
    this.#position = position
    if (this.#hasBegun) return
    this.#hasBegun = true
    this.#sink.start(position)
  }

  async #read(): Promise<void> {
    try {
      // Whoever subscribes has the subscription in hand before its sink is called for the first time.
      await undefined
      if (this.#position && !this.#isClosed) this.#begin(this.#position)
      while (!this.#isLive && !this.#isFull && !this.#isClosed) {
        const tail = this.#shared.options.tail()
        if (this.#position && tail?.reachesBack(this.#position)) this.#readTail(tail, this.#position.offset)
        else if (!(await this.#readPast())) return
      }
    } finally {
      // Not a moment later: a sink that drains before the next microtask would find us reading, and never be served.
      this.#isReading = false
    }
  }

  /** Delivers the next chunk of the tail, and goes live at its end: nothing can come between, since nothing waits. */
  #readTail(tail: Tail, after: number): void {
    if (!this.#feed) return
    const { messages, weight, through } = this.#shared.chunks.after(tail, this.#feed.selection, after)
    this.#position = { epoch: tail.position.epoch, offset: through }
    this.#behindBytes = Math.max(0, this.#behindBytes - weight)
    if (messages.length > 0) this.#isFull = !this.#deliver(messages)
    this.#isLive = !this.#isFull && !this.#isClosed && through === tail.position.offset
  }

  /** Asks the broker for the next page. False when there is nothing to do before the log moves. */
  async #readPast(): Promise<boolean> {
    if (!this.#feed) return false
    const since = this.#position
    const start = since ? { since: `${since.epoch}-${since.offset}` } : this.#start
    const page = await this.#shared.options.replay(this.#feed.selection, start)
    if (this.#isClosed) return false
    if (!since) this.#begin(page.from)
    if (page.gap && !this.#isClosed) this.#sink.gap(page.from)
    if (this.#isClosed) return false
    this.#position = page.through
    let weight = 0
    for (const message of page.messages) weight += message.weight
    this.#behindBytes = Math.max(0, this.#behindBytes - weight)
    if (page.messages.length > 0) this.#isFull = !this.#deliver(page.messages)
    if (page.more) return true
    const end = this.#shared.options.tail()?.position
    if (end?.epoch !== page.through.epoch) return false
    if (end.offset <= page.through.offset) this.#isLive = !this.#isFull && !this.#isClosed
    return true
  }
}

import { OffsetHeap } from './offset-heap.ts'
import type { Message } from './protocol/index.ts'

/** What a puller may have unflushed before it gets no more. One message is always let through. */
export interface Window {
  readonly messages: number
  readonly bytes: number
}

/** A number of messages, and what they count together. */
export interface Tally {
  messages: number
  bytes: number
}

/** What all push topics hold together. */
export interface Holdings {
  /** What waits for a puller. */
  readonly waiting: Tally
  /** What pullers have been handed and have not flushed. */
  readonly unflushed: Tally
  /** Of what waits, that on topics that nobody pulls. */
  unpulledBytes: number
}

/** A message in memory: what the objects around its bytes take. Measured: 310 of the heap, and 200 to 600 beside it. */
const messageBytes = 512

/** What a message counts against the bounds. */
export function weightOf(message: Message): number {
  return message.weight + messageBytes
}

/** One that receives from a queue, with what it has been handed and has not flushed yet. */
export class Puller {
  readonly queue: PushQueue
  /** The functions process that it belongs to. */
  readonly peer: string
  /** Names it within that process. */
  readonly pull: number
  /** Takes nothing while this is set. */
  isBlocked = false
  readonly #unflushed = new Map<number, Message>()
  #unflushedBytes = 0

  constructor(queue: PushQueue, peer: string, pull: number) {
    this.queue = queue
    this.peer = peer
    this.pull = pull
  }

  hasRoom(window: Window): boolean {
    if (this.isBlocked) return false
    return this.#unflushed.size < window.messages && this.#unflushedBytes < window.bytes
  }

  take(message: Message): void {
    this.#unflushed.set(message.offset, message)
    this.#unflushedBytes += weightOf(message)
  }

  /** Lets go of a message, or gives undefined for one that it does not have. */
  release(offset: number): Message | undefined {
    const message = this.#unflushed.get(offset)
    if (!message) return undefined
    this.#unflushed.delete(offset)
    this.#unflushedBytes -= weightOf(message)
    return message
  }

  releaseAll(): Message[] {
    const messages = [...this.#unflushed.values()]
    this.#unflushed.clear()
    this.#unflushedBytes = 0
    return messages
  }
}

/** The messages of one push topic until they are flushed, and the pullers that wait for them. */
export class PushQueue {
  readonly topic: string
  readonly #holdings: Holdings
  readonly #waiting = new OffsetHeap<Message>()
  readonly #line = new Set<Puller>()
  #pullers = 0
  #bytes = 0

  /** @param holdings counts what this topic holds, with that of the others. */
  constructor(topic: string, holdings: Holdings) {
    this.topic = topic
    this.#holdings = holdings
  }

  /** What waits, and what was handed over and is not flushed. */
  get bytes(): number {
    return this.#bytes
  }

  get isPulled(): boolean {
    return this.#pullers > 0
  }

  /** Nothing waits, and nobody pulls. */
  get isIdle(): boolean {
    return this.#waiting.size === 0 && !this.isPulled
  }

  /** Takes a message that is new. */
  push(message: Message): void {
    this.#grow(weightOf(message))
    this.#wait(message)
  }

  /** A new puller, which has not been handed anything. */
  enter(puller: Puller): void {
    if (!this.isPulled) this.#holdings.unpulledBytes -= this.#bytes
    this.#pullers++
    this.join(puller)
  }

  /** A puller goes. What it had comes back to its place before everything newer. @returns how many messages. */
  leave(puller: Puller): number {
    this.#line.delete(puller)
    const messages = puller.releaseAll()
    for (const message of messages) this.#return(message)
    this.#pullers--
    if (!this.isPulled) this.#holdings.unpulledBytes += this.#bytes
    return messages.length
  }

  /** A puller that has room, or whose room may have changed: it stands at the end of the line, or stays where it is. */
  join(puller: Puller): void {
    this.#line.add(puller)
  }

  /** A message is done. @returns false when the puller does not have it. */
  flush(puller: Puller, offset: number): boolean {
    const message = puller.release(offset)
    if (!message) return false
    count(this.#holdings.unflushed, message, -1)
    this.#grow(-weightOf(message))
    this.join(puller)
    return true
  }

  /** A message comes back from a puller, which stays. @returns false when the puller does not have it. */
  giveBack(puller: Puller, offset: number): boolean {
    const message = puller.release(offset)
    if (!message) return false
    this.#return(message)
    this.join(puller)
    return true
  }

  /** The first message and the puller whose turn it is, who has now taken it. */
  next(window: Window): { readonly puller: Puller; readonly message: Message } | undefined {
    const puller = this.#waiting.size === 0 ? undefined : this.#nextInLine(window)
    const message = puller && this.#waiting.pop()
    if (!message) return undefined
    count(this.#holdings.waiting, message, -1)
    count(this.#holdings.unflushed, message, 1)
    puller.take(message)
    // To the end of the line.
    this.#line.delete(puller)
    this.#line.add(puller)
    return { puller, message }
  }

  /** Lets go of what waits and was accepted before this moment. @returns how many messages. */
  expire(beforeMs: number): number {
    let expired = 0
    for (let { first } = this.#waiting; first && first.timeMs < beforeMs; { first } = this.#waiting) {
      this.#waiting.pop()
      count(this.#holdings.waiting, first, -1)
      this.#grow(-weightOf(first))
      expired++
    }
    return expired
  }

  /** The first in line who has room. Who has none loses the place, and joins again with room. */
  #nextInLine(window: Window): Puller | undefined {
    for (const puller of this.#line) {
      if (puller.hasRoom(window)) return puller
      this.#line.delete(puller)
    }
    return undefined
  }

  #return(message: Message): void {
    count(this.#holdings.unflushed, message, -1)
    this.#wait(message)
  }

  #wait(message: Message): void {
    this.#waiting.push(message)
    count(this.#holdings.waiting, message, 1)
  }

  #grow(bytes: number): void {
    this.#bytes += bytes
    if (!this.isPulled) this.#holdings.unpulledBytes += bytes
  }
}

function count(tally: Tally, message: Message, sign: 1 | -1): void {
  tally.messages += sign
  tally.bytes += sign * weightOf(message)
}

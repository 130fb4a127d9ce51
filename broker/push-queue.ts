import { Fifo } from './fifo.ts'
import type { Message } from './protocol/index.ts'

/** What a puller may have unflushed before it gets no more. One message is always let through. */
export interface Window {
  readonly messages: number
  readonly bytes: number
}

/** What waits for pullers, over all topics. */
export interface Tally {
  messages: number
  bytes: number
}

/** A message in memory: beside its bytes what the objects around them take. */
const messageBytes = 128

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

/** The messages of one push topic that wait, and the pullers that wait for them. */
export class PushQueue {
  readonly topic: string
  /** How many pull from it. */
  pullers = 0
  readonly #tally: Tally
  readonly #fresh = new Fifo<Message>()
  /** What came back, in order. All of it is older than what is fresh. */
  #returned = new Fifo<Message>()
  readonly #line = new Set<Puller>()

  constructor(topic: string, tally: Tally) {
    this.topic = topic
    this.#tally = tally
  }

  get isEmpty(): boolean {
    return this.#fresh.length === 0 && this.#returned.length === 0
  }

  /** Appends a message that is newer than all before. */
  push(message: Message): void {
    this.#fresh.push(message)
    this.#count(message, 1)
  }

  /** Puts messages that a puller had back to the front, each in its place. */
  giveBack(messages: readonly Message[]): void {
    if (messages.length === 0) return
    this.#returned = new Fifo([...this.#returned, ...messages].sort((a, b) => a.offset - b.offset))
    for (const message of messages) this.#count(message, 1)
  }

  /** A puller that has room, or whose room may have changed: it stands at the end of the line, or stays where it is. */
  join(puller: Puller): void {
    this.#line.add(puller)
  }

  leave(puller: Puller): void {
    this.#line.delete(puller)
  }

  /** Whether a message would go to a puller at once. */
  isWaitedFor(window: Window): boolean {
    return this.isEmpty && this.#nextInLine(window) !== undefined
  }

  /** The first message and the puller whose turn it is, who has now taken it. */
  next(window: Window): { readonly puller: Puller; readonly message: Message } | undefined {
    const puller = this.isEmpty ? undefined : this.#nextInLine(window)
    const message = puller && (this.#returned.shift() ?? this.#fresh.shift())
    if (!message) return undefined
    this.#count(message, -1)
    puller.take(message)
    // To the end of the line.
    this.#line.delete(puller)
    this.#line.add(puller)
    return { puller, message }
  }

  /** The first in line who has room. Who has none loses the place, and joins again with room. */
  #nextInLine(window: Window): Puller | undefined {
    for (const puller of this.#line) {
      if (puller.hasRoom(window)) return puller
      this.#line.delete(puller)
    }
    return undefined
  }

  #count(message: Message, sign: 1 | -1): void {
    this.#tally.messages += sign
    this.#tally.bytes += sign * weightOf(message)
  }
}

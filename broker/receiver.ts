import { Fifo } from './fifo.ts'
import type { Message } from './protocol/index.ts'
import type { Handout, ReceiverEnd, ReceiverSink, ReceiverWindow } from './receivers.ts'

/** A message in memory: beside its bytes what the objects around them take. */
const entryBytes = 192

/** A kept message that is in memory: with receivers, or on its way to them. */
export interface Entry {
  readonly number: number
  readonly message: Message
  readonly bytes: number
  /** How often it was handed out, while nobody else had it. */
  deliveries: number
  /** Receivers that have it. */
  holders: number
  /** Receivers that it stands in line for. */
  queued: number
  /** What the store knows of `deliveries`. */
  noted: number
  /** It is acknowledged: only who is in line for it still gets it. */
  isReleased: boolean
  /** It went to `$dead/<topic>`: nobody gets it here any more. */
  isDead: boolean
}

export function entryOf(message: Message, deliveries: number, noted: number): Entry {
  const bytes = message.weight + entryBytes
  const counts = { deliveries, noted, holders: 0, queued: 0 }
  return { number: message.offset, message, bytes, ...counts, isReleased: false, isDead: false }
}

/** One who receives, with what it has and what stands in line for it. */
export class Receiver {
  readonly window: ReceiverWindow
  isPaused = false
  isCounted = false
  /** It gets nothing more, and leaves with the last of what it has. */
  isRetiring = false
  readonly #sink: ReceiverSink
  readonly #held = new Map<number, Entry>()
  #heldBytes = 0
  #queue = new Fifo<Entry>()
  #queueBytes = 0
  #handouts: Handout[] = []

  constructor(sink: ReceiverSink, window: ReceiverWindow) {
    this.#sink = sink
    this.window = window
  }

  get hasRoom(): boolean {
    if (this.isPaused || this.isRetiring || !this.isCounted) return false
    return this.#held.size < this.window.messages && this.#heldBytes < this.window.bytes
  }

  /** Whether it was to get nothing more, and has nothing left. */
  get isDone(): boolean {
    return this.isRetiring && this.#held.size === 0
  }

  /** What stands in line for it. */
  get queueLength(): number {
    return this.#queue.length
  }

  get queueBytes(): number {
    return this.#queueBytes
  }

  /** Puts a message in line, at the end. */
  enqueue(entry: Entry): void {
    this.#queue.push(entry)
    this.#queueBytes += entry.bytes
    entry.queued++
  }

  /** Puts messages in line where their numbers belong. */
  enqueueFirst(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    this.#queue = new Fifo([...this.#queue, ...entries].sort((a, b) => a.number - b.number))
    for (const entry of entries) {
      this.#queueBytes += entry.bytes
      entry.queued++
    }
  }

  dequeue(): Entry | undefined {
    const entry = this.#queue.shift()
    if (!entry) return undefined
    this.#queueBytes -= entry.bytes
    entry.queued--
    return entry
  }

  /** It has this message from now on. */
  hold(entry: Entry): void {
    if (entry.holders === 0 && !entry.isReleased) entry.deliveries++
    entry.holders++
    this.#held.set(entry.number, entry)
    this.#heldBytes += entry.message.weight
    const { message, deliveries } = entry
    this.#handouts.push({ message, deliveries, redelivered: deliveries > 1 })
  }

  /** Lets go of a message, or gives undefined for one that it does not have. */
  release(number: number): Entry | undefined {
    const entry = this.#held.get(number)
    if (!entry) return undefined
    this.#held.delete(number)
    this.#heldBytes -= entry.message.weight
    entry.holders--
    return entry
  }

  /** Lets go of everything. */
  releaseAll(): { readonly held: readonly Entry[]; readonly queued: readonly Entry[] } {
    this.#handouts = []
    const queued = this.releaseQueue()
    const held = [...this.#held.keys()].flatMap(number => this.release(number) ?? [])
    return { held, queued }
  }

  /** Lets go of what stands in line for it. */
  releaseQueue(): readonly Entry[] {
    const queued: Entry[] = []
    for (let entry = this.dequeue(); entry; entry = this.dequeue()) queued.push(entry)
    return queued
  }

  /** Tells the sink of what it has got. @returns false when the sink has failed. */
  flush(): boolean {
    if (this.#handouts.length === 0) return true
    const handouts = this.#handouts
    this.#handouts = []
    try {
      this.#sink.take(handouts)
      return true
    } catch {
      return false
    }
  }

  end(reason: ReceiverEnd): void {
    this.#sink.end(reason)
  }
}

import type { KeptPage, KeptRow } from './kept/store.ts'
import type { KeptLedger } from './kept-ledger.ts'
import { isInSpace, Message, spaceTopic } from './protocol/index.ts'
import { type Entry, entryOf } from './receiver.ts'

/** What is looked through at once for messages that are too old. */
const expiryPage = { maxMessages: 256, maxBytes: 256 * 1024 }

/** The next page is asked for when less than this part of one is left. */
const lowPart = 1 / 4

/** What is read from the store at once. */
export interface PageSize {
  readonly maxMessages: number
  readonly maxBytes: number
}

export interface KeptWindowParts {
  readonly ledger: Pick<KeptLedger, 'read' | 'remove' | 'count' | 'move'>
  /** Names the store: the epoch of the messages that receivers get. */
  readonly store: string
  /** Messages up to this number may have been handed out before, as often as the store says. */
  readonly foundThrough: number
  /** There is nothing of the topic after this number. */
  readonly last: number
  /** How far it may read ahead of its receivers. */
  readonly page: () => PageSize
  /** A message that was handed out so often is not handed out again. 0: it is. */
  readonly maxDeliveries: number
  /** There is something to hand out. */
  readonly onReady: () => void
  /** Bytes of the topic have left the disk, or gone to another one. */
  readonly onRemoved: (bytes: number) => void
  readonly onDead: (message: Message, deliveries: number, reason: string) => void
}

/**
 * What is in memory of the kept messages of one topic: what is with receivers, and what comes next. The rest is read
 * from the store, page by page, always after what was read before.
 */
export class KeptWindow {
  readonly #topic: string
  readonly #parts: KeptWindowParts
  /** Everything in memory that is kept, by number. */
  readonly #entries = new Map<number, Entry>()
  /** Those that nobody has, and nobody is in line for. */
  #waiting: Entry[] = []
  #waitingBytes = 0
  #isSorted = true
  /** What is on its way out of the store, with who wants to know. */
  readonly #leaving = new Map<number, (() => void)[]>()
  /** Everything up to this number has been in memory. */
  #cursor = 0
  /** There is nothing after this number. */
  #storedThrough: number
  #isLoading = false
  /** Bytes that are being written, and will come here without being read. */
  #liveBytes = 0

  constructor(topic: string, parts: KeptWindowParts) {
    this.#topic = topic
    this.#parts = parts
    this.#storedThrough = parts.last
  }

  /** Whether nothing would be lost with this object. */
  get isIdle(): boolean {
    return this.#entries.size === 0 && !this.isBusy
  }

  /** Whether the store has been asked for something that is not done yet. */
  get isBusy(): boolean {
    return this.#leaving.size > 0 || this.#isLoading || this.#liveBytes > 0
  }

  /** What it takes in memory. */
  get bytes(): number {
    let sum = 0
    for (const { bytes } of this.#entries.values()) sum += bytes
    return sum
  }

  get #isBehind(): boolean {
    return this.#cursor < this.#storedThrough
  }

  /** Whether a message that is being written can be handed out without being read again. */
  goesLive(bytes: number): boolean {
    const ahead = this.#waitingBytes + this.#liveBytes
    if (this.#isBehind || (ahead > 0 && ahead + bytes > this.#parts.page().maxBytes)) return false
    this.#liveBytes += bytes
    return true
  }

  staysBehind(bytes: number): void {
    this.#liveBytes -= bytes
  }

  /** A message that is kept now, newer than all before. */
  kept(row: KeptRow, isLive: boolean): void {
    if (isLive) this.#liveBytes -= row.payload.length
    if (isLive && !this.#isBehind) {
      this.#cursor = row.number
      this.#wait(this.#entryOf(row, 0))
    }
    this.#storedThrough = row.number
  }

  /** Messages up to this number may have come from elsewhere. */
  reach(number: number): void {
    this.#storedThrough = Math.max(this.#storedThrough, number)
  }

  /** The next message that nobody has. Asks the store for more in time. */
  next(): Entry | undefined {
    if (this.#waiting.length <= lowPart * this.#parts.page().maxMessages) this.#load()
    if (!this.#isSorted) this.#waiting.sort((a, b) => a.number - b.number)
    this.#isSorted = true
    const entry = this.#waiting.shift()
    if (entry) this.#waitingBytes -= entry.bytes
    return entry
  }

  /** Nobody has this message any more. */
  putBack(entry: Entry): void {
    this.#waiting.push(entry)
    this.#waitingBytes += entry.bytes
    this.#isSorted = false
  }

  /** Everything in memory that somebody has, or had, in the order of the numbers. */
  given(): Entry[] {
    const waiting = new Set(this.#waiting)
    const given = [...this.#entries.values()].filter(entry => !waiting.has(entry))
    return given.sort((a, b) => a.number - b.number)
  }

  /** Notes that a message has been handed out once more. */
  note(entry: Entry): void {
    if (entry.deliveries <= entry.noted) return
    entry.noted = entry.deliveries
    this.#parts.ledger.count(entry.number, entry.deliveries, () => {})
  }

  /**
   * Lets go of what is in memory, of which nobody has anything. What was noted as handed out before it could be is noted
   * as it is: whoever reads it again must not take it for redelivered.
   */
  giveUp(): void {
    for (const { number, deliveries, noted } of this.#entries.values())
      if (noted > deliveries) this.#parts.ledger.count(number, deliveries, () => {})
    this.#entries.clear()
    this.#waiting = []
    this.#waitingBytes = 0
  }

  /**
   * A receiver has received it.
   *
   * @param onRemoved called when it is off the disk.
   * @returns false when there has never been one of this number.
   */
  release(number: number, onRemoved: () => void): boolean {
    const entry = this.#entries.get(number)
    const leaving = this.#leaving.get(number)
    if (entry) {
      entry.isReleased = true
      this.#takeOut(entry)
      this.#remove(number, entry.message.payload.length, onRemoved)
    } else if (leaving) leaving.push(onRemoved)
    else if (number <= this.#cursor) onRemoved()
    else if (number > this.#storedThrough) return false
    else this.#releaseUnread(number, onRemoved)
    return true
  }

  /** Nobody can receive it: it goes to where that can be looked into. */
  bury(entry: Entry, reason: string): void {
    entry.isDead = true
    this.#takeOut(entry)
    this.#bury(entry.number, entry.message, entry.deliveries, reason)
  }

  /** Removes what is older than a moment, except what somebody has, or is about to get: that goes the next time. */
  expire(beforeMs: number, onExpired: (messages: number) => void): void {
    if (!this.#isLoading) this.#expireAfter(0, beforeMs, onExpired)
  }

  #expireAfter(after: number, beforeMs: number, onExpired: (messages: number) => void): void {
    // A page that is read for receivers meanwhile would bring what has gone.
    this.#isLoading = true
    const query = { topic: this.#topic, after, through: this.#storedThrough, ...expiryPage }
    this.#parts.ledger.read(query, ({ rows, more }) => {
      this.#isLoading = false
      const old = rows.filter(({ timeMs }) => timeMs < beforeMs)
      const removed = old.filter(row => this.#expire(row))
      if (removed.length > 0) onExpired(removed.length)
      const last = rows.at(-1)
      if (more && last && old.length === rows.length) this.#expireAfter(last.number, beforeMs, onExpired)
      else this.#parts.onReady()
    })
  }

  #expire({ number, payload }: KeptRow): boolean {
    const entry = this.#entries.get(number)
    if (this.#leaving.has(number) || (!entry && number <= this.#cursor)) return false
    if (entry && (entry.holders > 0 || entry.queued > 0)) return false
    if (entry) {
      entry.isDead = true
      this.#takeOut(entry)
    }
    this.#remove(number, payload.length, () => {})
    return true
  }

  #load(): void {
    if (this.#isLoading || !this.#isBehind) return
    this.#isLoading = true
    const through = this.#storedThrough
    const query = { topic: this.#topic, after: this.#cursor, through, ...this.#parts.page() }
    this.#parts.ledger.read(query, found => this.#take(found, through))
  }

  /** What is handed out is noted first: after a crash it must not look as if nobody had ever had it. */
  #take({ rows, more }: KeptPage, through: number): void {
    const { ledger, foundThrough, maxDeliveries } = this.#parts
    const entries: Entry[] = []
    const end = more ? (rows.at(-1)?.number ?? through) : through
    let open = 1
    const done = () => {
      open--
      if (open > 0) return
      this.#cursor = end
      this.#isLoading = false
      // Whoever had it from an earlier process may have acknowledged it meanwhile.
      for (const entry of entries) if (!this.#leaving.has(entry.number)) this.#wait(entry)
      this.#parts.onReady()
    }
    for (const row of rows) {
      if (this.#leaving.has(row.number)) continue
      // What has come since is in memory for the first time, whatever was noted when it was written.
      const entry = this.#entryOf(row, row.number <= foundThrough ? row.deliveries : 0)
      if (maxDeliveries > 0 && entry.deliveries >= maxDeliveries) {
        this.#bury(row.number, entry.message, entry.deliveries, 'maxDeliveries')
        continue
      }
      entries.push(entry)
      if (row.deliveries >= entry.noted) continue
      open++
      ledger.count(row.number, entry.noted, done)
    }
    done()
  }

  #entryOf(row: KeptRow, deliveries: number): Entry {
    const { number, topic, type, binary, payload, timeMs } = row
    const place = { epoch: this.#parts.store, offset: number, timeMs }
    const message = new Message(place, { topic, type, binary }, payload, 0, payload.length)
    return entryOf(message, deliveries, deliveries + 1)
  }

  #wait(entry: Entry): void {
    this.#entries.set(entry.number, entry)
    this.#waiting.push(entry)
    this.#waitingBytes += entry.bytes
  }

  #takeOut(entry: Entry): void {
    this.#entries.delete(entry.number)
    const at = entry.holders === 0 && entry.queued === 0 ? this.#waiting.indexOf(entry) : -1
    if (at === -1) return
    this.#waiting.splice(at, 1)
    this.#waitingBytes -= entry.bytes
  }

  #remove(number: number, bytes: number, onRemoved: () => void): void {
    this.#leaving.set(number, [onRemoved])
    this.#removeLeaving(number, bytes)
  }

  #removeLeaving(number: number, bytes: number): void {
    this.#parts.ledger.remove(number, () => {
      this.#parts.onRemoved(bytes)
      this.#left(number)
    })
  }

  /** An earlier process has handed it out, and this one has not read it: the store knows whether it is still there. */
  #releaseUnread(number: number, onRemoved: () => void): void {
    this.#leaving.set(number, [onRemoved])
    const query = { topic: this.#topic, after: number - 1, through: number, maxMessages: 1, maxBytes: 0 }
    this.#parts.ledger.read(query, ({ rows }) => {
      const [row] = rows
      if (row) return this.#removeLeaving(number, row.payload.length)
      this.#left(number)
      this.#parts.onReady()
    })
  }

  #bury(number: number, message: Message, deliveries: number, reason: string): void {
    // Who looks into what is dead may pass over some of it: it stays where it is, and comes again after a restart.
    if (isInSpace('dead', this.#topic)) return
    const topic = spaceTopic('dead', this.#topic)
    this.#leaving.set(number, [])
    this.#parts.ledger.move(number, topic, () => {
      this.#parts.onDead(message, deliveries, reason)
      this.#left(number)
    })
  }

  #left(number: number): void {
    const watchers = this.#leaving.get(number) ?? []
    this.#leaving.delete(number)
    for (const watcher of watchers) watcher()
  }
}

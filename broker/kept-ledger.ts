import type { Change, KeptKey, KeptPage, KeptQuery, KeptRow, KeptState, KeptStore } from './kept/store.ts'
import { PosternError, type Publication, type ReceiptEntry } from './protocol/index.ts'

/** What one transaction takes: larger ones would gain little, and be felt by whoever waits behind them. */
const maxAdded = 1000
const maxAddedBytes = 1024 * 1024
const maxSteps = 5000

/** After a failure the store is tried again so soon, then half as often each time. */
const firstRetryMs = 100
const longestRetryMs = 2000

/** What keeping a message takes in memory beside its payload, while it waits. */
const draftBytes = 512

/** A message that is to be kept. */
export interface Draft {
  readonly publication: Publication
  readonly timeMs: number
  readonly idempotency?: KeptKey | undefined
  /** Asked when it is written: whether it will be handed to receivers as soon as it is kept. */
  goesLive(): boolean
  /** It was to be handed out at once, and could not be written: it will be asked again. */
  staysBehind(): void
  /** It is not kept; with `RECEIPT_UNKNOWN` it may come to be. Called at most once. */
  refuse(error: PosternError): void
  /** After a refusal in doubt: it was not kept, and never will be. */
  withdraw(): void
  /** For whoever gives it a receipt when it is kept. */
  settle(entry: ReceiptEntry): void
}

/** A message that is on disk and synced. */
export interface Kept {
  readonly draft: Draft
  readonly row: KeptRow
  readonly isLive: boolean
}

export type LedgerTrouble =
  | { readonly kind: 'failed'; readonly action: string; readonly reason: string; readonly retryMs: number }
  /** Another broker has taken the store over. */
  | { readonly kind: 'taken' }

export interface LedgerBounds {
  /** So long a message waits for the store before its publisher is told that it does not answer. */
  readonly waitMs: number
  /** What may wait before publishers are refused. */
  readonly maxWaitingBytes: number
}

export interface LedgerParts {
  readonly store: KeptStore
  readonly bounds: LedgerBounds
  readonly monotonicMs: () => number
  /** @returns what ends the timer. */
  readonly timer: (delayMs: number, callback: () => void) => () => void
  readonly defer: (task: () => void) => void
  /** These are about to be kept: what can be made ready for that costs nobody's time while the store writes. */
  readonly onWriting: (rows: readonly KeptRow[]) => void
  /** In the order of their numbers. */
  readonly onKept: (kept: readonly Kept[]) => void
  readonly onTrouble: (trouble: LedgerTrouble) => void
}

interface Waiting {
  readonly draft: Draft
  readonly bytes: number
  readonly untilMs: number
  isRefused: boolean
}

/** One of them that is being written. */
interface Added extends Kept {
  readonly waiting: Waiting
}

/** What a transaction does beside adding. */
type Step =
  | { readonly what: 'remove'; readonly number: number; readonly done: () => void }
  | {
      readonly what: 'count'
      readonly number: number
      readonly deliveries: number
      readonly done: () => void
    }
  | { readonly what: 'move'; readonly number: number; readonly topic: string; readonly done: () => void }

interface Work {
  readonly change: Change
  /** The highest number in it, or before it. */
  readonly last: number
  readonly added: readonly Added[]
  readonly steps: readonly Step[]
  /** Whether it may have been kept although its commit was not confirmed. */
  isInDoubt: boolean
  isPrepared: boolean
}

/**
 * Writes to the store, one transaction at a time: what comes while one is under way goes into the next. What has
 * failed is tried again until it succeeds; only publishers do not wait for it.
 */
export class KeptLedger {
  /** Every message up to this number is in the log. Goes along with the next transaction. */
  loggedThrough = 0
  readonly counters = { keptTransactions: 0, keptFailures: 0 }
  readonly #parts: LedgerParts
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #steps: Step[] = []
  #work: Work | undefined
  #last = 0
  #keptThrough = 0
  #isOpen = false
  #isWriting = false
  #isDeferred = false
  #isClosed = false
  #retryMs = firstRetryMs
  #cancelRetry: (() => void) | undefined
  #cancelExpiry: (() => void) | undefined
  readonly #reads = new Set<() => void>()
  #whenIdle: (() => void)[] = []

  constructor(parts: LedgerParts) {
    this.#parts = parts
  }

  /** What has not been taken into a transaction yet. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** The highest number that was given. */
  get last(): number {
    return this.#last
  }

  /** The highest number that is in the store. */
  get keptThrough(): number {
    return this.#keptThrough
  }

  /** Opens the store, however often that has to be tried. */
  open(onOpened: (state: KeptState) => void): void {
    this.#parts.store.open().then(
      state => {
        if (this.#isClosed) return
        this.#last = state.last
        this.#keptThrough = state.last
        this.loggedThrough = state.loggedThrough
        this.#isOpen = true
        this.#retryMs = firstRetryMs
        onOpened(state)
      },
      (error: unknown) => {
        if (this.#fail('open', error)) this.#retryLater(() => this.open(onOpened))
      },
    )
  }

  /** @throws PosternError `BACKLOG_FULL`, `STORE_UNAVAILABLE` */
  add(draft: Draft): void {
    const { bounds, monotonicMs } = this.#parts
    if (!this.#isOpen || this.#isClosed) throw new PosternError('STORE_UNAVAILABLE')
    const bytes = draft.publication.payload.length + draftBytes
    if (this.#waitingBytes > 0 && this.#waitingBytes + bytes > bounds.maxWaitingBytes) {
      throw new PosternError('BACKLOG_FULL', undefined, {
        limit: bounds.maxWaitingBytes,
        setting: 'kept.maxWaitingBytes',
      })
    }
    this.#waitingBytes += bytes
    this.#waiting.push({ draft, bytes, untilMs: monotonicMs() + bounds.waitMs, isRefused: false })
    this.#cancelExpiry ??= this.#parts.timer(bounds.waitMs, () => this.#expire())
    this.#writeSoon()
  }

  /** @param done called when it is off the disk. */
  remove(number: number, done: () => void): void {
    this.#step({ what: 'remove', number, done })
  }

  /** Notes how often a message has been handed out. */
  count(number: number, deliveries: number, done: () => void): void {
    this.#step({ what: 'count', number, deliveries, done })
  }

  /** Gives a message to another topic, under a new number. */
  move(number: number, topic: string, done: () => void): void {
    this.#step({ what: 'move', number, topic, done })
  }

  /** Reads a page, however often that has to be tried. */
  read(query: KeptQuery, onPage: (page: KeptPage) => void): void {
    const attempt = (retryMs: number) => {
      this.#parts.store.read(query).then(
        page => {
          if (!this.#isClosed) onPage(page)
        },
        (error: unknown) => {
          if (this.#isClosed || !this.#fail('read', error, retryMs)) return
          const cancel = this.#parts.timer(retryMs, () => {
            this.#reads.delete(cancel)
            attempt(Math.min(2 * retryMs, longestRetryMs))
          })
          this.#reads.add(cancel)
        },
      )
    }
    attempt(firstRetryMs)
  }

  /** Writes what waits, once, and closes the store. */
  async close(): Promise<void> {
    if (this.#isOpen && !this.#isClosed) {
      this.#write()
      if (this.#isWriting) await new Promise<void>(resolve => this.#whenIdle.push(resolve))
    }
    this.#isClosed = true
    this.#cancelRetry?.()
    this.#cancelExpiry?.()
    for (const cancel of this.#reads) cancel()
    await this.#parts.store.close().catch(() => {})
  }

  #step(step: Step): void {
    this.#steps.push(step)
    this.#writeSoon()
  }

  #writeSoon(): void {
    if (this.#isDeferred || this.#isWriting || this.#cancelRetry) return
    this.#isDeferred = true
    this.#parts.defer(() => {
      this.#isDeferred = false
      this.#write()
      this.#prepare()
    })
  }

  #write(): void {
    if (this.#isWriting || this.#isClosed || !this.#isOpen) return
    // What is in doubt is asked for again as it was: the store finds out.
    this.#work ??= this.#gather()
    const work = this.#work
    if (!work) return
    this.#isWriting = true
    this.#parts.store.apply(work.change).then(
      () => this.#written(work),
      (error: unknown) => this.#failed(work, error),
    )
  }

  /** Uses the time in which the store writes. */
  #prepare(): void {
    const work = this.#work
    if (!work || work.isPrepared) return
    work.isPrepared = true
    if (work.added.length > 0) this.#parts.onWriting(work.change.add)
  }

  #gather(): Work | undefined {
    if (this.#waiting.length === 0 && this.#steps.length === 0) return undefined
    const added: Added[] = []
    let bytes = 0
    for (const waiting of this.#waiting) {
      bytes += waiting.bytes
      if (added.length === maxAdded || (added.length > 0 && bytes > maxAddedBytes)) break
      const { publication, timeMs, idempotency } = waiting.draft
      const isLive = waiting.draft.goesLive()
      const { topic, type, binary, payload } = publication
      const deliveries = isLive ? 1 : 0
      const row = { number: ++this.#last, topic, type, binary, payload, timeMs, deliveries, idempotency }
      added.push({ waiting, draft: waiting.draft, row, isLive })
    }
    this.#waiting.splice(0, added.length)
    const steps = this.#steps.splice(0, maxSteps)
    const change: Change = {
      add: added.map(({ row }) => row),
      remove: steps.flatMap(step => (step.what === 'remove' ? step.number : [])),
      move: steps.flatMap(step =>
        step.what === 'move' ? { number: step.number, to: ++this.#last, topic: step.topic } : [],
      ),
      deliveries: steps.flatMap(step =>
        step.what === 'count' ? { number: step.number, deliveries: step.deliveries } : [],
      ),
      loggedThrough: this.loggedThrough,
    }
    return { change, last: this.#last, added, steps, isInDoubt: false, isPrepared: false }
  }

  #written(work: Work): void {
    this.counters.keptTransactions++
    this.#isWriting = false
    this.#work = undefined
    this.#retryMs = firstRetryMs
    for (const { waiting } of work.added) this.#release(waiting)
    this.#keptThrough = work.last
    // The next one is under way while the receipts of this one are written.
    this.#write()
    if (work.added.length > 0) this.#parts.onKept(work.added)
    for (const { done } of work.steps) done()
    this.#prepare()
    this.#idle()
  }

  #failed(work: Work, error: unknown): void {
    this.#isWriting = false
    const isGoingOn = this.#fail('write', error)
    work.isInDoubt ||= !hasFlag(error, 'isCertain')
    if (!work.isInDoubt) {
      this.#work = undefined
      // Whoever was told that it is unknown repeats it: it must not be kept behind that one's back.
      const again = work.added.map(({ waiting }) => waiting).filter(({ isRefused }) => !isRefused)
      for (const { waiting, isLive } of work.added) {
        if (isLive) waiting.draft.staysBehind()
        if (!waiting.isRefused) continue
        this.#release(waiting)
        waiting.draft.withdraw()
      }
      this.#waiting.unshift(...again)
      this.#steps.unshift(...work.steps)
    }
    if (isGoingOn) this.#retryLater(() => this.#write())
    this.#expire()
    this.#idle()
  }

  #idle(): void {
    if (this.#isWriting) return
    const waiting = this.#whenIdle
    this.#whenIdle = []
    for (const resolve of waiting) resolve()
  }

  #retryLater(retry: () => void): void {
    this.#cancelRetry = this.#parts.timer(this.#retryMs, () => {
      this.#cancelRetry = undefined
      retry()
    })
    this.#retryMs = Math.min(2 * this.#retryMs, longestRetryMs)
  }

  /** @returns whether there is any use in trying again. */
  #fail(action: string, error: unknown, retryMs = this.#retryMs): boolean {
    if (this.#isClosed) return false
    this.counters.keptFailures++
    const isTaken = hasFlag(error, 'isTaken')
    const reason = error instanceof Error ? error.message : String(error)
    if (isTaken) {
      this.#isOpen = false
      this.#parts.onTrouble({ kind: 'taken' })
    } else this.#parts.onTrouble({ kind: 'failed', action, reason, retryMs })
    return !isTaken
  }

  /** Answers the publishers who have waited long enough. */
  #expire(): void {
    const nowMs = this.#parts.monotonicMs()
    const inDoubt = this.#work?.added.map(({ waiting }) => waiting) ?? []
    for (const waiting of inDoubt) if (waiting.untilMs <= nowMs) this.#refuse(waiting, 'RECEIPT_UNKNOWN')
    const late = this.#waiting.filter(({ untilMs }) => untilMs <= nowMs || !this.#isOpen)
    this.#waiting = this.#waiting.slice(late.length)
    for (const waiting of late) {
      this.#release(waiting)
      this.#refuse(waiting, 'STORE_UNAVAILABLE')
    }
    this.#cancelExpiry?.()
    const next = [...inDoubt.filter(({ isRefused }) => !isRefused), ...this.#waiting][0]
    this.#cancelExpiry = next && this.#parts.timer(Math.max(1, next.untilMs - nowMs), () => this.#expire())
  }

  #refuse(waiting: Waiting, code: 'RECEIPT_UNKNOWN' | 'STORE_UNAVAILABLE'): void {
    if (waiting.isRefused) return
    waiting.isRefused = true
    waiting.draft.refuse(new PosternError(code))
  }

  #release({ bytes }: Waiting): void {
    this.#waitingBytes -= bytes
  }
}

function hasFlag(error: unknown, flag: 'isCertain' | 'isTaken'): boolean {
  return error instanceof Error && Reflect.get(error, flag) === true
}

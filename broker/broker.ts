import { Admission } from './admission.ts'
import type { Delivery } from './delivery.ts'
import type { Flow } from './flow.ts'
import type { Journal, KeyEntry, Recovery } from './journal/journal.ts'
import type { Keeper, KeptPublication } from './keeper.ts'
import type { KeptRow } from './kept/store.ts'
import type { KeptBatchLog } from './kept-log.ts'
import type { KeyTable } from './keys.ts'
import {
  type Batch,
  BatchWriter,
  type Beginning,
  type Code,
  formatId,
  heldBytes,
  isInSpace,
  type Position,
  PosternError,
  type Publication,
  placeBatch,
  type ReceiptEntry,
  Refusals,
  type Run,
  recordSize,
  sharedBufferBytes,
  Tail,
} from './protocol/index.ts'
import { type ReceiptRequest, Receipts } from './receipts.ts'
import { type History, Replayer, type ReplayPage, type ReplayQuery } from './replay.ts'
import type { TopicRules } from './topic-rules.ts'

/** Where batches go when they are in the journal. Neither call may throw or wait. */
export interface Output {
  /** To everybody who follows the whole log. */
  stream(batch: Uint8Array): void
  /** To those who listen to the default topic alone. */
  plain(payload: Uint8Array): void
}

export interface Clock {
  /** Unix milliseconds: what messages are stamped with. */
  nowMs(): number
  /** Never set back: what deadlines are checked against. */
  monotonicMs(): number
}

/** The history that the broker fills and reads. */
export interface KeptHistory extends History {
  addBatch(batch: Batch, runs: readonly Run[]): void
  expire(nowMs: number): void
  detachThrough(offset: number): void
  readonly size: { readonly topics: number; readonly messages: number; readonly bytes: number }
}

export interface BrokerLimits {
  /** The topic of messages that name none. */
  readonly defaultTopic: string
  readonly maxPayloadBytes: number
  /** How much of the log is kept in memory for repairs and resumes. */
  readonly tailBytes: number
  /** How much may wait for receipts that are withheld. */
  readonly maxWithheldBytes: number
}

export interface BrokerParts {
  readonly journal: Journal
  readonly history: KeptHistory
  readonly keys: KeyTable
  readonly flow: Flow
  /** Hands out the messages of push topics. */
  readonly delivery: Pick<Delivery, 'assertRoom' | 'add'>
  /** Keeps the messages of durable topics until they can have their places. */
  readonly keeper: Pick<Keeper, 'keep' | 'keepOrDrop'>
  readonly rules: Pick<TopicRules, 'hasDurable' | 'durable'>
  readonly output: Output
  readonly clock: Clock
  /** Runs a task at the end of this turn of the event loop. */
  readonly defer: (task: () => void) => void
  /** Tells one publication's content from another's. */
  readonly fingerprint: (publication: Publication) => string
  /** A batch was refused because the journal cannot be written. */
  readonly onJournalFailure: (error: unknown) => void
}

/** One message of a publish with receipt. */
export type KeyedPublication = KeptPublication

interface Waiting {
  readonly request: ReceiptRequest
  readonly index: number
  readonly offset: number
}

/** A key has to fit a line of the journal and a header; control characters fit neither. */
const keyPattern = /^[\x20-\x7e]{1,255}$/

/**
 * The log: gives each message its place, remembers it, passes it on. No sockets, no disk, no clock of its own.
 * Whatever is published within one turn of the event loop travels as one batch.
 */
export class Broker implements KeptBatchLog {
  readonly counters = { published: 0, repeated: 0, refused: 0, replays: 0, gaps: 0 }
  readonly refusals = new Refusals()
  limits: BrokerLimits
  readonly #parts: BrokerParts
  readonly #epoch: string
  readonly #tail: Tail
  readonly #replayer: Replayer
  readonly #receipts: Receipts
  readonly #admission = new Admission()
  readonly #writer = new BatchWriter()
  #waiting: Waiting[] = []
  #keyed: KeyEntry[] = []
  #isDeferred = false
  /** Whether a message of a push topic was gathered. */
  #isPushing = false
  #timeMs = 0

  constructor(limits: BrokerLimits, parts: BrokerParts, recovery: Recovery) {
    this.limits = limits
    this.#parts = parts
    this.#epoch = recovery.epoch
    this.#receipts = new Receipts(parts.flow)
    const own = recovery.batches.filter(batch => batch.epoch === recovery.epoch)
    this.#tail = new Tail(limits.tailBytes, {
      epoch: recovery.epoch,
      offset: own[0] ? own[0].first - 1 : recovery.last,
    })
    for (const batch of own) this.#tail.push(batch)
    for (const entry of recovery.keys) parts.keys.remember(entry)
    parts.history.detachThrough(this.#tail.floor)
    this.#replayer = new Replayer(this.#tail, parts.history, recovery.pastEpochs)
  }

  /** The position of the newest message. */
  get position(): Position {
    return this.#tail.position
  }

  /** Every message after this offset can be replayed from memory. */
  get tailFloor(): number {
    return this.#tail.floor
  }

  /** What waits for receipts that are withheld. */
  get withheldBytes(): number {
    return this.#receipts.withheldBytes
  }

  get tailBytes(): number {
    return this.#tail.byteLength
  }

  /**
   * Takes a message whose publisher expects no receipt.
   *
   * @throws PosternError when it is refused.
   */
  accept(publication: Publication): void {
    try {
      this.#admission.check(publication, this.limits.maxPayloadBytes)
    } catch (error) {
      this.#countRefusal(error instanceof PosternError ? error : { code: 'INTERNAL' })
      throw error
    }
    const rule = this.#parts.rules.durable(publication.topic)
    if (rule) this.#parts.keeper.keepOrDrop(publication, rule)
    else this.#append(publication)
  }

  /**
   * Takes a batch whose publisher expects no receipt: its topics, types and texts have been checked, and neither a
   * payload nor the whole is too large. Its very bytes go into the log, but for small ones, which are copied together.
   */
  acceptBatch(batch: Batch): void {
    if (this.#parts.rules.hasDurable && this.#keepBatch(batch)) return
    if (batch.bytes.length >= sharedBufferBytes) {
      this.commit()
      this.#log(placeBatch(batch, this.#next()))
      return
    }
    if (this.#writer.isFull(batch.count, batch.records.length)) this.commit()
    this.#writer.addRecords(batch)
    this.#deferCommit()
  }

  /**
   * Takes messages and replies with one receipt or error for each, in their order, when all of them are in the
   * journal and the functions can follow.
   */
  publish(
    publications: readonly KeyedPublication[],
    reply: (receipts: readonly ReceiptEntry[]) => void,
  ): void {
    const request = this.#receipts.begin(publications.length, reply)
    for (const [index, item] of publications.entries()) this.#take(request, index, item)
    this.#receipts.close(request)
  }

  logKeptBatch(unplaced: Batch, rows: readonly KeptRow[]): Position | undefined {
    this.commit()
    const beginning = this.#next()
    const batch = placeBatch(unplaced, beginning)
    const { epoch, first } = beginning
    const timeMs = this.#parts.clock.nowMs()
    const keyed: KeyEntry[] = []
    for (const [i, { topic, idempotency }] of rows.entries())
      if (idempotency) keyed.push({ ...idempotency, topic, epoch, offset: first + i, timeMs })
    if (!this.#journal(batch, keyed, rows.at(-1)?.number)) return undefined
    for (const entry of keyed) this.#parts.keys.remember(entry)
    this.#passOn(batch)
    return { epoch, offset: first }
  }

  /** Answers whoever cannot be served because its time is over, or the log is not the one it meant. */
  refuse(code: Code, count: number): ReceiptEntry[] {
    this.#countRefusal({ code }, count)
    const error = new PosternError(code).toBody()
    return Array.from({ length: count }, () => ({ error }))
  }

  replay(query: ReplayQuery): ReplayPage {
    this.#parts.history.expire(this.#parts.clock.nowMs())
    const page = this.#replayer.page(query)
    this.counters.replays++
    if (page.gap) this.counters.gaps++
    return page
  }

  /** An empty batch that tells the newest offset, so that who missed the last batches notices. */
  beacon(): Uint8Array {
    return new BatchWriter().finish({
      epoch: this.#epoch,
      first: this.#tail.position.offset + 1,
      timeMs: this.#parts.clock.nowMs(),
    }).bytes
  }

  /** Puts what has been gathered into the log now. */
  commit(): void {
    if (this.#writer.count > 0) this.#log(this.#writer.finish(this.#next()))
  }

  /** The place that follows in the log. Its time is never before that of the last one, whatever the clock does. */
  #next(): Beginning {
    this.#timeMs = Math.max(this.#timeMs, this.#parts.clock.nowMs())
    return { epoch: this.#epoch, first: this.#tail.position.offset + 1, timeMs: this.#timeMs }
  }

  #log(batch: Batch): void {
    const waiting = this.#waiting
    const keyed = this.#keyed
    const isPushing = this.#isPushing
    this.#waiting = []
    this.#keyed = []
    this.#isPushing = false
    if (!this.#journal(batch, keyed)) {
      for (const entry of keyed) this.#parts.keys.forget(entry)
      this.#countRefusal({ code: 'JOURNAL_FAILED' }, batch.count)
      const error = new PosternError('JOURNAL_FAILED').toBody()
      for (const { request, index } of waiting) this.#receipts.settle(request, index, { error })
      return
    }
    this.#passOn(batch)
    if (isPushing) this.#parts.delivery.add(batch.select(topic => isInSpace('push', topic)))
    for (const { request, index, offset } of waiting) {
      this.#receipts.settle(request, index, { id: formatId({ epoch: this.#epoch, offset }) })
    }
  }

  /** @returns whether the batch is in the journal. */
  #journal(batch: Batch, keyed: readonly KeyEntry[], keptThrough?: number): boolean {
    try {
      this.#parts.journal.append(batch, keyed, keptThrough)
      return true
    } catch (error) {
      this.#parts.onJournalFailure(error)
      return false
    }
  }

  /** @returns whether the batch is of a durable topic. */
  #keepBatch(batch: Batch): boolean {
    const [run] = batch.runs()
    const rule = run && this.#parts.rules.durable(run.topic)
    if (!rule) return false
    for (const message of batch.messages) this.#parts.keeper.keepOrDrop(message, rule)
    return true
  }

  #take(request: ReceiptRequest, index: number, { publication, key }: KeyedPublication): void {
    try {
      this.#admission.check(publication, this.limits.maxPayloadBytes)
      if (this.#receipts.withheldBytes > this.limits.maxWithheldBytes) {
        throw new PosternError('BACKLOG_FULL', undefined, {
          limit: this.limits.maxWithheldBytes,
          setting: 'maxWithheldBytes',
        })
      }
      const earlier = key && this.#findEarlier(publication, key)
      const isPushed = isInSpace('push', publication.topic)
      if (isPushed && !earlier) this.#parts.delivery.assertRoom(publication.topic)
      if (earlier) {
        this.#receipts.weigh(request, recordSize(publication))
        this.counters.repeated++
        this.#await(request, index, earlier)
        return
      }
      const rule = this.#parts.rules.durable(publication.topic)
      if (rule) {
        this.#parts.keeper.keep({ publication, ...(key && { key }) }, rule, entry => {
          if ('error' in entry) this.#countRefusal(entry.error)
          this.#receipts.settle(request, index, entry)
        })
        this.#receipts.await(request)
        this.#receipts.weigh(request, recordSize(publication))
        return
      }
      this.#receipts.weigh(request, recordSize(publication))
      const offset = this.#append(publication, key)
      if (isPushed) this.#isPushing = true
      this.#await(request, index, { epoch: this.#epoch, offset })
    } catch (error) {
      if (!(error instanceof PosternError)) throw error
      this.#countRefusal(error)
      request.receipts[index] = { error: error.toBody() }
    }
  }

  #countRefusal(...[error, count = 1]: Parameters<Refusals['add']>): void {
    this.counters.refused += count
    this.refusals.add(error, count)
  }

  #findEarlier(
    publication: Publication,
    { key, identity }: { key: string; identity: string },
  ): Position | undefined {
    if (!keyPattern.test(key))
      throw new PosternError('INVALID_KEY', 'An idempotency key is 1 to 255 printable ASCII characters.')
    const earlier = this.#parts.keys.find(identity, publication.topic, key, this.#parts.clock.nowMs())
    if (earlier && earlier.fingerprint !== this.#parts.fingerprint(publication))
      throw new PosternError('KEY_CONFLICT')
    return earlier
  }

  /** Settles an entry when its message is in the journal, which for a repeat it may be already. */
  #await(request: ReceiptRequest, index: number, position: Position): void {
    const isCommitted = position.epoch !== this.#epoch || position.offset <= this.#tail.position.offset
    if (isCommitted) {
      request.receipts[index] = { id: formatId(position) }
      return
    }
    this.#receipts.await(request)
    this.#waiting.push({ request, index, offset: position.offset })
  }

  #append(publication: Publication, key?: { key: string; identity: string }): number {
    if (this.#writer.isFullFor(publication)) this.commit()
    const offset = this.#tail.position.offset + 1 + this.#writer.count
    this.#writer.add(publication)
    if (key) {
      const entry: KeyEntry = {
        ...key,
        topic: publication.topic,
        fingerprint: this.#parts.fingerprint(publication),
        epoch: this.#epoch,
        offset,
        timeMs: this.#parts.clock.nowMs(),
      }
      this.#parts.keys.remember(entry)
      this.#keyed.push(entry)
    }
    this.#deferCommit()
    return offset
  }

  #deferCommit(): void {
    if (this.#isDeferred) return
    this.#isDeferred = true
    this.#parts.defer(() => {
      this.#isDeferred = false
      this.commit()
    })
  }

  #passOn(batch: Batch): void {
    const { history, output, flow } = this.#parts
    const floor = this.#tail.floor
    this.#tail.push(batch)
    const runs = batch.runs()
    history.addBatch(batch, runs)
    if (this.#tail.floor > floor) history.detachThrough(this.#tail.floor)
    output.stream(batch.bytes)
    for (const { payload } of batch.select(topic => topic === this.limits.defaultTopic, runs))
      output.plain(payload)
    this.counters.published += batch.count
    flow.published(batch.last, heldBytes(batch))
  }
}

import type { KeptKey, KeptRow, KeptState } from './kept/store.ts'
import type { Draft, Kept, KeptLedger } from './kept-ledger.ts'
import { KeptRoom } from './kept-room.ts'
import {
  assertLegacySize,
  formatId,
  isInSpace,
  type Position,
  PosternError,
  type Publication,
  type ReceiptEntry,
  spaceTopic,
} from './protocol/index.ts'
import type { NamedRule, TopicRules } from './topic-rules.ts'

/** How much of the store is read at once for the log, when a start finds messages that it does not have. */
const recoveryPage = { maxMessages: 256, maxBytes: 256 * 1024 }

/** When the journal could not be written, it is tried again after this. */
const relogMs = 1000

/** Gives kept messages their places in the log. */
export interface KeptLog {
  /**
   * @param rows in the order of their numbers.
   * @returns the places of those that are in the journal now: fewer than asked for when it cannot be written.
   */
  logKept(rows: readonly KeptRow[]): readonly Position[]
}

/** Hands on to receivers what is kept. */
export interface KeptAudience {
  /** Asks when a message is written whether it will be handed out as soon as it is kept. */
  goesLive(topic: string, bytes: number): boolean
  /** It was not kept: what `goesLive` has said will be asked again. */
  staysBehind(topic: string, bytes: number): void
  /** It is kept, and in the log; in the order of the numbers. */
  kept(row: KeptRow, isLive: boolean): void
}

export interface KeeperParts {
  readonly rules: TopicRules
  readonly ledger: KeptLedger
  readonly log: () => KeptLog
  readonly audience: KeptAudience
  readonly nowMs: () => number
  readonly timer: (delayMs: number, callback: () => void) => () => void
  readonly fingerprint: (publication: Publication) => string
  /** A message of a publisher who expects no receipt was not kept. */
  readonly onDropped: (topic: string, error: PosternError) => void
}

/** One message for a durable topic. */
export interface KeptPublication {
  readonly publication: Publication
  readonly key?: { readonly key: string; readonly identity: string }
}

type Settle = (entry: ReceiptEntry) => void

/**
 * Takes the messages of durable topics: they go into the store first, and take their places in the log when they are
 * on disk. Then they have receipts, and receivers get them.
 */
export class Keeper {
  readonly room = new KeptRoom()
  readonly counters = { kept: 0, keptDropped: 0 }
  readonly #parts: KeeperParts
  /** Messages under idempotency keys that are not in the log yet. */
  readonly #pending = new Map<string, KeepersDraft>()
  /** On disk, and not in the log yet. */
  #unlogged: Kept[] = []
  #cancelRelog: (() => void) | undefined
  #isReady = false

  constructor(parts: KeeperParts) {
    this.#parts = parts
  }

  get audience(): KeptAudience {
    return this.#parts.audience
  }

  /** What there is in the store; what the log does not have of it goes there before anything else. */
  open({ topics, last }: KeptState, journaledThrough: number, onReady: () => void): void {
    for (const { topic, messages, bytes } of topics) this.room.add(topic, messages, bytes)
    const { ledger } = this.#parts
    ledger.loggedThrough = Math.max(ledger.loggedThrough, journaledThrough)
    this.#recover(last, () => {
      this.#isReady = true
      onReady()
    })
  }

  /**
   * Keeps a message of a durable topic.
   *
   * @param settle called once with its receipt, or with why there is none. Left out where nobody waits for it.
   * @throws PosternError when it is refused at once.
   */
  keep({ publication, key }: KeptPublication, rule: NamedRule, settle?: Settle): void {
    const idempotency = key && { ...key, fingerprint: this.#parts.fingerprint(publication) }
    if (idempotency && settle && this.#repeats(publication, idempotency, settle)) return
    const { topic, type, binary, payload } = publication
    // Waiting for long, it must not keep the whole batch that it came in.
    const own = { topic, type, binary, payload: Buffer.from(payload) }
    this.#check(own, rule)
    const draft = new KeepersDraft({
      publication: own,
      timeMs: this.#parts.nowMs(),
      idempotency,
      settle,
      owner: this,
    })
    this.#parts.ledger.add(draft)
    this.room.add(topic, 1, payload.length)
    if (idempotency) this.#pending.set(nameOf(topic, idempotency), draft)
  }

  /** As {@link keep}, for whom nobody waits: what is refused is counted and told. */
  keepOrDrop(publication: Publication, rule: NamedRule): void {
    try {
      this.keep({ publication }, rule)
    } catch (error) {
      if (!(error instanceof PosternError)) throw error
      this.drop(publication.topic, error)
    }
  }

  /** These are on disk now. */
  take(kept: readonly Kept[]): void {
    this.counters.kept += kept.length
    this.#unlogged = this.#unlogged.length === 0 ? [...kept] : [...this.#unlogged, ...kept]
    this.#log()
  }

  /** A message will not be kept. */
  withdraw({ publication: { topic, payload }, idempotency }: KeepersDraft): void {
    this.room.remove(topic, 1, payload.length)
    if (idempotency) this.forget(topic, idempotency)
  }

  /** Repeats have somebody else to ask. */
  forget(topic: string, key: KeptKey): void {
    this.#pending.delete(nameOf(topic, key))
  }

  drop(topic: string, error: PosternError): void {
    this.counters.keptDropped++
    this.#parts.onDropped(topic, error)
  }

  #check(publication: Publication, rule: NamedRule): void {
    const { topic, payload } = publication
    if (!this.#isReady) throw new PosternError('STORE_UNAVAILABLE')
    if (this.#cancelRelog) throw new PosternError('JOURNAL_FAILED')
    // Where it goes when nobody can receive it has to be a topic too.
    spaceTopic('dead', topic)
    if (rule.legacy) assertLegacySize(publication)
    this.room.assert(topic, payload.length, rule)
  }

  /** Whether it is the message of an earlier publish that is still under way. */
  #repeats({ topic }: Publication, key: KeptKey, settle: Settle): boolean {
    const earlier = this.#pending.get(nameOf(topic, key))
    if (!earlier) return false
    if (earlier.idempotency?.fingerprint !== key.fingerprint) throw new PosternError('KEY_CONFLICT')
    earlier.await(settle)
    return true
  }

  #log(): void {
    if (this.#cancelRelog || this.#unlogged.length === 0) return
    const places = this.#parts.log().logKept(this.#unlogged.map(({ row }) => row))
    const logged = this.#unlogged.splice(0, places.length)
    for (const [i, { row, isLive, draft }] of logged.entries()) {
      const place = places[i]
      if (!place) continue
      this.#parts.ledger.loggedThrough = row.number
      draft.settle({ id: formatId(place) })
      this.#parts.audience.kept(row, isLive)
    }
    if (this.#unlogged.length === 0) return
    this.#cancelRelog = this.#parts.timer(relogMs, () => {
      this.#cancelRelog = undefined
      this.#log()
    })
  }

  /** A crash after a commit leaves messages on disk that are not in the log. */
  #recover(last: number, onDone: () => void): void {
    const { ledger } = this.#parts
    const query = { ...recoveryPage, after: ledger.loggedThrough, through: last }
    ledger.read(query, ({ rows, more }) => {
      const end = rows.at(-1)?.number ?? last
      const missing = rows.filter(({ topic }) => !isInSpace('dead', topic))
      this.#relog(missing, () => {
        ledger.loggedThrough = Math.max(ledger.loggedThrough, end)
        if (more) this.#recover(last, onDone)
        else onDone()
      })
    })
  }

  #relog(rows: readonly KeptRow[], onDone: () => void): void {
    const logged = rows.length === 0 ? 0 : this.#parts.log().logKept(rows).length
    const left = rows.slice(logged)
    if (left.length === 0) return onDone()
    this.#parts.timer(relogMs, () => this.#relog(left, onDone))
  }
}

/** What a draft is made of. */
interface DraftParts {
  readonly publication: Publication
  readonly timeMs: number
  readonly idempotency: KeptKey | undefined
  readonly settle: Settle | undefined
  readonly owner: Keeper
}

/** A message on its way into the store, with whoever waits for its receipt. */
class KeepersDraft implements Draft {
  readonly publication: Publication
  readonly timeMs: number
  readonly idempotency: KeptKey | undefined
  readonly #owner: Keeper
  readonly #isAwaited: boolean
  #settle: Settle | undefined
  /** Those who have published the same again meanwhile. */
  #repeats: Settle[] | undefined

  constructor({ publication, timeMs, idempotency, settle, owner }: DraftParts) {
    this.publication = publication
    this.timeMs = timeMs
    this.idempotency = idempotency
    this.#settle = settle
    this.#isAwaited = settle !== undefined
    this.#owner = owner
  }

  /** Somebody else waits too. */
  await(settle: Settle): void {
    this.#repeats ??= []
    this.#repeats.push(settle)
  }

  goesLive(): boolean {
    return this.#owner.audience.goesLive(this.publication.topic, this.publication.payload.length)
  }

  staysBehind(): void {
    this.#owner.audience.staysBehind(this.publication.topic, this.publication.payload.length)
  }

  refuse(error: PosternError): void {
    // One in doubt may still come: until then a repeat waits for it.
    if (error.code !== 'RECEIPT_UNKNOWN') this.withdraw()
    if (!this.#isAwaited) this.#owner.drop(this.publication.topic, error)
    this.#tell({ error: error.toBody() })
  }

  withdraw(): void {
    this.#owner.withdraw(this)
  }

  settle(entry: ReceiptEntry): void {
    if (this.idempotency) this.#owner.forget(this.publication.topic, this.idempotency)
    this.#tell(entry)
  }

  /** Who was told that it is unknown is told nothing more; a repeat waits for what becomes of it. */
  #tell(entry: ReceiptEntry): void {
    const settle = this.#settle
    const repeats = this.#repeats
    this.#settle = undefined
    this.#repeats = undefined
    settle?.(entry)
    for (const repeat of repeats ?? []) repeat(entry)
  }
}

// As for the keys of the log, no part can hold a NUL.
function nameOf(topic: string, { identity, key }: KeptKey): string {
  return `${identity}\0${topic}\0${key}`
}

import { Keeper } from '../../broker/keeper.ts'
import { MemoryStore } from '../../broker/kept/memory.ts'
import { type Change, type KeptStore, KeptStoreError } from '../../broker/kept/store.ts'
import { KeptLedger, type LedgerTrouble } from '../../broker/kept-ledger.ts'
import type { Position, ReceiptEntry } from '../../broker/protocol/index.ts'
import { type Handout, type ReceiverEnd, Receivers, type Registration } from '../../broker/receivers.ts'
import { type TopicRule, TopicRules } from '../../broker/topic-rules.ts'
import { durableRule } from './durable-rule.ts'
import { publication, textOf } from './publications.ts'

/** A store in memory that can fail, and that can be held. */
export class FaultyStore implements KeptStore {
  readonly store: MemoryStore
  /** How the next transactions go; those after them succeed. */
  readonly outcomes: ('ok' | 'refused' | 'lost' | 'unconfirmed')[] = []
  readonly applied: Change[] = []
  isAway = false
  #held: (() => void)[] | undefined

  constructor(store = new MemoryStore()) {
    this.store = store
  }

  /** Transactions wait until `release`. */
  hold(): void {
    this.#held ??= []
  }

  release(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const go of held) go()
  }

  async open() {
    if (this.isAway) throw new KeptStoreError('away', { isCertain: true })
    return this.store.open()
  }

  async apply(given: Change): Promise<void> {
    // As it goes to another thread.
    const change = structuredClone(given)
    if (this.#held) await new Promise<void>(resolve => this.#held?.push(resolve))
    const outcome = this.isAway ? 'refused' : (this.outcomes.shift() ?? 'ok')
    if (outcome === 'refused') throw new KeptStoreError('refused', { isCertain: true })
    if (outcome === 'lost') throw new KeptStoreError('lost')
    this.applied.push(change)
    await this.store.apply(change)
    if (outcome === 'unconfirmed') throw new KeptStoreError('lost')
  }

  async read(query: Parameters<KeptStore['read']>[0]) {
    if (this.isAway) throw new KeptStoreError('away')
    return this.store.read(query)
  }

  close(): Promise<void> {
    return this.store.close()
  }
}

/** A receiver that remembers what it got, and acknowledges when it is told to. */
export class TestReceiver {
  readonly handouts: Handout[] = []
  readonly ends: ReceiverEnd[] = []
  /** What it has been told that is off the disk. */
  readonly removed: string[] = []
  /** It fails when it gets something. */
  isBroken = false
  registration: Registration | undefined
  readonly #held = new Map<number, string>()

  take(handouts: readonly Handout[]): void {
    if (this.isBroken) throw new Error('broken')
    for (const handout of handouts) {
      this.handouts.push(handout)
      this.#held.set(handout.message.offset, textOf(handout.message))
    }
  }

  end(reason: ReceiverEnd): void {
    this.ends.push(reason)
    this.#held.clear()
  }

  /** Everything that it got, a redelivery as `text #2`. */
  get texts(): string[] {
    return this.handouts.map(({ message, deliveries, redelivered }) =>
      redelivered ? `${textOf(message)} #${deliveries}` : textOf(message),
    )
  }

  get held(): readonly string[] {
    return [...this.#held.values()]
  }

  acknowledge(...texts: readonly string[]): readonly number[] {
    const offsets = this.#take(texts)
    return this.registration?.acknowledge(offsets, () => this.removed.push(...texts)) ?? []
  }

  acknowledgeAll(): void {
    this.acknowledge(...this.held)
  }

  giveBack(...texts: readonly string[]): void {
    this.registration?.giveBack(this.#take(texts))
  }

  reject(reason: string, ...texts: readonly string[]): void {
    this.registration?.reject(this.#take(texts), reason)
  }

  leave(): void {
    this.registration?.leave()
    this.#held.clear()
  }

  #take(texts: readonly string[]): number[] {
    const found = [...this.#held].filter(([, text]) => texts.includes(text)).map(([offset]) => offset)
    for (const offset of found) this.#held.delete(offset)
    return found
  }
}

/** Durable topics without a socket, a disk or a clock; time passes when a test says so. */
export class KeptBroker {
  readonly store: FaultyStore
  readonly ledger: KeptLedger
  readonly keeper: Keeper
  readonly receivers: Receivers
  readonly rules: TopicRules
  /** Everything in the log, in its order. */
  readonly logged: string[]
  readonly dropped: string[] = []
  readonly dead: string[] = []
  readonly troubles: LedgerTrouble[] = []
  isJournalFull = false
  nowMs = 0
  readonly #journal: { keptThrough: number }
  #timers: { readonly atMs: number; readonly callback: () => void }[] = []
  #deferred: (() => void)[] = []

  constructor(
    rules: Readonly<Record<string, Partial<TopicRule>>> = { sms: {} },
    store = new FaultyStore(),
    logged: string[] = [],
    journal = { keptThrough: 0 },
    window = { messages: 64, bytes: 64 * 1024, backlog: 1024 * 1024 },
  ) {
    this.store = store
    this.logged = logged
    this.#journal = journal
    this.rules = new TopicRules(
      Object.fromEntries(Object.entries(rules).map(([name, rule]) => [name, { ...durableRule, ...rule }])),
    )
    this.ledger = new KeptLedger({
      store,
      bounds: { waitMs: 1000, maxWaitingBytes: 100_000 },
      monotonicMs: () => this.nowMs,
      timer: (delayMs, callback) => this.#time(delayMs, callback),
      defer: task => this.#deferred.push(task),
      onWriting: () => {},
      onKept: kept => this.keeper.take(kept),
      onTrouble: trouble => this.troubles.push(trouble),
    })
    this.receivers = new Receivers(
      {
        pullWindowMessages: window.messages,
        pullWindowBytes: window.bytes,
        maxReceiverBacklogBytes: window.backlog,
      },
      {
        rules: this.rules,
        ledger: this.ledger,
        defer: task => this.#deferred.push(task),
        onRemoved: (topic, bytes) => this.keeper.room.remove(topic, 1, bytes),
        onDead: (message, deliveries, reason) => {
          this.keeper.room.bury(message.topic, message.payload.length)
          this.dead.push(`${textOf(message)} ${deliveries} ${reason}`)
        },
        onExpired: () => {},
      },
    )
    this.keeper = new Keeper({
      rules: this.rules,
      ledger: this.ledger,
      log: () => ({ logKept: rows => this.#log(rows) }),
      audience: this.receivers,
      nowMs: () => this.nowMs,
      timer: (delayMs, callback) => this.#time(delayMs, callback),
      fingerprint: textOf,
      onDropped: (topic, error) => this.dropped.push(`${topic} ${error.code}`),
    })
  }

  /** Opens the store, as a start of the broker does. */
  async open(): Promise<this> {
    this.ledger.open(state =>
      this.keeper.open(state, this.#journal.keptThrough, () => this.receivers.open(state.name, state.last)),
    )
    await this.settle()
    return this
  }

  /** What another process finds. What this one has not written is lost. */
  async restarted(rules?: Readonly<Record<string, Partial<TopicRule>>>): Promise<KeptBroker> {
    const after = new KeptBroker(
      rules ?? Object.fromEntries([...this.#names()]),
      new FaultyStore(this.store.store),
      this.logged,
      this.#journal,
    )
    after.nowMs = this.nowMs
    return after.open()
  }

  /** Publishes, and gives the outcome for when it is there. */
  publish(text: string, topic = 'sms', key?: string): { entry: ReceiptEntry | undefined } {
    const outcome: { entry: ReceiptEntry | undefined } = { entry: undefined }
    const rule = this.rules.durable(topic)
    if (!rule) throw new Error('the topic is not durable')
    this.keeper.keep(
      { publication: publication({ topic, payload: text }), ...(key && { key: { key, identity: '' } }) },
      rule,
      entry => {
        if (outcome.entry) throw new Error('answered twice')
        outcome.entry = entry
      },
    )
    return outcome
  }

  async publishAll(...texts: readonly string[]): Promise<void> {
    for (const text of texts) this.publish(text)
    await this.settle()
  }

  receive(topic = 'sms', window?: { messages: number; bytes: number }): TestReceiver {
    const receiver = new TestReceiver()
    receiver.registration = this.receivers.register(topic, receiver, window ? { window } : {})
    return receiver
  }

  /** Lets everything happen that needs no time to pass. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 20; quiet++) {
      const deferred = this.#deferred
      this.#deferred = []
      for (const task of deferred) task()
      if (deferred.length > 0) quiet = 0
      await Promise.resolve()
    }
  }

  async pass(ms: number): Promise<void> {
    const endMs = this.nowMs + ms
    for (;;) {
      await this.settle()
      const next = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (!next) break
      this.#timers = this.#timers.filter(timer => timer !== next)
      this.nowMs = Math.max(this.nowMs, next.atMs)
      next.callback()
    }
    this.nowMs = endMs
    await this.settle()
  }

  *#names(): Generator<[string, TopicRule]> {
    for (const name of ['sms', 'other']) {
      const rule = this.rules.of(name)
      if (rule) yield [rule.pattern, rule]
    }
  }

  #log(rows: readonly { readonly number: number; readonly payload: Uint8Array }[]): Position[] {
    if (this.isJournalFull) return []
    return rows.map(row => {
      this.logged.push(textOf(row))
      this.#journal.keptThrough = row.number
      return { epoch: 'aaaaaaaaaaaa', offset: this.logged.length }
    })
  }

  #time(delayMs: number, callback: () => void): () => void {
    const timer = { atMs: this.nowMs + delayMs, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer)
    }
  }
}

export function codeOf({ entry }: { entry: ReceiptEntry | undefined }): string | undefined {
  return entry && 'error' in entry ? entry.error.code : undefined
}

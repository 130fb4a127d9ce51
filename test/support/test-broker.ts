import { Broker, type BrokerLimits, type KeyedPublication } from '../../broker/broker.ts'
import { Delivery, type DeliveryBounds } from '../../broker/delivery.ts'
import { Flow, type FlowBounds } from '../../broker/flow.ts'
import type { Journal, KeyEntry, PastEpoch } from '../../broker/journal/journal.ts'
import { MemoryJournal } from '../../broker/journal/memory.ts'
import type { Keeper } from '../../broker/keeper.ts'
import { type KeyBounds, KeyTable } from '../../broker/keys.ts'
import { type Batch, decodeBatch, type Publication, type ReceiptEntry } from '../../broker/protocol/index.ts'
import { type HistoryBounds, Retained } from '../../broker/retained.ts'
import { TopicRules } from '../../broker/topic-rules.ts'
import { publication, readBatch, textOf } from './publications.ts'

type Settings = Partial<BrokerLimits & FlowBounds & KeyBounds & DeliveryBounds> & {
  readonly history?: Partial<HistoryBounds>
}

/** What has come back for a request; undefined until then. */
export interface Answer {
  receipts: readonly ReceiptEntry[] | undefined
}

/**
 * A broker without a socket, a disk or a clock: what is deferred runs when a test says so, and everything that goes
 * out is collected.
 */
export class TestBroker {
  readonly epoch: string
  readonly streamed: Batch[] = []
  readonly plain: string[] = []
  readonly journalFailures: unknown[] = []
  readonly flow: Flow
  readonly delivery: Delivery
  /** What was handed over, as `peer pull text`. */
  readonly handed: string[] = []
  readonly keys: KeyTable
  readonly history: Retained
  readonly broker: Broker
  nowMs: number
  /** The journal throws while this is set. */
  isDiskFull = false
  readonly #journal: MemoryJournal
  readonly #settings: Settings
  #deferred: (() => void)[] = []

  constructor(
    settings: Settings = {},
    journal = new MemoryJournal(),
    epoch = 'aaaaaaaaaaaa',
    nowMs = 10_000,
    pastEpochs: readonly PastEpoch[] = [],
  ) {
    this.#settings = settings
    this.#journal = journal
    this.epoch = epoch
    this.nowMs = nowMs
    const limits = {
      defaultTopic: 'chat',
      maxPayloadBytes: 256 * 1024,
      tailBytes: 1024 * 1024,
      maxWithheldBytes: 1024 * 1024,
      maxLagBytes: 1024 * 1024,
      peerTimeoutMs: 1000,
      idempotencyMs: 60_000,
      maxIdempotencyKeys: 1000,
      maxPushBytes: 1024 * 1024,
      maxUnpulledBytes: 512 * 1024,
      pushAgeMs: 60_000,
      pullWindowMessages: 64,
      pullWindowBytes: 64 * 1024,
      ...settings,
    }
    const bounds = {
      messages: 10_000,
      bytes: 2 ** 30,
      ageMs: 2 ** 40,
      totalBytes: 2 ** 30,
      ...settings.history,
    }
    this.flow = new Flow(limits)
    this.delivery = new Delivery(limits, {
      hand: (peer, handovers) => {
        for (const { pull, message } of handovers) this.handed.push(`${peer} ${pull} ${textOf(message)}`)
      },
    })
    this.keys = new KeyTable(limits)
    this.history = new Retained(bounds)
    const recovery = { ...journal.recover(epoch), pastEpochs }
    for (const batch of recovery.batches) this.history.addBatch(batch)
    this.broker = new Broker(
      limits,
      {
        journal: this.#guarded(),
        history: this.history,
        keys: this.keys,
        flow: this.flow,
        delivery: this.delivery,
        keeper: noKeeper,
        rules: new TopicRules({}),
        output: {
          stream: bytes => this.streamed.push(readBatch(bytes)),
          plain: payload => this.plain.push(textOf({ payload })),
        },
        clock: { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs },
        defer: task => this.#deferred.push(task),
        fingerprint: ({ type, binary, payload }) =>
          `${type} ${binary} ${Buffer.from(payload).toString('hex')}`,
        onJournalFailure: error => this.journalFailures.push(error),
      },
      recovery,
    )
  }

  /** Ends this turn of the event loop. */
  turn(): void {
    const deferred = this.#deferred
    this.#deferred = []
    for (const task of deferred) task()
  }

  /** Hands over one request, each of its messages without a key unless it says so. */
  request(...items: readonly (Publication | KeyedPublication)[]): Answer {
    const answer: Answer = { receipts: undefined }
    this.broker.publish(
      items.map(item => ('publication' in item ? item : { publication: item })),
      receipts => {
        if (answer.receipts) throw new Error('a request was answered twice')
        answer.receipts = receipts
      },
    )
    return answer
  }

  /** Publishes in a turn of its own, and gives the receipts. */
  publish(...items: readonly (Publication | KeyedPublication)[]): readonly ReceiptEntry[] {
    const answer = this.request(...items)
    this.turn()
    if (!answer.receipts) throw new Error('there is no answer')
    return answer.receipts
  }

  /** What another process finds that begins with this one's journal. */
  restarted(settings: Settings = {}): TestBroker {
    return new TestBroker({ ...this.#settings, ...settings }, this.#journal, this.epoch, this.nowMs)
  }

  /** What another process finds when the last messages may have been lost. */
  afterPowerLoss(epoch: string): TestBroker {
    const past = { epoch: this.epoch, last: this.broker.position.offset }
    return new TestBroker(this.#settings, this.#journal, epoch, this.nowMs, [past])
  }

  /** Everything that went out to the functions, in its order. */
  get texts(): string[] {
    return this.streamed.flatMap(({ messages }) => messages.map(textOf))
  }

  #guarded(): Journal {
    return {
      append: (batch: Batch, keys: readonly KeyEntry[]) => {
        if (this.isDiskFull) throw new Error('no space left on device')
        this.#journal.append(batch, keys)
      },
      retire: through => this.#journal.retire(through),
      close: () => this.#journal.close(),
    }
  }
}

const noKeeper: Pick<Keeper, 'keep' | 'keepOrDrop'> = {
  keep: () => unexpected(),
  keepOrDrop: () => unexpected(),
}

function unexpected(): never {
  throw new Error('no topic is durable here')
}

/** A message under an idempotency key. */
export function withKey(
  key: string,
  fields: Parameters<typeof publication>[0] = {},
  identity = '',
): KeyedPublication {
  return { publication: publication(fields), key: { key, identity } }
}

export function messagesOf(batches: readonly Uint8Array[]) {
  return batches.flatMap(bytes => decodeBatch(bytes)?.messages ?? [])
}

import { randomBytes } from 'node:crypto'
import type {
  Backbone,
  BackboneState,
  EndReason,
  PublishOptions,
  Pull,
  PullSink,
  Receipt,
  ReceiveOptions,
  ReceiveSink,
  Receiving,
  Sink,
  Snapshot,
  Start,
  Subscription,
} from '#client'
import {
  type Access,
  type BrokerStatus,
  type Credential,
  isInSpace,
  isServiceTopic,
  isSystemTopic,
  type Login,
  Message,
  type Position,
  PosternError,
  type Publication,
  parseId,
  type Rights,
  type Selection,
  selector,
} from '#protocol'
import type { TopicRule } from '../../broker/topic-rules.ts'
import { type AccessTable, MemoryAccess } from './memory-access.ts'
import { MemoryPulls } from './memory-pulls.ts'
import { MemoryReceives } from './memory-receives.ts'

export interface MemoryBackboneOptions {
  /** Default: `chat`. */
  readonly defaultTopic?: string
  /** Default: 256 KiB. */
  readonly maxPayloadBytes?: number
  /** What a subscription may have waiting before it is ended as slow. Default: 1 MiB. */
  readonly maxBufferedBytes?: number
  /** What may wait for pullers before publishers are refused. Default: 16 MiB. */
  readonly maxUnpulledBytes?: number
  /** What holds for topics, by their patterns. Default: none is durable. */
  readonly topics?: Readonly<Record<string, TopicRule>>
  /** Rules of access, and those whom they are for. Default: none. */
  readonly access?: AccessTable
  /** The newest so many messages can be replayed. Default: 10,000. */
  readonly maxRetainedMessages?: number
  /** False begins with a log that was never reached. Default: true. */
  readonly reached?: boolean
  /** Default: the wall clock. */
  readonly nowMs?: () => number
}

/** The contract of a backbone in its plainest form: the log is an array, and nothing can be lost on the way. */
export class MemoryBackbone implements Backbone {
  readonly epoch = randomBytes(6).toString('hex')
  readonly #options: Required<MemoryBackboneOptions>
  readonly #groups = new Map<string, Group>()
  readonly #access: MemoryAccess
  readonly #pulls: MemoryPulls
  readonly #receives: MemoryReceives
  readonly #receipts = new Map<string, { readonly payload: Uint8Array; readonly receipt: Receipt }>()
  #log: Message[] = []
  #last = 0
  /** Every message after this offset can be replayed. */
  #floor = 0
  #fresh: Message[] = []
  #state: BackboneState
  #reached: boolean
  #closed = false

  constructor(options: MemoryBackboneOptions = {}) {
    this.#options = {
      defaultTopic: 'chat',
      maxPayloadBytes: 256 * 1024,
      maxBufferedBytes: 1024 * 1024,
      maxUnpulledBytes: 16 * 1024 * 1024,
      topics: {},
      access: { rules: [] },
      maxRetainedMessages: 10_000,
      reached: true,
      nowMs: Date.now,
      ...options,
    }
    this.#access = new MemoryAccess(this.#options.access, this.#options.nowMs)
    this.#pulls = new MemoryPulls(this.#options.maxUnpulledBytes)
    this.#receives = new MemoryReceives(this.#options.topics)
    this.#reached = this.#options.reached
    this.#state = this.#reached ? 'up' : 'away'
  }

  get state(): BackboneState {
    return this.#state
  }

  get defaultTopic(): string | undefined {
    return this.#reached ? this.#options.defaultTopic : undefined
  }

  get maxPayloadBytes(): number | undefined {
    return this.#reached ? this.#options.maxPayloadBytes : undefined
  }

  get access(): Access | undefined {
    return this.#reached ? this.#access.access : undefined
  }

  /** Other rules hold from now on, for others. */
  changeAccess(table: AccessTable): void {
    this.#access.change(table)
  }

  /** How many subscriptions are open. */
  get subscriptions(): number {
    return [...this.#groups.values()].reduce((count, group) => count + group.members.size, 0)
  }

  get position(): Position {
    return { epoch: this.epoch, offset: this.#last }
  }

  /** From now on the log cannot be reached. */
  goAway(): void {
    this.#state = 'away'
  }

  /** The log can be reached again. */
  comeBack(): void {
    this.#state = 'up'
    if (!this.#reached) {
      this.#reached = true
      this.#access.tell()
    }
    this.#deliver()
    for (const group of this.#groups.values()) for (const member of group.members) this.#begin(member, group)
  }

  async ready(): Promise<void> {
    this.#assertUp()
  }

  async publish(publication: Publication, options: PublishOptions = {}): Promise<Receipt> {
    this.#assertUp()
    const { maxPayloadBytes } = this.#options
    const { topic } = publication
    if (isSystemTopic(topic) && !isServiceTopic(topic)) throw new PosternError('RESERVED_TOPIC')
    if (publication.payload.length > maxPayloadBytes)
      throw new PosternError('PAYLOAD_TOO_LARGE', undefined, {
        limit: maxPayloadBytes,
        setting: 'maxPayloadBytes',
      })
    const { idempotencyKey, identity = '' } = options
    if (idempotencyKey === undefined) return this.#append(publication)
    const key = JSON.stringify([identity, publication.topic, idempotencyKey])
    const first = this.#receipts.get(key)
    if (first && !equal(first.payload, publication.payload)) throw new PosternError('KEY_CONFLICT')
    if (first) return first.receipt
    const receipt = this.#append(publication)
    this.#receipts.set(key, { payload: publication.payload.slice(), receipt })
    return receipt
  }

  subscribe(selection: Selection, start: Start, sink: Sink): Subscription {
    const key = JSON.stringify([selection.exact, [...selection.topics].sort()])
    const group = this.#groups.get(key) ?? { selects: selector(selection), members: new Set() }
    this.#groups.set(key, group)
    const member = new MemorySubscription(this, sink, start, this.#options.maxBufferedBytes, () => {
      group.members.delete(member)
      if (group.members.size === 0) this.#groups.delete(key)
    })
    group.members.add(member)
    queueMicrotask(() => {
      this.#deliver()
      this.#begin(member, group)
    })
    return member
  }

  pull(topic: string, sink: PullSink): Pull {
    const pull = this.#pulls.open(topic, sink)
    if (this.#closed) this.#pulls.end()
    return pull
  }

  receive(topic: string, sink: ReceiveSink, options: ReceiveOptions = {}): Receiving {
    const receiving = this.#receives.open(topic, sink, options)
    if (this.#closed) this.#receives.end()
    return receiving
  }

  async acknowledge(topic: string, ids: readonly string[]): Promise<readonly string[]> {
    this.#assertUp()
    return this.#receives.acknowledge(topic, ids)
  }

  async authorize(credential: Credential): Promise<Rights> {
    if (this.#state !== 'up') throw new PosternError('LOGIN_UNAVAILABLE')
    return this.#access.authorize(credential)
  }

  async login(name: string, password: string): Promise<Login> {
    if (this.#state !== 'up') throw new PosternError('LOGIN_UNAVAILABLE')
    return this.#access.login(name, password)
  }

  onAccessChange(listener: () => void): () => void {
    return this.#access.onChange(listener)
  }

  async history(selection: Selection, count: number): Promise<Snapshot> {
    this.#assertUp()
    return { position: this.position, messages: this.#newest(selector(selection), count) }
  }

  async status(): Promise<BrokerStatus> {
    this.#assertUp()
    return {
      version: 'memory',
      epoch: this.epoch,
      last: this.#last,
      uptimeMs: 0,
      residentBytes: 0,
      peers: 1,
      subscribers: 0,
      delivered: 0,
      tcpConnections: 0,
      publishedPerS: 0,
      deliveredPerS: 0,
      topics: new Set(this.#log.map(message => message.topic)).size,
      historyMessages: this.#log.length,
      historyBytes: this.#log.reduce((bytes, message) => bytes + message.weight, 0),
      tailBytes: 0,
      withheldReceipts: 0,
      ...this.#pulls.figures,
      ...this.#receives.figures,
      counters: {},
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#state = 'away'
    for (const group of [...this.#groups.values()])
      for (const member of [...group.members]) member.end('shutdown')
    this.#pulls.end()
    this.#receives.end()
  }

  #assertUp(): void {
    if (this.#state !== 'up') throw new PosternError('BROKER_UNAVAILABLE')
  }

  #append(publication: Publication): Receipt {
    const isPushed = isInSpace('push', publication.topic)
    if (isPushed) this.#pulls.assertRoom(publication.topic)
    this.#receives.assertRoom(publication.topic)
    const message = this.#place(publication)
    this.#receives.keep(publication)
    if (isPushed) this.#pulls.add(message)
    return { id: message.id }
  }

  #place({ topic, type, binary, payload }: Publication): Message {
    const place = { epoch: this.epoch, offset: ++this.#last, timeMs: this.#options.nowMs() }
    const message = new Message(place, { topic, type, binary }, payload.slice(), 0, payload.length)
    this.#log.push(message)
    const oldest = this.#log.length > this.#options.maxRetainedMessages ? this.#log.shift() : undefined
    if (oldest) this.#floor = oldest.offset
    this.#fresh.push(message)
    // Whatever is published within one turn is delivered at once.
    if (this.#fresh.length === 1) queueMicrotask(() => this.#deliver())
    return message
  }

  #deliver(): void {
    const fresh = this.#fresh
    this.#fresh = []
    for (const group of [...this.#groups.values()]) {
      const selected = fresh.filter(message => group.selects(message.topic))
      if (selected.length === 0) continue
      for (const member of [...group.members]) if (member.begun) member.take(selected)
    }
  }

  #begin(member: MemorySubscription, group: Group): void {
    if (this.#state !== 'up' || member.begun || member.ended) return
    const { since, history = 0 } = member.wanted
    if (since !== undefined) {
      const seen = parseId(since)
      const found = seen?.epoch === this.epoch && seen.offset >= this.#floor && seen.offset <= this.#last
      const from = found ? seen : { epoch: this.epoch, offset: this.#floor }
      const missed = this.#log.filter(message => message.offset > from.offset && group.selects(message.topic))
      member.begin(from, !found, missed)
    } else {
      const newest = this.#newest(group.selects, history)
      const offset = newest[0] ? newest[0].offset - 1 : this.#last
      member.begin({ epoch: this.epoch, offset }, false, newest)
    }
  }

  #newest(selects: (topic: string) => boolean, count: number): Message[] {
    const selected = this.#log.filter(message => !isSystemTopic(message.topic) && selects(message.topic))
    return selected.slice(Math.max(0, selected.length - count))
  }
}

/** The subscriptions that select the same, and so share each list of messages. */
interface Group {
  readonly selects: (topic: string) => boolean
  readonly members: Set<MemorySubscription>
}

class MemorySubscription implements Subscription {
  readonly wanted: Start
  readonly #backbone: MemoryBackbone
  readonly #sink: Sink
  readonly #maxBufferedBytes: number
  readonly #leave: () => void
  #waiting: Message[] = []
  #waitingBytes = 0
  #delivered: Position | undefined
  #full = false
  ended = false

  constructor(
    backbone: MemoryBackbone,
    sink: Sink,
    wanted: Start,
    maxBufferedBytes: number,
    leave: () => void,
  ) {
    this.#backbone = backbone
    this.#sink = sink
    this.wanted = wanted
    this.#maxBufferedBytes = maxBufferedBytes
    this.#leave = leave
  }

  get begun(): boolean {
    return this.#delivered !== undefined
  }

  get caughtUp(): boolean {
    return this.begun && !this.ended && this.#waiting.length === 0
  }

  get position(): Position | undefined {
    return this.caughtUp ? this.#backbone.position : this.#delivered
  }

  begin(from: Position, gap: boolean, missed: readonly Message[]): void {
    this.#delivered = from
    this.#guard(() => this.#sink.start(from))
    if (gap) this.#guard(() => this.#sink.gap(from))
    if (missed.length > 0) this.take(missed)
  }

  take(messages: readonly Message[]): void {
    if (this.ended) return
    if (!this.#full) {
      this.#hand(messages)
      return
    }
    this.#waiting.push(...messages)
    for (const message of messages) this.#waitingBytes += message.weight
    if (this.#waitingBytes > this.#maxBufferedBytes) this.end('slow')
  }

  resume(): void {
    this.#full = false
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    if (waiting.length > 0 && !this.ended) this.#hand(waiting)
  }

  close(): void {
    this.ended = true
    this.#waiting = []
    this.#leave()
  }

  end(reason: EndReason): void {
    if (this.ended) return
    this.close()
    this.#sink.end(reason)
  }

  #hand(messages: readonly Message[]): void {
    const last = messages.at(-1)
    if (last) this.#delivered = { epoch: last.epoch, offset: last.offset }
    this.#guard(() => {
      this.#full = !this.#sink.deliver(messages)
    })
  }

  /** A sink that throws harms nobody but itself. */
  #guard(act: () => void): void {
    if (this.ended) return
    try {
      act()
    } catch {
      this.end('failed')
    }
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

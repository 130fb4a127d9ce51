import {
  type Access,
  type Batch,
  type BrokerStatus,
  type Credential,
  decodeBatch,
  type Login,
  type Message,
  openRights,
  type Position,
  PosternError,
  type Publication,
  type PullSteps,
  type ReceiveReply,
  type ReceiveSteps,
  type Rights,
  type Selection,
} from '../protocol/index.ts'
import { AccessWatch } from './access-watch.ts'
import { defaultBroker, parseBrokerAddress, seenFrom } from './address.ts'
import { Authorizations } from './authorizations.ts'
import type {
  Backbone,
  BackboneState,
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
} from './backbone.ts'
import { Chain, type LogPage } from './chain.ts'
import type { CurveKeys } from './curve.ts'
import { Inquiries } from './inquiries.ts'
import { Link } from './link.ts'
import { Outbox } from './outbox.ts'
import { Pulls } from './pulls.ts'
import { Receives } from './receives.ts'
import { Stream } from './stream.ts'
import { Subscriptions } from './subscriptions.ts'

/** A position is answered at once, or at the next sign. */
const positionTimeoutMs = 5000

/** What happens to pullers and receivers is told again when the broker has not answered by then. */
const pullTimeoutMs = 5000

/** The stream may be this much later than a reply that tells how far the log has come. */
const streamGraceMs = 100

/** The broker learns how far this process has come at least each time it has handled so much. */
const reportBytes = 256 * 1024

/** How much of the log is kept for resumes that need not ask the broker: a few seconds of a busy one. */
const defaultTailBytes = 4 * 1024 * 1024

export interface RelayOptions {
  /** The broker's requests socket. Default `tcp://127.0.0.1:5001`. */
  readonly broker?: string
  /** For a broker that asks for keys. Default: the connection is not encrypted. */
  readonly curve?: CurveKeys
  /** What may wait for a subscriber that does not read. Default 4 MiB. */
  readonly maxBufferedBytes?: number
  /** What may wait for the broker before publishers are refused with `BACKLOG_FULL`. Default 8 MiB. */
  readonly maxPendingBytes?: number
  /** How much of the newest log is kept in this process. Default 4 MiB. */
  readonly tailBytes?: number
  /** Called when the broker can be reached, and when it cannot any more. */
  readonly onState?: (state: 'up' | 'away') => void
  /** Called, about once a second, while the broker refuses the connection for its keys, or for having none. */
  readonly onRefused?: (reason: string) => void
  /** Called when messages were missed on the stream and fetched again, with their number. */
  readonly onRepaired?: (messages: number) => void
  /** Called with how many messages of the log have not come yet, whenever the broker tells where it stands. */
  readonly onLag?: (messages: number) => void
}

/**
 * The built-in broker's backbone: one for each process, shared by all its connections. It follows the whole log on
 * one stream, repairs what the stream drops, and reconnects by itself.
 *
 * @throws Error when the address of the broker is not `tcp://host:port`, or a key is none.
 */
export class Relay implements Backbone {
  readonly #broker: string
  readonly #onLag: RelayOptions['onLag']
  readonly #link: Link
  readonly #outbox: Outbox
  readonly #stream: Stream
  readonly #chain: Chain
  readonly #subscriptions: Subscriptions
  readonly #pulls: Pulls
  readonly #receives: Receives
  readonly #inquiries: Inquiries
  readonly #accessWatch = new AccessWatch()
  readonly #authorizations: Authorizations
  #gathered: Batch[] | undefined
  #unreportedBytes = 0
  #graceTimer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: RelayOptions = {}) {
    this.#broker = parseBrokerAddress(options.broker ?? defaultBroker)
    this.#onLag = options.onLag
    this.#chain = new Chain({
      tailBytes: options.tailBytes ?? defaultTailBytes,
      replay: since => this.#replayLog(since, options.onRepaired),
      onBatch: batch => this.#pass(batch),
      onBreak: old => {
        this.#subscriptions.interrupt(old)
        this.#subscriptions.wake()
      },
      onForeignEpoch: () => this.#link.greet(),
    })
    this.#subscriptions = new Subscriptions({
      maxBufferedBytes: options.maxBufferedBytes ?? defaultTailBytes,
      tail: () => this.#chain.tail,
      replay: (selection, start) => this.#inquiries.past(selection, start),
    })
    this.#stream = new Stream(batches => this.#take(batches), options.curve)
    this.#link = new Link({
      address: this.#broker,
      curve: options.curve,
      onRefused: options.onRefused,
      onUp: ({ epoch, last, stream, session, access }) => {
        this.#accessWatch.take(access)
        options.onState?.('up')
        this.#stream.connect(stream.map(told => seenFrom(this.#broker, told)))
        this.#chain.meet({ epoch, offset: last })
        this.#report()
        this.#subscriptions.wake()
        this.#pulls.meet(session)
        this.#receives.meet(session)
      },
      onHand: (head, batches) => this.#pulls.take(head, messagesOf(batches)),
      onDeliver: (head, batches) => this.#receives.take(head, messagesOf(batches)),
      onAway: () => options.onState?.('away'),
      onSign: () => {
        this.#report()
        this.#subscriptions.wake()
        this.#pulls.sign()
        this.#receives.sign()
      },
    })
    this.#pulls = new Pulls({
      isUp: () => this.#link.state === 'up',
      brokerMs: () => this.#link.brokerMs(0),
      tell: steps => this.#tellPulls(steps),
    })
    this.#receives = new Receives({
      isUp: () => this.#link.state === 'up',
      brokerMs: () => this.#link.brokerMs(0),
      tell: steps => this.#tellReceives(steps),
    })
    this.#inquiries = new Inquiries(this.#link)
    this.#authorizations = new Authorizations(this.#link, access => this.#accessWatch.take(access))
    this.#outbox = new Outbox(this.#link, options.maxPendingBytes)
  }

  get state(): BackboneState {
    return this.#link.state
  }

  get defaultTopic(): string | undefined {
    return this.#link.hello?.defaultTopic
  }

  get maxPayloadBytes(): number | undefined {
    return this.#link.hello?.maxPayloadBytes
  }

  get access(): Access | undefined {
    return this.#accessWatch.access
  }

  ready(): Promise<void> {
    return this.#link.ready()
  }

  publish(publication: Publication, options: PublishOptions = {}): Promise<Receipt> {
    return this.#outbox.publish(publication, options)
  }

  subscribe(selection: Selection, start: Start, sink: Sink): Subscription {
    const subscription = this.#subscriptions.add(selection, start, sink)
    if (this.#isClosed) this.#subscriptions.end('shutdown')
    return subscription
  }

  pull(topic: string, sink: PullSink): Pull {
    const pull = this.#pulls.add(topic, sink)
    if (this.#isClosed) this.#pulls.end()
    return pull
  }

  receive(topic: string, sink: ReceiveSink, options: ReceiveOptions = {}): Receiving {
    const receiving = this.#receives.add(topic, sink, options)
    if (this.#isClosed) this.#receives.end()
    return receiving
  }

  async acknowledge(topic: string, ids: readonly string[]): Promise<readonly string[]> {
    await this.#link.ready()
    const steps = { open: [], acknowledged: [], released: [{ topic, ids }], returned: [], close: [] }
    return (await this.#tellReceives(steps)).unknown
  }

  async authorize(credential: Credential, address: string): Promise<Rights> {
    if (this.access?.isOpen) return openRights
    return (await this.#authorizations.ask({ credential, address }, this.access)).rights
  }

  async login(name: string, password: string, address: string): Promise<Login> {
    const credential = { kind: 'password', name, password } as const
    const { rights, token } = await this.#authorizations.ask(
      { credential, address, login: true },
      this.access,
    )
    // There are no rules: nobody has to log in.
    if (token === undefined) throw new PosternError('NOT_FOUND')
    return { rights, token }
  }

  onAccessChange(listener: () => void): () => void {
    return this.#accessWatch.onChange(listener)
  }

  history(selection: Selection, count: number): Promise<Snapshot> {
    return this.#inquiries.history(selection, count)
  }

  status(): Promise<BrokerStatus> {
    return this.#inquiries.status()
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#graceTimer)
    this.#subscriptions.end('shutdown')
    this.#pulls.end()
    this.#receives.end()
    this.#link.close()
    this.#stream.close()
  }

  /** What came in one turn goes on at once: each connection then gets one write for all of it. */
  #take(batches: readonly Batch[]): void {
    const gathered: Batch[] = []
    this.#gathered = gathered
    for (const batch of batches) this.#chain.take(batch)
    this.#gathered = undefined
    this.#deliver(gathered)
  }

  #pass(batch: Batch): void {
    if (this.#gathered) this.#gathered.push(batch)
    else this.#deliver([batch])
  }

  #deliver(batches: readonly Batch[]): void {
    this.#subscriptions.deliver(batches)
    for (const { bytes } of batches) this.#unreportedBytes += bytes.length
    if (this.#unreportedBytes >= reportBytes) this.#report()
  }

  /** Tells the broker how far this process has come, and learns how far the log has. */
  #report(): void {
    const session = this.#link.hello?.session
    const offset = this.#chain.position?.offset
    if (session === undefined || offset === undefined || this.#isClosed) return
    this.#unreportedBytes = 0
    const { count: subscribers, delivered } = this.#subscriptions
    const position = { op: 'position' as const, session, offset, subscribers, delivered }
    this.#link.request(position, positionTimeoutMs).then(
      ({ head }) => {
        if (head.op !== 'position') return
        this.#accessWatch.take(head.access)
        const position = this.#chain.position
        if (head.epoch !== position?.epoch) return
        this.#onLag?.(Math.max(0, head.last - position.offset))
        this.#expect(head.last)
      },
      () => {
        // Reported again at the next sign.
      },
    )
  }

  /** The log reaches this far; what the stream has not brought soon is fetched. */
  #expect(last: number): void {
    const position = this.#chain.position
    if (!position || position.offset >= last || this.#graceTimer || this.#isClosed) return
    this.#graceTimer = setTimeout(() => {
      this.#graceTimer = undefined
      if (this.#chain.position?.epoch === position.epoch) this.#chain.reach(last)
    }, streamGraceMs)
  }

  async #tellPulls(steps: PullSteps): Promise<number> {
    const session = this.#link.hello?.session
    if (session === undefined) throw new PosternError('BROKER_UNAVAILABLE')
    const { head } = await this.#link.request({ op: 'pull', session, ...steps }, pullTimeoutMs)
    if (head.op !== 'pull') throw new PosternError('INTERNAL')
    return head.pullers
  }

  async #tellReceives(steps: ReceiveSteps): Promise<ReceiveReply> {
    const session = this.#link.hello?.session
    if (session === undefined) throw new PosternError('BROKER_UNAVAILABLE')
    const { head } = await this.#link.request({ op: 'receive', session, ...steps }, pullTimeoutMs)
    if (head.op !== 'receive') throw new PosternError('INTERNAL')
    return head
  }

  async #replayLog(since: Position, onRepaired: RelayOptions['onRepaired']): Promise<LogPage> {
    const page = await this.#inquiries.log(since)
    const messages = page.batches.reduce((sum, batch) => sum + batch.count, 0)
    if (messages > 0) onRepaired?.(messages)
    return page
  }
}

function messagesOf(batches: readonly Uint8Array[]): Message[] {
  return batches.flatMap(bytes => decodeBatch(bytes)?.messages ?? [])
}

import { backoffMs } from './backoff.ts'
import type { ConnectionState, FromHub, ToHub } from './hub-protocol.ts'
import type { ChatMessage, History } from './message.ts'

/** The server does not serve a topic, now or later. */
export class TopicRefused extends Error {
  override readonly name = 'TopicRefused'
  /** It may, to somebody who has logged in. */
  readonly asksForLogin: boolean

  constructor(reason: string, asksForLogin = false) {
    super(reason)
    this.asksForLogin = asksForLogin
  }
}

/** What an open stream reports. */
export interface StreamEvents {
  opened(): void
  message(message: ChatMessage): void
  /** Messages are missing. */
  gap(): void
  /** How far the stream has come: the id that resumes it. Called with every event. */
  reached(id: string): void
  /** The stream has ended or never began. Nothing follows. */
  failed(): void
}

export interface HubEffects {
  /** @throws TopicRefused; anything else is worth another attempt. */
  history(topic: string): Promise<History>
  /** Whether a topic is still served. @throws as `history` does. */
  check(topic: string): Promise<void>
  /** Opens the stream of some topics from an id on. */
  open(topics: readonly string[], since: string, events: StreamEvents): { close(): void }
  /** Calls back once. @returns what cancels it. */
  after(ms: number, action: () => void): () => void
  now(): number
  random(): number
}

/** A page that wants the messages of one topic. */
export interface Member {
  send(message: FromHub): void
}

interface Seat {
  readonly topic: string
  hasHistory: boolean
  heardMs: number
}

/** A stream that ends sooner after its opening counts as one more failure. */
const steadyMs = 5_000
const openWithinMs = 10_000
/** A change of rooms reopens the stream in a moment, of which the reader is told only when it takes longer. */
const noticeableMs = 1_000
const pingMs = 30_000
const silentMs = 100_000
/** A ping that comes so late tells that the machine has slept; a hidden page's timers are late by up to a minute. */
const sleptMs = 3 * pingMs

/**
 * One stream for all pages of a browser: it is of the topics of all of them, and comes back from where it was when it
 * breaks off or the topics change. A page that joins gets the history first, then what follows it.
 */
export class StreamHub {
  readonly #effects: HubEffects
  readonly #seats = new Map<Member, Seat>()
  #state: ConnectionState = { kind: 'connecting' }
  #lastId: string | undefined
  #stream: { close(): void } | undefined
  #isGathering = false
  #isOnline = true
  /** The last stream did not open, and nobody is told why. */
  #isDoubtful = false
  #failures = 0
  // Told apart by this number, callbacks of an attempt that was given up have no effect.
  #attempt = 0
  #cancelTimer = () => {}
  #cancelNotice = () => {}
  #cancelPing = () => {}
  #pingedMs = 0

  constructor(effects: HubEffects) {
    this.#effects = effects
  }

  receive(member: Member, message: ToHub): void {
    if (message.kind === 'join') return this.#join(member, message)
    const seat = this.#seats.get(member)
    if (!seat) {
      if (message.kind !== 'leave') member.send({ kind: 'dropped' })
      return
    }
    seat.heardMs = this.#effects.now()
    if (message.kind === 'leave') this.#leave(member)
    else if (message.kind === 'reconnect') this.#connectAfresh()
    else if (message.kind === 'network') this.#noteNetwork(message.online)
  }

  #join(member: Member, { topic, online }: { readonly topic: string; readonly online: boolean }): void {
    this.#seats.set(member, { topic, hasHistory: false, heardMs: this.#effects.now() })
    this.#isOnline = online
    member.send({ kind: 'state', state: this.#state })
    if (this.#seats.size === 1) this.#startPinging()
    if (!this.#isGathering) void this.#connect()
  }

  #leave(member: Member): void {
    const topics = this.#topics().length
    this.#seats.delete(member)
    if (this.#seats.size === 0) this.#rest()
    else if (this.#topics().length < topics && this.#stream) void this.#connect()
  }

  /** Nobody is here: whoever comes next begins with a history. */
  #rest(): void {
    this.#attempt++
    this.#letGo()
    this.#cancelPing()
    this.#lastId = undefined
    this.#failures = 0
    this.#isGathering = false
    this.#isDoubtful = false
    this.#state = { kind: 'connecting' }
  }

  #noteNetwork(online: boolean): void {
    const isNews = online !== this.#isOnline
    this.#isOnline = online
    // Either way the old connection is probably dead, and does not know it yet.
    if (isNews) this.#connectAfresh()
  }

  #connectAfresh(): void {
    this.#failures = 0
    this.#isGathering = false
    void this.#connect()
  }

  async #connect(): Promise<void> {
    const attempt = ++this.#attempt
    this.#letGo()
    if (this.#state.kind === 'live')
      this.#cancelNotice = this.#effects.after(noticeableMs, () => this.#tellConnecting())
    else this.#tellConnecting()
    this.#isGathering = true
    const isServed = !this.#isDoubtful || (await this.#checkTopics(attempt))
    const isComplete = isServed && (await this.#gatherHistories(attempt))
    if (attempt !== this.#attempt) return
    this.#isGathering = false
    if (!isComplete) return this.#retryLater()
    if (this.#lastId !== undefined) this.#open(attempt, this.#lastId)
  }

  /** What may be read can change, with a login that is over or with the rules of the server. */
  async #checkTopics(attempt: number): Promise<boolean> {
    for (const topic of this.#topics()) {
      try {
        await this.#effects.check(topic)
        if (attempt !== this.#attempt) return false
      } catch (error) {
        if (attempt !== this.#attempt || !(error instanceof TopicRefused)) return false
        this.#refuse(topic, error)
      }
    }
    this.#isDoubtful = false
    return attempt === this.#attempt
  }

  // With the stream closed and one history after the other, all of them reach at least to where the stream resumes.
  async #gatherHistories(attempt: number): Promise<boolean> {
    for (let topic = this.#newTopic(); topic !== undefined; topic = this.#newTopic()) {
      try {
        const { id, messages } = await this.#effects.history(topic)
        if (attempt !== this.#attempt) return false
        this.#lastId ??= id
        const resumesAfter = this.#lastId === id
        for (const [member, seat] of this.#seatsAt(topic)) {
          if (seat.hasHistory) continue
          seat.hasHistory = true
          member.send({ kind: 'history', messages, resumesAfter })
        }
      } catch (error) {
        if (attempt !== this.#attempt || !(error instanceof TopicRefused)) return false
        this.#refuse(topic, error)
      }
    }
    return true
  }

  #open(attempt: number, since: string): void {
    const unless = (action: () => void) => () => {
      if (attempt === this.#attempt) action()
    }
    let hasOpened = false
    const fail = unless(() => {
      this.#isDoubtful = !hasOpened
      this.#retryLater()
    })
    this.#cancelTimer = this.#effects.after(openWithinMs, fail)
    this.#stream = this.#effects.open(this.#topics(), since, {
      opened: unless(() => {
        hasOpened = true
        this.#noteOpen()
      }),
      message: message => unless(() => this.#deliver(message))(),
      gap: unless(() => this.#tellAll({ kind: 'gap' })),
      reached: id =>
        unless(() => {
          this.#lastId = id
        })(),
      failed: fail,
    })
  }

  #noteOpen(): void {
    this.#cancelTimer()
    this.#cancelTimer = this.#effects.after(steadyMs, () => {
      this.#failures = 0
    })
    this.#tell({ kind: 'live' })
  }

  #deliver(message: ChatMessage): void {
    for (const [member] of this.#seatsAt(message.topic)) member.send({ kind: 'message', message })
  }

  #retryLater(): void {
    this.#attempt++
    this.#letGo()
    const waitMs = backoffMs(this.#failures++, this.#effects.random())
    this.#cancelTimer = this.#effects.after(waitMs, () => void this.#connect())
    this.#tell(
      this.#isOnline ? { kind: 'reconnecting', atMs: this.#effects.now() + waitMs } : { kind: 'offline' },
    )
  }

  #letGo(): void {
    this.#cancelTimer()
    this.#cancelNotice()
    this.#stream?.close()
    this.#stream = undefined
  }

  #refuse(topic: string, { message: reason, asksForLogin }: TopicRefused): void {
    for (const [member] of this.#seatsAt(topic)) {
      this.#seats.delete(member)
      member.send({ kind: 'refused', reason, asksForLogin })
    }
    if (this.#seats.size === 0) this.#rest()
  }

  #tellConnecting(): void {
    this.#tell({ kind: this.#isOnline ? 'connecting' : 'offline' })
  }

  #tell(state: ConnectionState): void {
    this.#cancelNotice()
    this.#state = state
    this.#tellAll({ kind: 'state', state })
  }

  #tellAll(message: FromHub): void {
    for (const member of this.#seats.keys()) member.send(message)
  }

  #topics(): string[] {
    return [...new Set([...this.#seats.values()].map(({ topic }) => topic))]
  }

  #newTopic(): string | undefined {
    return [...this.#seats.values()].find(({ hasHistory }) => !hasHistory)?.topic
  }

  #seatsAt(topic: string): [Member, Seat][] {
    return [...this.#seats].filter(([, seat]) => seat.topic === topic)
  }

  #startPinging(): void {
    this.#cancelPing()
    this.#pingedMs = this.#effects.now()
    this.#cancelPing = this.#effects.after(pingMs, () => this.#ping())
  }

  /** Lets go of pages that died without a word, and notices when the machine has slept. */
  #ping(): void {
    const nowMs = this.#effects.now()
    if (nowMs - this.#pingedMs > sleptMs) {
      for (const seat of this.#seats.values()) seat.heardMs = nowMs
      this.#connectAfresh()
    }
    for (const [member, seat] of this.#seats) {
      if (nowMs - seat.heardMs <= silentMs) member.send({ kind: 'ping' })
      else {
        this.#leave(member)
        member.send({ kind: 'dropped' })
      }
    }
    if (this.#seats.size > 0) this.#startPinging()
  }
}

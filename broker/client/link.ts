import { Dealer } from 'zeromq'
import {
  type DeliverReply,
  decodeReply,
  encodeHead,
  type HandReply,
  type HelloReply,
  PosternError,
  protocolVersion,
  type Reply,
  type Request,
} from '../protocol/index.ts'
import type { BackboneState } from './backbone.ts'
import { type CurveKeys, curveOptions } from './curve.ts'
import { retryRefused } from './refusals.ts'

/** ZMQ_HEARTBEAT_IVL and _TIMEOUT: a broker that is stopped, or whose machine is gone, is noticed within these. */
const heartbeat = { heartbeatInterval: 1000, heartbeatTimeout: 3000 }

/** ZMQ_RECONNECT_IVL and _IVL_MAX: soon after a restart, and no flood while the broker is away. */
const reconnect = { reconnectInterval: 100, reconnectMaxInterval: 1000 }

/** How long a hello may take before it is said again, and how often a broker that is up is asked for a sign. */
const signMs = 2000

/** A loss shorter than this is a blip, in which publishers wait rather than fail. */
const blipMs = 1000

/** A request without its `seq`, which the link gives. */
export type Ask = Request extends infer R ? (R extends Request ? Omit<R, 'seq'> : never) : never

/** The reply that belongs to a request. */
export interface Answer {
  readonly head: Exclude<Reply, { op: 'error' | 'hand' | 'deliver' }>
  readonly batches: readonly Uint8Array[]
}

interface Pending {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: PosternError) => void
  readonly timer: NodeJS.Timeout
}

export interface LinkOptions {
  /** The broker's requests socket: `tcp://host:port`. */
  readonly address: string
  /** Default: in plain. */
  readonly curve?: CurveKeys | undefined
  /** The broker does not take the connection as it is made. */
  readonly onRefused?: ((reason: string) => void) | undefined
  /** The broker can be reached, again or for the first time. */
  readonly onUp: (hello: HelloReply) => void
  /** It cannot be reached, or not any more, for longer than a blip. */
  readonly onAway?: () => void
  /** Messages for pullers, which nobody has asked for. */
  readonly onHand: (head: HandReply, batches: readonly Uint8Array[]) => void
  /** The same for receivers. */
  readonly onDeliver: (head: DeliverReply, batches: readonly Uint8Array[]) => void
  /** Called every two seconds while the broker can be reached: ask it something, so that silence is noticed. */
  readonly onSign: () => void
}

/** The connection for requests: gives each its reply, and knows whether there is a broker at the other end. */
export class Link {
  hello: HelloReply | undefined
  readonly #options: LinkOptions
  readonly #socket: Dealer
  readonly #pending = new Map<number, Pending>()
  readonly #waiting = new Set<{ resolve: () => void; reject: (error: PosternError) => void }>()
  #state: BackboneState = 'connecting'
  #seq = 0
  #heardMs = 0
  /** Added to our monotonic clock it gives the broker's. */
  #clockOffsetMs = 0
  #signTimer: NodeJS.Timeout
  #blipTimer: NodeJS.Timeout
  #isGreeting = false
  #isClosed = false

  constructor(options: LinkOptions) {
    this.#options = options
    this.#socket = new Dealer({
      linger: 0,
      sendTimeout: 0,
      // ZMQ_IMMEDIATE: nothing is queued for a broker that is not there, to be published after it was given up.
      immediate: true,
      // ZMQ_RCVHWM: none, since only answers and what pullers have room for come. Threat: at a mark, libzmq 4.3.5 aborts
      // the process when a heartbeat is due to a broker that has gone.
      receiveHighWaterMark: 0,
      ...heartbeat,
      ...reconnect,
      ...curveOptions(options.curve),
    })
    this.#blipTimer = setTimeout(() => this.#giveUp(), blipMs)
    this.#signTimer = setInterval(() => this.#sign(), signMs)
    this.#socket.events.on('handshake', () => this.greet())
    this.#socket.events.on('disconnect', () => this.#down())
    retryRefused(this.#socket, { ...options, addresses: () => [options.address] })
    this.#socket.connect(options.address)
    void this.#receive()
  }

  get state(): BackboneState {
    return this.#state
  }

  /** Resolves when the broker can be reached; rejects with `BROKER_UNAVAILABLE` when it is away. */
  ready(): Promise<void> {
    if (this.#state === 'up') return Promise.resolve()
    if (this.#state === 'away' || this.#isClosed)
      return Promise.reject(new PosternError('BROKER_UNAVAILABLE'))
    return new Promise((resolve, reject) => this.#waiting.add({ resolve, reject }))
  }

  /** A moment on the broker's clock. */
  brokerMs(fromNowMs: number): number {
    return performance.now() + this.#clockOffsetMs + fromNowMs
  }

  /**
   * Sends a request and gives its reply.
   *
   * @throws PosternError `BROKER_UNAVAILABLE` when it was certainly not sent, `RECEIPT_UNKNOWN` when there was no
   * reply in time or the connection was lost meanwhile, else what the broker has answered.
   */
  request(ask: Ask, timeoutMs: number, batch?: Uint8Array): Promise<Answer> {
    if (this.#isClosed) return Promise.reject(new PosternError('BROKER_UNAVAILABLE'))
    const seq = ++this.#seq
    const head = encodeHead({ ...ask, seq })
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#fail(seq, new PosternError('RECEIPT_UNKNOWN')), timeoutMs)
      this.#pending.set(seq, { resolve, reject, timer })
      this.#socket
        .send(batch ? [head, batch] : [head])
        .catch(() => this.#fail(seq, new PosternError('BROKER_UNAVAILABLE')))
    })
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#signTimer)
    clearTimeout(this.#blipTimer)
    this.#loseAll()
    this.#giveUp()
    this.#socket.close()
  }

  async #receive(): Promise<void> {
    while (!this.#isClosed) {
      try {
        const [head, ...batches] = await this.#socket.receive()
        this.#heardMs = performance.now()
        const reply = head && decodeReply(head)
        if (reply) this.#take(reply, batches)
      } catch {
        if (this.#isClosed || this.#socket.closed) return
      }
    }
  }

  #take(reply: Reply, batches: readonly Uint8Array[]): void {
    if (reply.op === 'hand') return this.#options.onHand(reply, batches)
    if (reply.op === 'deliver') return this.#options.onDeliver(reply, batches)
    if (reply.seq === null) return
    if (reply.op === 'error') {
      this.#fail(reply.seq, PosternError.fromBody(reply.error))
      if (reply.error.code === 'UNKNOWN_SESSION') this.greet()
      return
    }
    const pending = this.#pending.get(reply.seq)
    if (!pending) return
    this.#pending.delete(reply.seq)
    clearTimeout(pending.timer)
    pending.resolve({ head: reply, batches })
  }

  #fail(seq: number, error: PosternError): void {
    const pending = this.#pending.get(seq)
    if (!pending) return
    this.#pending.delete(seq)
    clearTimeout(pending.timer)
    pending.reject(error)
  }

  /** Says hello: learns which process of the broker answers, and where its log stands. */
  greet(): void {
    if (this.#isGreeting) return
    this.#isGreeting = true
    const saidMs = performance.now()
    const serverKey = this.#options.curve?.serverKey
    const keyed = serverKey === undefined ? {} : { serverKey }
    this.request({ op: 'hello', version: protocolVersion, ...keyed }, signMs).then(
      ({ head }) => {
        this.#isGreeting = false
        if (head.op === 'hello') this.#up(head, saidMs)
      },
      () => {
        // Said again at the next sign, or at the next handshake.
        this.#isGreeting = false
      },
    )
  }

  #up(hello: HelloReply, saidMs: number): void {
    const middleMs = (saidMs + performance.now()) / 2
    this.#clockOffsetMs = hello.clockMs - middleMs
    this.hello = hello
    clearTimeout(this.#blipTimer)
    this.#state = 'up'
    for (const { resolve } of this.#waiting) resolve()
    this.#waiting.clear()
    this.#options.onUp(hello)
  }

  #sign(): void {
    if (this.#state !== 'up') return this.greet()
    if (performance.now() - this.#heardMs > 2 * signMs) return this.#down()
    this.#options.onSign()
  }

  #down(): void {
    if (this.#state !== 'up') return
    this.#state = 'connecting'
    this.#blipTimer = setTimeout(() => this.#giveUp(), blipMs)
    this.#loseAll()
  }

  /** What was under way may have been done or not: its reply is lost with the connection. */
  #loseAll(): void {
    for (const seq of [...this.#pending.keys()]) this.#fail(seq, new PosternError('RECEIPT_UNKNOWN'))
  }

  #giveUp(): void {
    this.#state = 'away'
    if (!this.#isClosed) this.#options.onAway?.()
    for (const { reject } of this.#waiting) reject(new PosternError('BROKER_UNAVAILABLE'))
    this.#waiting.clear()
  }
}

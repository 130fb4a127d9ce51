import {
  type DeliverReply,
  type Message,
  PosternError,
  type ReceiveReply,
  type ReceiverOffsets,
  type ReceiveSteps,
} from '../protocol/index.ts'
import type { Delivered, ReceiveEnd, ReceiveOptions, ReceiveSink, Receiving } from './backbone.ts'

/** What one request tells at most: far from the largest that a broker reads, whatever the topics. */
const maxSteps = 1000

interface Acknowledging {
  readonly what: 'acknowledged'
  readonly receiver: number
  readonly offset: number
  readonly topic: string
  readonly id: string
  readonly resolve: () => void
  readonly reject: (error: PosternError) => void
}

/** What the broker has to be told of a receiver that it knows. */
type Step =
  | { readonly what: 'returned'; readonly receiver: number; readonly offset: number }
  | Acknowledging
  | { readonly what: 'close'; readonly receiver: number }

interface Receiver {
  readonly topic: string
  readonly sink: ReceiveSink
  readonly options: ReceiveOptions
  isStopped: boolean
  /** Told when the broker knows that it is stopped, or when it cannot be told. */
  stops: (() => void)[]
}

const nothing: ReceiveSteps = { open: [], acknowledged: [], released: [], returned: [], close: [] }

export interface ReceivesOptions {
  readonly isUp: () => boolean
  /** This moment on the broker's clock. */
  readonly brokerMs: () => number
  /** Tells the broker, and gives its answer. Rejects when it was not told, or has not answered. */
  readonly tell: (steps: ReceiveSteps) => Promise<ReceiveReply>
}

/** The receivers of this process, and what the broker has to know of them, gathered in each turn of the event loop. */
export class Receives {
  readonly #options: ReceivesOptions
  readonly #receivers = new Map<number, Receiver>()
  /** Receivers that the broker does not know yet, or may have lost. */
  #untold = new Set<number>()
  #steps: Step[] = []
  #session: string | undefined
  #lastReceiver = 0
  #isDeferred = false
  /** Whether the broker may know other receivers than those it was told of. */
  #isInDoubt = false

  constructor(options: ReceivesOptions) {
    this.#options = options
  }

  add(topic: string, sink: ReceiveSink, options: ReceiveOptions): Receiving {
    const receiver = ++this.#lastReceiver
    this.#receivers.set(receiver, { topic, sink, options, isStopped: false, stops: [] })
    this.#untold.add(receiver)
    this.#defer()
    return { stop: () => this.#stop(receiver), close: () => this.#close(receiver) }
  }

  /** The broker can be reached. Another session is another process, which knows nothing. */
  meet(session: string): void {
    if (session !== this.#session) {
      const lost = this.#steps
      this.#steps = []
      fail(lost, new PosternError('RECEIPT_UNKNOWN'))
      for (const [receiver, { isStopped }] of [...this.#receivers]) if (isStopped) this.#end(receiver, 'done')
    }
    this.#session = session
    this.#untold = new Set(this.#receivers.keys())
    this.#flush()
  }

  /** Shows the broker that this process is alive. */
  sign(): void {
    if (this.#isInDoubt) {
      this.#isInDoubt = false
      this.#untold = new Set(this.#receivers.keys())
    }
    if (this.#receivers.size > 0 || this.#steps.length > 0) this.#flush()
  }

  /** The broker has handed out these messages. */
  take({ to, deliveries, untilMs, slow, done }: DeliverReply, messages: readonly Message[]): void {
    const isLate = this.#options.brokerMs() > untilMs
    for (const [i, message] of messages.entries()) {
      const receiver = to[i] ?? 0
      const known = this.#receivers.get(receiver)
      if (!known) this.#note({ what: 'close', receiver })
      else if (isLate) this.#note({ what: 'returned', receiver, offset: message.offset })
      else this.#deliver(receiver, known, message, deliveries[i] ?? 1)
    }
    for (const receiver of slow) this.#end(receiver, 'slow')
    for (const receiver of done) this.#end(receiver, 'done')
  }

  /** Ends every receiver. The broker notices it by the connection. */
  end(): void {
    for (const receiver of [...this.#receivers.keys()]) this.#end(receiver, 'shutdown')
    fail(this.#steps.splice(0), new PosternError('RECEIPT_UNKNOWN'))
  }

  #deliver(receiver: number, { sink }: Receiver, message: Message, deliveries: number): void {
    try {
      sink.deliver(this.#delivered(receiver, message, deliveries))
    } catch {
      this.#close(receiver)
      sink.end('failed')
    }
  }

  #delivered(receiver: number, message: Message, deliveries: number): Delivered {
    const { offset, topic, id } = message
    let acknowledged: Promise<void> | undefined
    let isBack = false
    return {
      message,
      deliveries,
      redelivered: deliveries > 1,
      acknowledge: () => {
        acknowledged ??= new Promise((resolve, reject) =>
          this.#note({ what: 'acknowledged', receiver, offset, topic, id, resolve, reject }),
        )
        // Whoever does not wait for it need not know that it failed: the message comes again.
        acknowledged.catch(() => {})
        return acknowledged
      },
      giveBack: () => {
        if (acknowledged || isBack) return
        isBack = true
        if (this.#receivers.has(receiver)) this.#note({ what: 'returned', receiver, offset })
      },
    }
  }

  #end(receiver: number, reason: ReceiveEnd, error?: PosternError): void {
    const known = this.#receivers.get(receiver)
    this.#receivers.delete(receiver)
    this.#untold.delete(receiver)
    known?.sink.end(reason, error)
    if (known) hasStopped(known)
  }

  #stop(receiver: number): Promise<void> {
    return new Promise(resolve => {
      const known = this.#receivers.get(receiver)
      if (!known) return resolve()
      known.isStopped = true
      this.#untold.add(receiver)
      if (this.#options.isUp()) known.stops.push(resolve)
      else resolve()
      this.#defer()
    })
  }

  #close(receiver: number): void {
    const known = this.#receivers.get(receiver)
    if (!known) return
    hasStopped(known)
    this.#receivers.delete(receiver)
    // One that is to be told as stopped may be known already.
    if (!this.#untold.delete(receiver) || known.isStopped) this.#note({ what: 'close', receiver })
  }

  #note(step: Step): void {
    this.#steps.push(step)
    this.#defer()
  }

  #defer(): void {
    if (this.#isDeferred) return
    this.#isDeferred = true
    setImmediate(() => {
      this.#isDeferred = false
      this.#flush()
    })
  }

  #flush(): void {
    // What is not told now is told when the broker is back.
    if (!this.#options.isUp()) return
    do this.#tell()
    while (this.#untold.size > 0 || this.#steps.length > 0)
  }

  /**
   * Acknowledgements are answered when they are on disk, which may take long: what else there is to tell goes in a
   * request of its own, so that it is answered at once.
   */
  #tell(): void {
    const open = this.#opening()
    const some = this.#steps.splice(0, maxSteps)
    const acknowledged = some.filter(step => step.what === 'acknowledged')
    const others = some.filter(step => step.what !== 'acknowledged')
    if (acknowledged.length > 0) void this.#acknowledge(acknowledged)
    const isAll = this.#untold.size === 0 && this.#steps.length === 0
    const expected = this.#receivers.size
    const session = this.#session
    if (acknowledged.length > 0 && open.length === 0 && others.length === 0) return
    const returned = offsetsOf(others.filter(step => step.what === 'returned'))
    const close = others.flatMap(({ what, receiver }) => (what === 'close' ? receiver : []))
    this.#options.tell({ ...nothing, open, returned, close }).then(
      ({ receivers, refused }) => {
        this.#haveStopped(open)
        if (isAll && receivers + refused.length !== expected) this.#isInDoubt = true
        for (const { receiver, error } of refused) {
          if (this.#receivers.get(receiver)?.isStopped) this.#end(receiver, 'done')
          else this.#end(receiver, 'refused', PosternError.fromBody(error))
        }
      },
      () => {
        this.#haveStopped(open)
        this.#isInDoubt = true
        if (session === this.#session) this.#steps.unshift(...others)
      },
    )
  }

  #haveStopped(open: ReceiveSteps['open']): void {
    for (const { receiver, stopped } of open) {
      const known = stopped && this.#receivers.get(receiver)
      if (known) hasStopped(known)
    }
  }

  async #acknowledge(steps: readonly Acknowledging[]): Promise<void> {
    try {
      const told = { ...nothing, acknowledged: offsetsOf(steps) }
      const unknown = new Set((await this.#options.tell(told)).unknown)
      const left = steps.filter(({ id }) => unknown.has(id))
      for (const step of steps) if (!unknown.has(step.id)) step.resolve()
      if (left.length > 0) await this.#release(left)
    } catch {
      fail(steps, new PosternError('RECEIPT_UNKNOWN'))
    }
  }

  /** The connection was lost meanwhile, and the receiver with it; its messages may still be there. */
  async #release(steps: readonly Acknowledging[]): Promise<void> {
    const released = steps.map(({ topic, id }) => ({ topic, ids: [id] }))
    const { unknown } = await this.#options.tell({ ...nothing, released })
    for (const { id, resolve, reject } of steps) {
      if (unknown.includes(id)) reject(new PosternError('NOT_FOUND'))
      else resolve()
    }
  }

  #opening(): ReceiveSteps['open'] {
    const open: ReceiveSteps['open'][number][] = []
    for (const receiver of this.#untold) {
      if (open.length === maxSteps) break
      this.#untold.delete(receiver)
      const known = this.#receivers.get(receiver)
      if (!known) continue
      const { topic, options, isStopped } = known
      open.push({ receiver, topic, ...options.window, ...(isStopped && { stopped: true }) })
    }
    return open
  }
}

function offsetsOf(
  steps: readonly { readonly receiver: number; readonly offset: number }[],
): ReceiverOffsets[] {
  const offsets = new Map<number, number[]>()
  for (const { receiver, offset } of steps) {
    const known = offsets.get(receiver)
    if (known) known.push(offset)
    else offsets.set(receiver, [offset])
  }
  return [...offsets].map(([receiver, found]) => ({ receiver, offsets: found }))
}

function hasStopped(receiver: Receiver): void {
  for (const resolve of receiver.stops.splice(0)) resolve()
}

function fail(steps: readonly Step[], error: PosternError): void {
  for (const step of steps) if (step.what === 'acknowledged') step.reject(error)
}

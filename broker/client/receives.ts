import {
  type DeliverReply,
  type Message,
  PosternError,
  type ReceiveReply,
  type ReceiverOffsets,
  type ReceiveSteps,
} from '../protocol/index.ts'
import type { Delivered, ReceiveEnd, ReceiveOptions, ReceiveSink, Receiving } from './backbone.ts'
import { byMember, Reports } from './reports.ts'

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
  readonly #reports: Reports<Step>
  #lastReceiver = 0

  constructor(options: ReceivesOptions) {
    this.#options = options
    this.#reports = new Reports({
      isUp: options.isUp,
      members: this.#receivers,
      tell: (receivers, steps, isAll) => this.#tell(receivers, steps, isAll),
    })
  }

  add(topic: string, sink: ReceiveSink, options: ReceiveOptions): Receiving {
    const receiver = ++this.#lastReceiver
    this.#receivers.set(receiver, { topic, sink, options, isStopped: false, stops: [] })
    this.#reports.announce(receiver)
    return { stop: () => this.#stop(receiver), close: () => this.#close(receiver) }
  }

  /** The broker can be reached. Another session is another process, which knows nothing. */
  meet(session: string): void {
    const lost = this.#reports.turnTo(session)
    if (lost) {
      fail(lost, new PosternError('RECEIPT_UNKNOWN'))
      for (const [receiver, { isStopped }] of [...this.#receivers]) if (isStopped) this.#end(receiver, 'done')
    }
    this.#reports.tellAll()
  }

  /** Shows the broker that this process is alive. */
  sign(): void {
    this.#reports.sign()
  }

  /** The broker has handed out these messages. */
  take({ to, deliveries, untilMs, slow, done }: DeliverReply, messages: readonly Message[]): void {
    const isLate = this.#options.brokerMs() > untilMs
    /** Told once, however many messages were on their way to it. */
    const gone = new Set<number>()
    for (const [i, message] of messages.entries()) {
      const receiver = to[i] ?? 0
      const known = this.#receivers.get(receiver)
      if (!known) gone.add(receiver)
      else if (isLate) this.#reports.note({ what: 'returned', receiver, offset: message.offset })
      else this.#deliver(receiver, known, message, deliveries[i] ?? 1)
    }
    for (const receiver of gone) this.#reports.note({ what: 'close', receiver })
    for (const receiver of slow) this.#end(receiver, 'slow')
    for (const receiver of done) this.#end(receiver, 'done')
  }

  /** Ends every receiver. The broker notices it by the connection. */
  end(): void {
    for (const receiver of [...this.#receivers.keys()]) this.#end(receiver, 'shutdown')
    fail(this.#reports.drop(), new PosternError('RECEIPT_UNKNOWN'))
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
          this.#reports.note({ what: 'acknowledged', receiver, offset, topic, id, resolve, reject }),
        )
        // Whoever does not wait for it need not know that it failed: the message comes again.
        acknowledged.catch(() => {})
        return acknowledged
      },
      giveBack: () => {
        if (acknowledged || isBack) return
        isBack = true
        if (this.#receivers.has(receiver)) this.#reports.note({ what: 'returned', receiver, offset })
      },
    }
  }

  #end(receiver: number, reason: ReceiveEnd, error?: PosternError): void {
    const known = this.#receivers.get(receiver)
    this.#receivers.delete(receiver)
    this.#reports.forget(receiver)
    known?.sink.end(reason, error)
    if (known) hasStopped(known)
  }

  #stop(receiver: number): Promise<void> {
    return new Promise(resolve => {
      const known = this.#receivers.get(receiver)
      if (!known) return resolve()
      known.isStopped = true
      if (this.#options.isUp()) known.stops.push(resolve)
      else resolve()
      this.#reports.announce(receiver)
    })
  }

  #close(receiver: number): void {
    const known = this.#receivers.get(receiver)
    if (!known) return
    hasStopped(known)
    this.#receivers.delete(receiver)
    // One that is to be told as stopped may be known already.
    if (!this.#reports.forget(receiver) || known.isStopped) this.#reports.note({ what: 'close', receiver })
  }

  /**
   * Acknowledgements are answered when they are on disk, which may take long: what else there is to tell goes in a
   * request of its own, so that it is answered at once.
   */
  #tell(receivers: readonly number[], steps: readonly Step[], isAll: boolean): void {
    const open = receivers.flatMap(receiver => this.#openingOf(receiver))
    const acknowledged = steps.filter(step => step.what === 'acknowledged')
    const others = steps.filter(step => step.what !== 'acknowledged')
    if (acknowledged.length > 0) void this.#acknowledge(acknowledged)
    if (acknowledged.length > 0 && open.length === 0 && others.length === 0) return
    const expected = this.#receivers.size
    const { session } = this.#reports
    const returned = offsetsOf(others.filter(step => step.what === 'returned'))
    const close = others.flatMap(({ what, receiver }) => (what === 'close' ? receiver : []))
    this.#options.tell({ ...nothing, open, returned, close }).then(
      ({ receivers, refused }) => {
        this.#haveStopped(open)
        if (isAll && receivers + refused.length !== expected) this.#reports.doubt()
        for (const { receiver, error } of refused) {
          if (this.#receivers.get(receiver)?.isStopped) this.#end(receiver, 'done')
          else this.#end(receiver, 'refused', PosternError.fromBody(error))
        }
      },
      () => {
        this.#haveStopped(open)
        this.#reports.takeBack(session, others)
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

  #openingOf(receiver: number): ReceiveSteps['open'] {
    const known = this.#receivers.get(receiver)
    if (!known) return []
    const { topic, options, isStopped } = known
    return [{ receiver, topic, ...options.window, ...(isStopped && { stopped: true }) }]
  }
}

function offsetsOf(
  steps: readonly { readonly receiver: number; readonly offset: number }[],
): ReceiverOffsets[] {
  return byMember(steps, ({ receiver }) => receiver).map(([receiver, offsets]) => ({ receiver, offsets }))
}

function hasStopped(receiver: Receiver): void {
  for (const resolve of receiver.stops.splice(0)) resolve()
}

function fail(steps: readonly Step[], error: PosternError): void {
  for (const step of steps) if (step.what === 'acknowledged') step.reject(error)
}

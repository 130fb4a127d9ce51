import type { HandReply, Message, PullOffsets, PullSteps } from '../protocol/index.ts'
import type { Pull, PullSink } from './backbone.ts'
import { byMember, Reports } from './reports.ts'

/** What the broker has to be told of a puller that it knows. */
type Step =
  | { readonly what: 'flushed' | 'returned'; readonly pull: number; readonly offset: number }
  | { readonly what: 'close'; readonly pull: number }

interface Puller {
  readonly topic: string
  readonly sink: PullSink
}

export interface PullsOptions {
  readonly isUp: () => boolean
  /** This moment on the broker's clock. */
  readonly brokerMs: () => number
  /** Tells the broker, and gives how many pullers of this process it knows then. Rejects when it was not told. */
  readonly tell: (steps: PullSteps) => Promise<number>
}

/** The pullers of this process, and what the broker has to know of them, gathered in each turn of the event loop. */
export class Pulls {
  readonly #options: PullsOptions
  readonly #pullers = new Map<number, Puller>()
  readonly #reports: Reports<Step>
  #lastPull = 0

  constructor(options: PullsOptions) {
    this.#options = options
    this.#reports = new Reports({
      isUp: options.isUp,
      members: this.#pullers,
      tell: (pulls, steps, isAll) => this.#tell(pulls, steps, isAll),
    })
  }

  add(topic: string, sink: PullSink): Pull {
    const pull = ++this.#lastPull
    this.#pullers.set(pull, { topic, sink })
    this.#reports.announce(pull)
    return { close: () => this.#close(pull) }
  }

  /** The broker can be reached. Another session is another process, which knows nothing. */
  meet(session: string): void {
    this.#reports.turnTo(session)
    this.#reports.tellAll()
  }

  /** Shows the broker that this process is alive. */
  sign(): void {
    this.#reports.sign()
  }

  /** The broker has handed over these messages. */
  take({ to, untilMs }: HandReply, messages: readonly Message[]): void {
    const isLate = this.#options.brokerMs() > untilMs
    /** Told once, however many messages were on their way to it. */
    const gone = new Set<number>()
    for (const [i, message] of messages.entries()) {
      const pull = to[i] ?? 0
      const puller = this.#pullers.get(pull)
      if (!puller) gone.add(pull)
      else if (isLate) this.#reports.note({ what: 'returned', pull, offset: message.offset })
      else this.#deliver(pull, puller, message)
    }
    for (const pull of gone) this.#reports.note({ what: 'close', pull })
  }

  /** Ends every pull. The broker notices it by the connection. */
  end(): void {
    const pullers = [...this.#pullers.values()]
    this.#pullers.clear()
    for (const { sink } of pullers) sink.end('shutdown')
  }

  #deliver(pull: number, { sink }: Puller, message: Message): void {
    const { offset } = message
    try {
      sink.deliver(message, () => {
        if (this.#pullers.has(pull)) this.#reports.note({ what: 'flushed', pull, offset })
      })
    } catch {
      this.#close(pull)
      sink.end('failed')
    }
  }

  #close(pull: number): void {
    if (!this.#pullers.delete(pull)) return
    if (!this.#reports.forget(pull)) this.#reports.note({ what: 'close', pull })
  }

  #tell(pulls: readonly number[], steps: readonly Step[], isAll: boolean): void {
    const open = pulls.flatMap(pull => {
      const puller = this.#pullers.get(pull)
      return puller ? { pull, topic: puller.topic } : []
    })
    const told: PullSteps = {
      open,
      flushed: offsetsOf(steps, 'flushed'),
      returned: offsetsOf(steps, 'returned'),
      close: steps.flatMap(({ what, pull }) => (what === 'close' ? pull : [])),
    }
    const expected = this.#pullers.size
    const { session } = this.#reports
    this.#options.tell(told).then(
      known => {
        if (isAll && known !== expected) this.#reports.doubt()
      },
      () => this.#reports.takeBack(session, steps),
    )
  }
}

function offsetsOf(steps: readonly Step[], what: 'flushed' | 'returned'): PullOffsets[] {
  const found = steps.flatMap(step => (step.what === what ? step : []))
  return byMember(found, ({ pull }) => pull).map(([pull, offsets]) => ({ pull, offsets }))
}

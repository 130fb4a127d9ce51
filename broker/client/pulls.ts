import type { HandReply, Message, PullOffsets, PullSteps } from '../protocol/index.ts'
import type { Pull, PullSink } from './backbone.ts'

/** What one request tells at most: less than the largest that a broker reads, whatever the topics and its settings. */
const maxOpened = 100
const maxSteps = 1000

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
  /** Pullers that the broker does not know yet, or may have lost. */
  #untold = new Set<number>()
  #steps: Step[] = []
  #session: string | undefined
  #lastPull = 0
  #isDeferred = false
  /** Whether the broker may know other pullers than those it was told of. */
  #isInDoubt = false

  constructor(options: PullsOptions) {
    this.#options = options
  }

  add(topic: string, sink: PullSink): Pull {
    const pull = ++this.#lastPull
    this.#pullers.set(pull, { topic, sink })
    this.#untold.add(pull)
    this.#defer()
    return { close: () => this.#close(pull) }
  }

  /** The broker can be reached. Another session is another process, which knows nothing. */
  meet(session: string): void {
    if (session !== this.#session) this.#steps = []
    this.#session = session
    this.#untold = new Set(this.#pullers.keys())
    this.#flush()
  }

  /** Shows the broker that this process is alive. */
  sign(): void {
    if (this.#isInDoubt) {
      this.#isInDoubt = false
      this.#untold = new Set(this.#pullers.keys())
    }
    if (this.#pullers.size > 0 || this.#steps.length > 0) this.#flush()
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
      else if (isLate) this.#note({ what: 'returned', pull, offset: message.offset })
      else this.#deliver(pull, puller, message)
    }
    for (const pull of gone) this.#note({ what: 'close', pull })
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
        if (this.#pullers.has(pull)) this.#note({ what: 'flushed', pull, offset })
      })
    } catch {
      this.#close(pull)
      sink.end('failed')
    }
  }

  #close(pull: number): void {
    if (!this.#pullers.delete(pull)) return
    if (!this.#untold.delete(pull)) this.#note({ what: 'close', pull })
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

  #tell(): void {
    const open: { pull: number; topic: string }[] = []
    for (const pull of this.#untold) {
      if (open.length === maxOpened) break
      this.#untold.delete(pull)
      const puller = this.#pullers.get(pull)
      if (puller) open.push({ pull, topic: puller.topic })
    }
    const steps = this.#steps.splice(0, maxSteps)
    const isAll = this.#untold.size === 0 && this.#steps.length === 0
    const expected = this.#pullers.size
    const told: PullSteps = {
      open,
      flushed: offsetsOf(steps, 'flushed'),
      returned: offsetsOf(steps, 'returned'),
      close: steps.flatMap(({ what, pull }) => (what === 'close' ? pull : [])),
    }
    const session = this.#session
    this.#options.tell(told).then(
      known => {
        if (isAll && known !== expected) this.#isInDoubt = true
      },
      () => {
        this.#isInDoubt = true
        if (session === this.#session) this.#steps.unshift(...steps)
      },
    )
  }
}

function offsetsOf(steps: readonly Step[], what: 'flushed' | 'returned'): PullOffsets[] {
  const offsets = new Map<number, number[]>()
  for (const step of steps) {
    if (step.what !== what) continue
    const known = offsets.get(step.pull)
    if (known) known.push(step.offset)
    else offsets.set(step.pull, [step.offset])
  }
  return [...offsets].map(([pull, found]) => ({ pull, offsets: found }))
}

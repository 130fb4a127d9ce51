import type { Backbone, Delivered, ReceiveEnd, ReceiveSink, Receiving } from '#client'
import { PosternError } from '#protocol'
import type { OpenStream, OpenStreams } from './open-streams.ts'

/** What one answer holds at most, unless its first message alone is larger. */
const maxBatchBytes = 1024 * 1024

export interface LeaseRequest {
  /** A durable topic. */
  readonly topic: string
  /** How many messages are taken at most. */
  readonly max: number
  /** How long the first one is waited for. */
  readonly waitMs: number
}

export interface LeaseParts {
  readonly backbone: Pick<Backbone, 'receive'>
  readonly streams: OpenStreams
  readonly leaseMs: number
  readonly onOver: () => void
}

/**
 * A receiver that takes one batch: what is there, or what comes first. The messages are its own for a while, in which
 * they can be acknowledged in any process; what is left of them then goes back.
 */
export class Lease implements ReceiveSink, OpenStream {
  /** Resolves with the messages, or with none when none has come in time. Rejects where nothing can be received. */
  readonly batch: Promise<readonly Delivered[]>
  readonly #parts: LeaseParts
  #receiving: Receiving | undefined
  #settle: (batch: readonly Delivered[] | PosternError) => void = () => {}
  #delivered: Delivered[] = []
  #state: 'waiting' | 'stopping' | 'leased' | 'over' = 'waiting'
  #timer: NodeJS.Timeout | undefined

  constructor(parts: LeaseParts) {
    this.#parts = parts
    this.batch = new Promise((resolve, reject) => {
      this.#settle = outcome => (outcome instanceof PosternError ? reject(outcome) : resolve(outcome))
    })
  }

  begin({ topic, max, waitMs }: LeaseRequest): void {
    const { backbone, streams } = this.#parts
    this.#timer = setTimeout(() => void this.#stop(), waitMs)
    streams.add(this)
    const window = { messages: max, bytes: maxBatchBytes }
    this.#receiving = backbone.receive(topic, this, { window })
  }

  deliver(delivered: Delivered): void {
    // The answer has gone: nobody would see it.
    if (this.#state === 'leased' || this.#state === 'over') return delivered.giveBack()
    this.#delivered.push(delivered)
    if (this.#state === 'waiting') void this.#stop()
  }

  end(reason: ReceiveEnd, error?: PosternError): void {
    if (error) this.#settle(error)
    else if (reason === 'failed') this.#settle(new PosternError('INTERNAL'))
    else this.#answer()
    this.#over()
  }

  /** Nobody is there to take the messages: they go back at once. May be called twice. */
  close(): void {
    this.#settle([])
    this.#over()
  }

  beat(): void {}

  /** Whoever waits is answered. */
  shutDown(): void {
    void this.#stop()
  }

  async #stop(): Promise<void> {
    if (this.#state !== 'waiting') return
    this.#state = 'stopping'
    clearTimeout(this.#timer)
    await this.#receiving?.stop()
    this.#answer()
  }

  #answer(): void {
    if (this.#state === 'leased' || this.#state === 'over') return
    this.#state = 'leased'
    this.#parts.streams.remove(this)
    const delivered = this.#delivered
    this.#delivered = []
    this.#settle(delivered)
    if (delivered.length === 0) this.#over()
    else this.#timer = setTimeout(() => this.#over(), this.#parts.leaseMs)
  }

  #over(): void {
    if (this.#state === 'over') return
    this.#state = 'over'
    clearTimeout(this.#timer)
    this.#delivered = []
    this.#parts.streams.remove(this)
    this.#receiving?.close()
    this.#parts.onOver()
  }
}

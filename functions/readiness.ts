import type { Backbone, Subscription } from '#client'
import { PosternError, probeTopic } from '#protocol'

/** The first part of the path that does not answer: the broker, its receipts, or the stream back from it. */
export type MissingPart = 'broker' | 'receipt' | 'stream'

export interface ReadinessOptions {
  /** How long one probe may take. Default 2 s. */
  readonly timeoutMs?: number
  /** How long its outcome is kept. Default 1 s. */
  readonly keepMs?: number
  /** A clock that never goes back. Default: `performance.now`. */
  readonly nowMs?: () => number
}

/**
 * Whether the whole path works: a message is published on the system's own topic, and has to come back. Whoever
 * asks while a probe is under way shares it, so that asking often costs the broker nothing.
 */
export class Readiness {
  readonly #backbone: Backbone
  readonly #timeoutMs: number
  readonly #keepMs: number
  readonly #nowMs: () => number
  #probe: Promise<MissingPart | undefined> | undefined
  #keptUntilMs = 0

  constructor(backbone: Backbone, options: ReadinessOptions = {}) {
    this.#backbone = backbone
    this.#timeoutMs = options.timeoutMs ?? 2000
    this.#keepMs = options.keepMs ?? 1000
    this.#nowMs = options.nowMs ?? (() => performance.now())
  }

  /** Resolves with the part that is missing, or undefined when all is well. */
  async missing(): Promise<MissingPart | undefined> {
    if (this.#probe && this.#nowMs() < this.#keptUntilMs) return this.#probe
    this.#keptUntilMs = Number.POSITIVE_INFINITY
    this.#probe = new Probe(this.#backbone).run(this.#timeoutMs)
    try {
      return await this.#probe
    } finally {
      this.#keptUntilMs = this.#nowMs() + this.#keepMs
    }
  }
}

/** One message that goes out and has to come back. */
class Probe {
  readonly #backbone: Backbone
  readonly #begun = Promise.withResolvers<void>()
  readonly #returned = Promise.withResolvers<void>()
  readonly #ids = new Set<string>()
  #id: string | undefined
  #waitingFor: MissingPart = 'broker'

  constructor(backbone: Backbone) {
    this.#backbone = backbone
  }

  async run(timeoutMs: number): Promise<MissingPart | undefined> {
    const subscription = this.#subscribe()
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<MissingPart>(resolve => {
      timer = setTimeout(() => resolve(this.#waitingFor), timeoutMs)
    })
    try {
      return await Promise.race([this.#travel(), timeout])
    } catch (error) {
      if (!(error instanceof PosternError)) throw error
      return error.code === 'BROKER_UNAVAILABLE' ? 'broker' : this.#waitingFor
    } finally {
      clearTimeout(timer)
      subscription.close()
    }
  }

  async #travel(): Promise<undefined> {
    await this.#backbone.ready()
    this.#waitingFor = 'stream'
    await this.#begun.promise
    this.#waitingFor = 'receipt'
    const payload = new Uint8Array()
    const receipt = await this.#backbone.publish({ topic: probeTopic, type: '', binary: false, payload })
    this.#waitingFor = 'stream'
    this.#id = receipt.id
    if (!this.#ids.has(receipt.id)) await this.#returned.promise
  }

  #subscribe(): Subscription {
    return this.#backbone.subscribe(
      { topics: [probeTopic], exact: true },
      {},
      {
        start: () => this.#begun.resolve(),
        gap() {},
        deliver: messages => {
          // It may come back before its receipt does.
          for (const message of messages) {
            this.#ids.add(message.id)
            if (message.id === this.#id) this.#returned.resolve()
          }
          return true
        },
        end() {},
      },
    )
  }
}

import { type Bound, PosternError } from '../protocol/index.ts'
import { TokenBuckets } from './token-buckets.ts'

/** Whom something is counted for. */
export interface Source {
  /** The address, or of IPv6 the network. Undefined for this machine itself: a program here, or a proxy. */
  readonly network?: string
  /** The user or the bearer of a token. Undefined for everybody else, who are known by their addresses alone. */
  readonly identity?: string
}

/** How much may come in a second, and what sets that; 0: no limit. */
export interface Rate {
  readonly setting: string
  /** Asked each time, so that it can change while running. */
  readonly perSecond: () => number
}

export interface PublishLimitsOptions {
  readonly messages: Rate
  /** Of payloads. */
  readonly bytes: Rate
  /** Never set back. */
  readonly nowMs: () => number
}

/** How much each address and each identity may publish. */
export class PublishLimits {
  readonly #options: PublishLimitsOptions
  readonly #messages: TokenBuckets
  readonly #bytes: TokenBuckets

  constructor(options: PublishLimitsOptions) {
    this.#options = options
    this.#messages = new TokenBuckets(options.messages.perSecond)
    this.#bytes = new TokenBuckets(options.bytes.perSecond)
  }

  /** Counts a message. @returns why it may not be published: then it does not count. */
  take(source: Source, bytes: number): PosternError | undefined {
    const { network, identity } = source
    if (network === undefined && identity === undefined) return undefined
    const refusal =
      (network !== undefined && this.#refusal(network, bytes, 'this address')) ||
      (identity !== undefined && this.#refusal(identity, bytes, 'this user'))
    if (refusal) return refusal
    this.count(source, bytes)
    return undefined
  }

  /** Counts a message that is published whether it may be or not: what comes after it pays for it. */
  count({ network, identity }: Source, bytes: number): void {
    const nowMs = this.#options.nowMs()
    for (const name of [network, identity]) {
      if (name === undefined) continue
      this.#messages.take(name, 1, nowMs)
      this.#bytes.take(name, bytes, nowMs)
    }
  }

  #refusal(name: string, bytes: number, who: string): PosternError | undefined {
    const { messages, nowMs } = this.#options
    const messageWaitMs = this.#messages.waitMs(name, 1, nowMs())
    if (messageWaitMs > 0) return tooFast(who, 'messages', messages, messageWaitMs)
    const bytesWaitMs = this.#bytes.waitMs(name, bytes, nowMs())
    return bytesWaitMs > 0 ? tooFast(who, 'bytes', this.#options.bytes, bytesWaitMs) : undefined
  }
}

function tooFast(who: string, what: string, rate: Rate, retryAfterMs: number): PosternError {
  const bound: Bound = { limit: rate.perSecond(), setting: rate.setting, retryAfterMs }
  return new PosternError(
    'RATE_LIMITED',
    `Too much was published by ${who}: ${bound.limit} ${what} a second may be (${bound.setting}). The message is not published; send it later.`,
    bound,
  )
}

import { TokenBuckets } from '#limits'
import { PosternError } from '#protocol'
import type { Source } from './source.ts'

export interface PublishLimitsOptions {
  /** Messages in a second; 0: no limit. */
  readonly publishesPerS: number
  /** Bytes of payloads in a second; 0: no limit. */
  readonly bytesPerS: number
  /** Never set back. */
  readonly nowMs: () => number
}

/** How much each address and each identity may publish through this process. */
export class PublishLimits {
  readonly #options: PublishLimitsOptions
  readonly #publishes: TokenBuckets
  readonly #bytes: TokenBuckets

  constructor(options: PublishLimitsOptions) {
    this.#options = options
    this.#publishes = new TokenBuckets(options.publishesPerS)
    this.#bytes = new TokenBuckets(options.bytesPerS)
  }

  /** Counts a message. @returns why it may not be published: then it does not count. */
  take({ network, identity }: Source, bytes: number): PosternError | undefined {
    if (network === undefined && identity === undefined) return undefined
    const nowMs = this.#options.nowMs()
    const refusal =
      (network !== undefined && this.#refusal(network, bytes, 'this address', nowMs)) ||
      (identity !== undefined && this.#refusal(identity, bytes, 'this user', nowMs))
    if (refusal) return refusal
    for (const name of [network, identity]) {
      if (name === undefined) continue
      this.#publishes.take(name, 1, nowMs)
      this.#bytes.take(name, bytes, nowMs)
    }
    return undefined
  }

  #refusal(name: string, bytes: number, who: string, nowMs: number): PosternError | undefined {
    const { publishesPerS, bytesPerS } = this.#options
    const publishWaitMs = this.#publishes.waitMs(name, 1, nowMs)
    if (publishWaitMs > 0)
      return tooFast(who, `${publishesPerS} messages`, {
        limit: publishesPerS,
        setting: 'POSTERN_PUBLISHES_PER_S',
        retryAfterMs: publishWaitMs,
      })
    const bytesWaitMs = this.#bytes.waitMs(name, bytes, nowMs)
    if (bytesWaitMs === 0) return undefined
    return tooFast(who, `${bytesPerS} bytes`, {
      limit: bytesPerS,
      setting: 'POSTERN_PUBLISHED_BYTES_PER_S',
      retryAfterMs: bytesWaitMs,
    })
  }
}

function tooFast(who: string, what: string, bound: NonNullable<PosternError['bound']>): PosternError {
  return new PosternError(
    'RATE_LIMITED',
    `Too much was published by ${who}: ${what} a second may be (${bound.setting}). The message is not published; send it later.`,
    bound,
  )
}

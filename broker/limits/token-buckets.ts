/** A bucket holds what may come in so many seconds: so much can come at once after a rest. */
const burstS = 2

/** Threat: who comes under ever new names fills the memory. The oldest are forgotten first. */
const maxNames = 10_000

interface Bucket {
  left: number
  atMs: number
}

/**
 * How much may come of each name (token buckets). Something is let in while anything is left, and all of it is taken: so a
 * single thing that is larger than a bucket can come, and is paid for afterwards.
 */
export class TokenBuckets {
  readonly #perSecond: number
  readonly #buckets = new Map<string, Bucket>()

  /** @param perSecond 0: no limit. */
  constructor(perSecond: number) {
    this.#perSecond = perSecond
  }

  /** In how many milliseconds something may come; 0: now. */
  waitMs(name: string, nowMs: number): number {
    const bucket = this.#buckets.get(name)
    if (!bucket) return 0
    this.#fill(bucket, nowMs)
    return bucket.left > 0 ? 0 : Math.ceil((-bucket.left / this.#perSecond) * 1000) + 1
  }

  /** Something has come. */
  take(name: string, amount: number, nowMs: number): void {
    if (this.#perSecond === 0) return
    const bucket = this.#buckets.get(name) ?? this.#add(name, nowMs)
    this.#fill(bucket, nowMs)
    bucket.left -= amount
  }

  #fill(bucket: Bucket, nowMs: number): void {
    const come = ((nowMs - bucket.atMs) / 1000) * this.#perSecond
    bucket.left = Math.min(this.#perSecond * burstS, bucket.left + come)
    bucket.atMs = nowMs
  }

  #add(name: string, nowMs: number): Bucket {
    if (this.#buckets.size >= maxNames) {
      const [oldest] = this.#buckets.keys()
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    const bucket = { left: this.#perSecond * burstS, atMs: nowMs }
    this.#buckets.set(name, bucket)
    return bucket
  }
}

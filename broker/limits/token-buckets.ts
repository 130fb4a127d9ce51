/** A bucket holds what may come in so many seconds: so much can come at once after a rest. */
const burstS = 2

/** Threat: who comes under ever new names fills the memory. The oldest are forgotten first. */
const maxNames = 10_000

interface Bucket {
  left: number
  atMs: number
}

/**
 * How much may come of each name (token buckets). What is larger than a bucket may come when that is full, and is paid for
 * afterwards.
 */
export class TokenBuckets {
  readonly #rate: () => number
  readonly #buckets = new Map<string, Bucket>()

  /** @param perSecond 0: no limit. Asked each time. */
  constructor(perSecond: () => number) {
    this.#rate = perSecond
  }

  get #perSecond(): number {
    return this.#rate()
  }

  /** In how many milliseconds so much may come; 0: now. */
  waitMs(name: string, amount: number, nowMs: number): number {
    const bucket = this.#buckets.get(name)
    if (!bucket || this.#perSecond === 0) return 0
    this.#fill(bucket, nowMs)
    const missing = Math.min(amount, this.#perSecond * burstS) - bucket.left
    return missing > 0 ? Math.ceil((missing / this.#perSecond) * 1000) : 0
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

export interface FailureBounds {
  /** So many may come at once … */
  readonly burst: number
  /** … and so many in each second after that. */
  readonly perSecond: number
}

interface Bucket {
  failures: number
  sinceMs: number
}

/** Threat: who can fail under ever new names fills the memory. The oldest are forgotten first. */
const maxNames = 10_000

/** Counts failures by name, and says when there were too many of them lately. */
export class Failures {
  readonly #bounds: () => FailureBounds
  readonly #buckets = new Map<string, Bucket>()

  /** @param bounds asked each time. */
  constructor(bounds: () => FailureBounds) {
    this.#bounds = bounds
  }

  isOver(name: string, nowMs: number): boolean {
    return this.#left(name, nowMs) >= this.#bounds().burst
  }

  add(name: string, nowMs: number): void {
    const failures = this.#left(name, nowMs) + 1
    this.#buckets.delete(name)
    this.#buckets.set(name, { failures, sinceMs: nowMs })
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > maxNames && oldest !== undefined) this.#buckets.delete(oldest)
  }

  #left(name: string, nowMs: number): number {
    const bucket = this.#buckets.get(name)
    if (!bucket) return 0
    return Math.max(0, bucket.failures - ((nowMs - bucket.sinceMs) / 1000) * this.#bounds().perSecond)
  }
}

/** Buckets to each power of two, as in the generator in C. */
const steps = 64

// `hrtime` is the clock of the machine; `performance` is the same one from another origin, and costs a third.
const originUs = findOrigin()

/** Whoever is interrupted between two looks at the clocks sees milliseconds between them: the closest look counts. */
function findOrigin(): number {
  let closestMs = Number.POSITIVE_INFINITY
  let origin = 0
  for (let look = 0; look < 20; look++) {
    const beforeMs = performance.now()
    const us = Number(process.hrtime.bigint() / 1000n)
    const afterMs = performance.now()
    if (afterMs - beforeMs >= closestMs) continue
    closestMs = afterMs - beforeMs
    origin = us - 500 * (beforeMs + afterMs)
  }
  return origin
}

/** Microseconds on the clock that all processes of the machine share. */
export function clockUs(): number {
  return Math.round(originUs + performance.now() * 1000)
}

/** How long ago something was, of whose time only the low 32 bits are known. */
export function sinceUs(sentUs: number, nowUs: number): number {
  return ((nowUs % 2 ** 32) - sentUs + 2 ** 32) % 2 ** 32
}

/** Latencies in buckets that are at most 1.6 % wide. */
export class Histogram {
  readonly #counts = new Float64Array(27 * steps)
  #total = 0
  maxUs = 0

  reset(): void {
    this.#counts.fill(0)
    this.#total = 0
    this.maxUs = 0
  }

  add(us: number): void {
    const shift = us < steps ? 0 : 25 - Math.clz32(us)
    const at = us < steps ? us : shift * steps + (us >>> shift)
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#total++
    if (us > this.maxUs) this.maxUs = us
  }

  /** The upper end of the bucket that holds this share of all. */
  quantileUs(share: number): number {
    const wanted = Math.floor(share * this.#total)
    let seen = 0
    for (const [at, count] of this.#counts.entries()) {
      seen += count
      if (seen <= wanted) continue
      const shift = Math.floor(at / steps) - 1
      const end = at < steps ? at : ((at % steps) + steps + 1) * 2 ** shift - 1
      return Math.min(end, this.maxUs)
    }
    return this.maxUs
  }
}

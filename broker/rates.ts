/** What has been counted at some moment. */
export interface Counts {
  readonly published: number
  readonly delivered: number
}

/** How fast counters have grown lately. */
export interface PerSecond {
  readonly publishedPerS: number
  readonly deliveredPerS: number
}

/** Long enough for what is told every two seconds, short enough to be about now. */
const windowMs = 10_000

/** Looks at counters from time to time, and says how fast they grow. */
export class Rates {
  #looks: (Counts & { readonly atMs: number })[] = []

  /** To be called every few seconds. */
  look(counts: Counts, nowMs: number): void {
    this.#looks.push({ ...counts, atMs: nowMs })
    while (this.#looks[1] && nowMs - this.#looks[1].atMs >= windowMs) this.#looks.shift()
  }

  /** Over the last ten seconds, or since the first look. */
  perSecond({ published, delivered }: Counts, nowMs: number): PerSecond {
    const [first] = this.#looks
    const seconds = first ? (nowMs - first.atMs) / 1000 : 0
    if (!first || seconds <= 0) return { publishedPerS: 0, deliveredPerS: 0 }
    return {
      publishedPerS: toTenth((published - first.published) / seconds),
      deliveredPerS: toTenth((delivered - first.delivered) / seconds),
    }
  }
}

function toTenth(rate: number): number {
  return Math.round(rate * 10) / 10
}

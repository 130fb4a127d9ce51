/** What one run of one way to carry messages gave. */
export interface Run {
  readonly messagesPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** The middle of several runs, and how far they lie apart. */
export interface Summary extends Run {
  /** Slowest and fastest run, in messages a second. */
  readonly spread: readonly [number, number]
}

/** Collects when messages were sent and received, and checks that each came once, and where asked in order. */
export class Stopwatch {
  readonly #count: number
  readonly #isOrdered: boolean
  readonly #sentMs: Float64Array
  readonly #latenciesMs: Float64Array
  readonly #done = Promise.withResolvers<void>()
  #received = 0
  #startMs = 0
  #endMs = 0

  constructor(count: number, isOrdered: boolean) {
    this.#count = count
    this.#isOrdered = isOrdered
    this.#sentMs = new Float64Array(count)
    this.#latenciesMs = new Float64Array(count).fill(-1)
  }

  sent(index: number): void {
    const now = performance.now()
    if (index === 0) this.#startMs = now
    this.#sentMs[index] = now
  }

  /** @throws when a message is missing, doubled or out of order: a figure for wrong work is worth nothing. */
  received(index: number): void {
    const isWrong = this.#isOrdered ? index !== this.#received : this.#latenciesMs[index] !== -1
    if (isWrong) {
      this.#done.reject(new Error(`message ${index} came when ${this.#received} others had come`))
      return
    }
    const now = performance.now()
    this.#latenciesMs[index] = now - (this.#sentMs[index] ?? now)
    this.#received++
    if (this.#received < this.#count) return
    this.#endMs = now
    this.#done.resolve()
  }

  /** Resolves when all messages have come. */
  async result(): Promise<Run> {
    await this.#done.promise
    const sorted = this.#latenciesMs.toSorted()
    return {
      messagesPerSecond: (1000 * this.#count) / (this.#endMs - this.#startMs),
      p50Ms: percentile(sorted, 0.5),
      p99Ms: percentile(sorted, 0.99),
    }
  }
}

/** The run in the middle by messages a second. */
export function summarise(runs: readonly Run[]): Summary {
  const sorted = runs.toSorted((a, b) => a.messagesPerSecond - b.messagesPerSecond)
  const middle = sorted[Math.floor(sorted.length / 2)]
  const slowest = sorted[0]
  const fastest = sorted.at(-1)
  if (!middle || !slowest || !fastest) throw new Error('there are no runs')
  return { ...middle, spread: [slowest.messagesPerSecond, fastest.messagesPerSecond] }
}

/** Mixes an order, so that a machine that slows down does not slow one way only. */
export function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map(item => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}

/** Figures of one run, by name. `wrong` counts messages that were lost, doubled, out of order or broken. */
export type Figures = Readonly<Record<string, number>>

/** What one run gave. */
export interface Run {
  readonly figures: Figures
  /** What was wrong, in words. */
  readonly wrongs: string
}

/** One way to do the work of a group: a row of its table. */
export interface Way {
  readonly name: string
  /** The row that it is compared with; none for a control. */
  readonly control?: string
  /** Whether it is ours: what is wrong with it fails the benchmark. */
  readonly isOwn: boolean
  readonly run: () => Promise<Run>
}

export interface Rounds {
  /** Runs of each way that count. */
  readonly count: number
  /** Runs of each way before, that do not. */
  readonly warmUps: number
  /** As `Math.random`. */
  readonly random: () => number
  readonly onProgress: (text: string) => void
}

/** Runs every way as often as asked, interleaved and in shuffled order, so that a slow moment hits all alike. */
export async function runTrials(ways: readonly Way[], rounds: Rounds): Promise<Map<Way, Run[]>> {
  const runs = new Map<Way, Run[]>(ways.map(way => [way, []]))
  for (let round = -rounds.warmUps; round < rounds.count; round++) {
    for (const way of shuffle(ways, rounds.random)) {
      rounds.onProgress(`${round < 0 ? 'warming up' : `round ${round + 1} of ${rounds.count}`}: ${way.name}`)
      const run = await way.run()
      if (round >= 0) runs.get(way)?.push(run)
    }
  }
  return runs
}

/** The middle of several runs, and how far they lie apart. */
export interface Figure {
  readonly median: number
  readonly low: number
  readonly high: number
}

export function summarise(values: readonly number[]): Figure {
  const sorted = values.toSorted((a, b) => a - b)
  const [low] = sorted
  const high = sorted.at(-1)
  if (low === undefined || high === undefined) throw new Error('there are no runs')
  const upper = sorted[sorted.length >> 1] ?? high
  const lower = sorted[(sorted.length - 1) >> 1] ?? low
  return { median: (upper + lower) / 2, low, high }
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map(item => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item)
}

import type { Bench, Group } from '../bench.ts'
import { residentBytes } from '../meter.ts'
import { Stage } from '../program.ts'
import { startControl, startCrossws } from '../systems/controls.ts'
import type { FanOut } from '../systems/fan-out.ts'
import { hasNchan, nchanInstaller, startNchan } from '../systems/nchan.ts'
import { type Column, toRows } from '../table.ts'
import { type Run, runTrials, type Way } from '../trial.ts'

const columns: readonly Column[] = [
  { key: 'manyBytes', title: 'bytes/connection', digits: 0, hasSpread: true, hasRatio: true },
  { key: 'fewBytes', title: 'at the first tenth', digits: 0, hasRatio: true },
  { key: 'baseMegabytes', title: 'MB with none', digits: 1 },
  { key: 'brokerMegabytes', title: 'MB of the broker', digits: 1 },
]

/** Flags of Node that each is measured with. */
interface Flags {
  readonly named: string
  readonly flags: readonly string[]
}

const defaultFlags: Flags = { named: 'default flags', flags: [] }

/** A young generation this small is collected sooner and keeps less garbage beside each connection. */
const smallSemiSpace: Flags = { named: '--max-semi-space-size=1', flags: ['--max-semi-space-size=1'] }

const flagSets = [defaultFlags, smallSemiSpace]

/** Each run starts everything anew, which takes long: a default run of the benchmark has no more of them. */
const briefRuns = 3

/** How often memory is looked at until it has come to rest, and how long that may take. */
const lookMs = 300
const restWithinMs = 6000

/** Resident memory of each idle connection. A process of its own for each run: memory that was taken once is kept. */
export const memory: Group = {
  name: 'memory',
  async measure(bench) {
    const leftOut: string[] = []
    const way = (name: string, start: Start, control?: string): Way => ({
      name,
      isOwn: name.startsWith('Postern'),
      ...(control !== undefined && { control }),
      run: () => grow(bench, start),
    })
    const socket = (named: string) => `bare net.Socket in Node, ${named}`
    const peer = (named: string) => `peer of crossws in Node, ${named}`
    const ways = flagSets.flatMap(({ named, flags }) => [
      way(`Postern, ${named}`, stage => bench.postern.start(stage, { flags }), socket(named)),
      way(socket(named), stage => startControl(stage, 'bare-socket', 'net.Socket', { flags })),
      way(
        `Postern, WebSocket, ${named}`,
        stage => bench.postern.start(stage, { flags, protocol: 'websocket' }),
        peer(named),
      ),
      way(peer(named), stage => startCrossws(stage, { flags })),
    ])
    if (hasNchan()) ways.push(way('Nchan', startNchan, socket(defaultFlags.named)))
    else leftOut.push(`Nchan: not installed (on Debian, as root: ${nchanInstaller})`)
    const { count } = bench.rounds
    const runs = bench.scale.isFull ? count : Math.min(count, briefRuns)
    if (runs < count) leftOut.push(`${count - runs} of ${count} runs: each starts everything anew`)
    // Fresh processes have nothing to warm up.
    const rows = toRows(columns, await runTrials(ways, { ...bench.rounds, count: runs, warmUps: 0 }))
    const [, many] = sizes(bench)
    return {
      group: this.name,
      title: `${many.toLocaleString('en')} idle connections`,
      columns,
      rows,
      leftOut,
    }
  },
}

type Start = (stage: Stage) => Promise<FanOut>

function sizes({ scale }: Bench): readonly [few: number, many: number] {
  return scale.isQuick ? [20, 200] : [1000, 10_000]
}

/** Opens a tenth, then the rest. A few come first, so that what is loaded with the first one is not counted. */
async function grow(bench: Bench, start: Start): Promise<Run> {
  const stage = new Stage()
  try {
    const system = await start(stage)
    const load = await bench.startLoad(stage)
    const rest = bench.scale.isQuick ? async () => residentBytes(system.pids) : () => resting(system.pids)
    const warm = 10
    await load.open(system, warm)
    const base = await rest()
    const [few, many] = sizes(bench)
    await load.open(system, few - warm)
    const atFew = await rest()
    const { ended } = await load.open(system, many - few)
    const atMany = await rest()
    return {
      wrongs: ended > 0 ? `${ended} ended` : '',
      figures: {
        wrong: ended,
        connections: many,
        manyBytes: (atMany - base) / (many - warm),
        fewBytes: (atFew - base) / (few - warm),
        baseMegabytes: base / 2 ** 20,
        ...(system.brokerPids.length > 0 && { brokerMegabytes: residentBytes(system.brokerPids) / 2 ** 20 }),
      },
    }
  } finally {
    await stage.close()
  }
}

/** Memory once it has come to rest: three looks within one percent of each other. */
async function resting(pids: readonly number[]): Promise<number> {
  const looks: number[] = []
  for (let waitedMs = 0; waitedMs < restWithinMs; waitedMs += lookMs) {
    looks.push(residentBytes(pids))
    const newest = looks.slice(-3)
    if (newest.length === 3 && Math.max(...newest) <= 1.01 * Math.min(...newest)) break
    await new Promise(resolve => setTimeout(resolve, lookMs))
  }
  return looks.at(-1) ?? 0
}

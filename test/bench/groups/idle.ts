import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, Group } from '../bench.ts'
import { residentBytes, wakes } from '../meter.ts'
import { root, Stage, startNode } from '../program.ts'
import { bundle, Postern, type PosternPrograms, sources } from '../systems/postern.ts'
import { type Column, toRows } from '../table.ts'
import { type Run, runTrials, type Way } from '../trial.ts'

const columns: readonly Column[] = [
  { key: 'residentMegabytes', title: 'MB resident', digits: 1, hasSpread: true, hasRatio: true },
  { key: 'readyMs', title: 'ms to ready', digits: 0, hasSpread: true },
  { key: 'wakesPerSecond', title: 'wakes/s', digits: 1 },
]

const control = 'Node with a server that does nothing'

/** What each process takes that has nothing to do: as its sources run, and as it ships. */
export const idle: Group = {
  name: 'idle',
  async measure(bench) {
    const leftOut: string[] = []
    const ways: Way[] = [
      { name: control, isOwn: false, run: () => rest(bench, startNothing) },
      ...waysOf(bench, 'from sources', sources),
    ]
    if (existsSync(join(root, bundle.broker))) ways.push(...waysOf(bench, 'as bundled in dist', bundle))
    else leftOut.push('the bundle: it is not built (npm run build)')
    const rows = toRows(columns, await runTrials(ways, { ...bench.rounds, warmUps: 0 }))
    return { group: this.name, title: 'nothing to do, default flags', columns, rows, leftOut }
  },
}

/** Starts what is to be measured, and gives its process. */
type Start = (stage: Stage) => Promise<{ readonly pid: number; readonly readyMs: number }>

function waysOf(bench: Bench, how: string, programs: PosternPrograms): Way[] {
  const postern = new Postern(programs)
  const startBroker: Start = async stage => timed(async () => (await postern.startBroker(stage)).pid)
  const startFunctions: Start = async stage => {
    const broker = await postern.startBroker(stage)
    return timed(async () => (await postern.startFunctions(stage, broker)).pids[0] ?? 0)
  }
  return [
    { name: `broker, ${how}`, control, isOwn: true, run: () => rest(bench, startBroker) },
    { name: `functions, ${how}`, control, isOwn: true, run: () => rest(bench, startFunctions) },
  ]
}

const startNothing: Start = stage =>
  timed(async () => (await startNode(stage, 'test/bench/servers/bare-socket.ts')).pid)

async function timed(start: () => Promise<number>) {
  const startedMs = performance.now()
  const pid = await start()
  return { pid, readyMs: performance.now() - startedMs }
}

/** After a moment in which what was begun at the start ends, it is looked at for another. */
async function rest(bench: Bench, start: Start): Promise<Run> {
  const stage = new Stage()
  try {
    const { pid, readyMs } = await start(stage)
    const momentMs = bench.scale.isQuick ? 10 : 1000
    const moment = () => new Promise(resolve => setTimeout(resolve, momentMs))
    await moment()
    const before = wakes(pid)
    await moment()
    return {
      wrongs: '',
      figures: {
        wrong: 0,
        residentMegabytes: residentBytes([pid], 'Rss') / 2 ** 20,
        readyMs,
        wakesPerSecond: (1000 * (wakes(pid) - before)) / momentMs,
      },
    }
  } finally {
    await stage.close()
  }
}

import type { Bench, Group } from '../bench.ts'
import { deliver, deliveryColumns, metered, until } from '../delivery.ts'
import type { Load } from '../load.ts'
import type { Stage } from '../program.ts'
import { startFloor } from '../systems/controls.ts'
import type { FanOut } from '../systems/fan-out.ts'
import { hasNchan, nchanInstaller, startNchan } from '../systems/nchan.ts'
import type { FunctionsOptions, PosternFunctions } from '../systems/postern.ts'
import { toRows } from '../table.ts'
import { runTrials, type Way } from '../trial.ts'

/** Topics are spread over so many branches; each connection follows one, so that the audience never changes. */
const branches = 10

/** What the cost of a delivery depends on, and what not: topics, connections, the size of messages; and resuming. */
export const growth: Group = {
  name: 'growth',
  async measure(bench, stage) {
    const leftOut: string[] = []
    const floor = await bench.compiler.build('servers/floor.c')
    if (floor === undefined) leftOut.push('the floor: there is no C compiler')
    const ways = [
      ...(await topicWays(bench, stage)),
      ...(await connectionWays(bench, stage, floor)),
      ...(await sizeWays(bench, stage, floor)),
      ...(await resumeWays(bench, stage, leftOut)),
    ]
    const rows = toRows(deliveryColumns, await runTrials(ways, bench.rounds))
    return { group: this.name, title: 'one thing grows', columns: deliveryColumns, rows, leftOut }
  },
}

function connectionsOf({ scale }: Bench): number {
  return scale.isQuick ? 20 : 1000
}

/**
 * The same connections and the same audience for each message, with ever more topics: as many have messages and a
 * history, and as many are followed, by connections that each have an equal part of them beside their branch.
 */
async function topicWays(bench: Bench, stage: Stage): Promise<Way[]> {
  const connections = connectionsOf(bench)
  const counts = bench.scale.isQuick ? [10, 100, 1000] : [10, 1000, 100_000]
  const nameOf = (topics: number) => `${topics.toLocaleString('en')} topics, W = 16: Postern`
  const ways: Way[] = []
  for (const topics of counts) {
    const system = await bench.postern.start(stage)
    const load = await bench.startLoad(stage)
    const plan = { bytes: 100, underWay: 16, topics, classes: branches }
    const path = '/message/branch-%c/topic-%t'
    // Before anybody listens, every topic gets a message, and with it a history.
    await load.publish(system, { ...plan, underWay: 64, count: topics }, path)
    await load.open(system, connections, {
      classes: branches,
      path: '/event?topic=branch-%c',
      extra: '&topic=own/%i/%j',
      extras: Math.ceil(topics / connections),
    })
    ways.push({
      name: nameOf(topics),
      isOwn: true,
      ...(topics !== counts[0] && { control: nameOf(counts[0] ?? 0) }),
      run: () => deliver(load, system, { ...plan, ...until(bench.scale, 0.7) }, path),
    })
  }
  return ways
}

async function connectionWays(bench: Bench, stage: Stage, floor: string | undefined): Promise<Way[]> {
  const { isQuick, isFull } = bench.scale
  const counts = isQuick ? [1, 10] : isFull ? [1, 10, 100, 1000, 10_000] : [1, 100, 10_000]
  const ways: Way[] = []
  for (const count of counts) {
    const all = await startBesideFloor(bench, stage, floor, count, [{}])
    ways.push(...turnWays(bench, all, `${count.toLocaleString('en')} connections`, 100))
  }
  return ways
}

/** The sizes of a default run each have a length of their own form in WebSocket's frames. */
async function sizeWays(bench: Bench, stage: Stage, floor: string | undefined): Promise<Way[]> {
  const sizes = [16, ...(bench.scale.isFull ? [100, 1024, 16 * 1024] : [1024]), 64 * 1024]
  const own = [{}, { protocol: 'websocket', name: 'Postern, WebSocket' }] as const
  const all = await startBesideFloor(bench, stage, floor, connectionsOf(bench), own)
  return sizes.flatMap(bytes => turnWays(bench, all, `${bytes.toLocaleString('en')} bytes`, bytes))
}

interface Loaded {
  readonly system: FanOut
  readonly load: Load
}

async function startBesideFloor(
  bench: Bench,
  stage: Stage,
  floor: string | undefined,
  connections: number,
  own: readonly FunctionsOptions[],
): Promise<Loaded[]> {
  const systems: FanOut[] = []
  for (const options of own) systems.push(await bench.postern.start(stage, options))
  if (floor !== undefined) systems.push({ ...(await startFloor(stage, floor)), name: floorName })
  const all: Loaded[] = []
  for (const system of systems) {
    const load = await bench.startLoad(stage)
    await load.open(system, connections)
    all.push({ system, load })
  }
  return all
}

const floorName = 'floor'

/** A message of this size at a time, to each of them. */
function turnWays(bench: Bench, all: readonly Loaded[], what: string, bytes: number): Way[] {
  const hasFloor = all.some(({ system }) => system.name === floorName)
  return all.map(({ system, load }): Way => {
    const nameOf = (who: string) => `${what}, one at a time: ${who}`
    const isOwn = system.name !== floorName
    return {
      name: nameOf(system.name),
      isOwn,
      ...(isOwn && hasFloor && { control: nameOf(floorName) }),
      run: () => deliver(load, system, { bytes, takesTurns: true, ...until(bench.scale, 0.5) }),
    }
  })
}

/** Messages that each connection has missed when all of them come again at once. */
const missed = 100

async function resumeWays(bench: Bench, stage: Stage, leftOut: string[]): Promise<Way[]> {
  const connections = connectionsOf(bench)
  const nameOf = (who: string) =>
    `${connections.toLocaleString('en')} resume at once, ${missed} missed: ${who}`
  const nchan = hasNchan()
  if (!nchan) leftOut.push(`Nchan: not installed (on Debian, as root: ${nchanInstaller})`)
  const systems: (PosternFunctions | FanOut)[] = [await bench.postern.start(stage)]
  if (nchan) systems.push(await startNchan(stage))
  return Promise.all(
    systems.map(async (system): Promise<Way> => {
      const load = await bench.startLoad(stage)
      return {
        name: nameOf(system.name),
        isOwn: system.name === 'Postern',
        ...(system.name === 'Postern' && nchan && { control: nameOf('Nchan') }),
        run: () => resume(load, system, connections),
      }
    }),
  )
}

/** One connection sees a message, and the missed ones; then the others come with the id of the first. */
async function resume(load: Load, system: FanOut, connections: number) {
  await load.close()
  await load.open(system, 1)
  await load.publish(system, { bytes: 100, count: 1 })
  const { lastId } = await load.publish(system, { bytes: 100, count: 1 })
  await load.publish(system, { bytes: 100, count: missed })
  return metered(system, async () => {
    await load.open(system, connections, { lastEventId: lastId, missed })
    return load.settle()
  })
}

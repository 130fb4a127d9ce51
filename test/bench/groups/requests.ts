import type { Bench, Group } from '../bench.ts'
import { deliver, until } from '../delivery.ts'
import type { Load } from '../load.ts'
import { startControl } from '../systems/controls.ts'
import type { PosternFunctions } from '../systems/postern.ts'
import { type Column, toRows } from '../table.ts'
import { runTrials, type Way } from '../trial.ts'

const columns: readonly Column[] = [
  { key: 'postsPerSecond', title: 'POSTs/s', digits: 0, hasSpread: true, hasRatio: true },
  { key: 'usPerMessage', title: 'µs/POST', digits: 1, hasRatio: true },
  { key: 'brokerUsPerMessage', title: 'broker µs', digits: 1 },
]

/** POSTs with receipts, beside servers that answer 201 to everything. Nobody listens. */
export const requests: Group = {
  name: 'requests',
  async measure(bench, stage) {
    const h3 = await startControl(stage, 'h3', 'h3 alone')
    const systems = [
      await bench.postern.start(stage),
      { ...h3, publishPath: '/publish/bench' },
      await startControl(stage, 'node-http', 'node:http alone'),
    ]
    const ways = await Promise.all(
      systems.flatMap(system =>
        [1, 16, 64].map(async (underWay): Promise<Way> => {
          const load = await bench.startLoad(stage)
          const nameOf = (name: string) => `W = ${underWay}: ${name}`
          return {
            name: nameOf(system.name),
            isOwn: system.name === 'Postern',
            ...(system.name === 'Postern' && { control: nameOf('h3 alone') }),
            run: () => deliver(load, system, { bytes: 100, underWay, ...until(bench.scale, 0.6) }),
          }
        }),
      ),
    )
    const rows = toRows(columns, await runTrials(byWeight(ways), bench.rounds))
    return { group: this.name, title: 'POST of 100 bytes, 201', columns, rows, leftOut: [] }
  },
}

/** Rows that are compared stand together. */
function byWeight(ways: readonly Way[]): Way[] {
  const weightOf = ({ name }: Way) => Number.parseInt(name.slice('W = '.length), 10)
  return ways.toSorted((a, b) => weightOf(a) - weightOf(b))
}

const stalledColumns: readonly Column[] = [
  { key: 'p50Ms', title: 'p50 ms', digits: 1 },
  { key: 'p99Ms', title: 'p99 ms', digits: 1, hasSpread: true, hasRatio: true },
  { key: 'p999Ms', title: 'p99.9 ms', digits: 1 },
  { key: 'usPerDelivery', title: 'µs/delivery', digits: 2 },
  { key: 'deliveriesPerSecond', title: 'deliveries/s', digits: 0 },
]

/** What readers notice of one among them that has stopped reading. */
export const stalled: Group = {
  name: 'stalled',
  async measure(bench, stage) {
    const readers = bench.scale.isQuick ? 20 : 500
    const system = await bench.postern.start(stage)
    const parts = {
      system,
      light: await bench.startLoad(stage),
      heavy: await bench.startLoad(stage),
      stalled: await bench.startLoad(stage),
    }
    await parts.light.open({ ...system, subscribePath: '/event/light' }, readers)
    const control = `${readers} readers`
    const ways: Way[] = [
      { name: control, isOwn: true, run: () => listen(bench, parts, false) },
      {
        name: `${readers} readers and a stalled one`,
        control,
        isOwn: true,
        run: () => listen(bench, parts, true),
      },
    ]
    const rows = toRows(stalledColumns, await runTrials(ways, bench.rounds))
    return { group: this.name, title: '200 messages a second', columns: stalledColumns, rows, leftOut: [] }
  },
}

interface Parts {
  readonly system: PosternFunctions
  readonly light: Load
  readonly heavy: Load
  readonly stalled: Load
}

/**
 * The stalled one asks for a heavy topic as well, so that what is kept for it comes to its bound and beyond; the heavy
 * messages are there without it too, and then go to nobody.
 */
async function listen(bench: Bench, { system, light, heavy, stalled }: Parts, withStalled: boolean) {
  if (withStalled)
    await stalled.open({ ...system, subscribePath: '/event/heavy?topic=light' }, 1, { isStalled: true })
  const seconds = bench.scale.isQuick ? 0.2 : 2
  const [run] = await Promise.all([
    deliver(
      light,
      system,
      { bytes: 100, rate: 200, underWay: 16, ...until(bench.scale, seconds) },
      '/message/light',
    ),
    heavy.publish(system, { bytes: 128 * 1024, rate: 40, underWay: 4, seconds }, '/message/heavy'),
  ])
  if (withStalled) await stalled.close()
  return run
}

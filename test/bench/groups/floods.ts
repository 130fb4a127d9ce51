import type { Bench, Group } from '../bench.ts'
import { deliver, until } from '../delivery.ts'
import type { Load } from '../load.ts'
import { Stage, startNode } from '../program.ts'
import type { PosternFunctions } from '../systems/postern.ts'
import { type Column, toRows } from '../table.ts'
import { runTrials, type Way } from '../trial.ts'

const columns: readonly Column[] = [
  { key: 'p50Ms', title: 'p50 ms', digits: 1, hasRatio: true },
  { key: 'p99Ms', title: 'p99 ms', digits: 1, hasSpread: true, hasRatio: true },
  { key: 'usPerDelivery', title: 'µs/delivery', digits: 2 },
  { key: 'deliveriesPerSecond', title: 'deliveries/s', digits: 0 },
]

/** A kind of flood, the door that it comes to, and how high it is. */
const floods = [
  ['10,000 connections that say nothing', 'half-open', 'http', 10_000],
  ['1,000 heads, byte by byte', 'slow-heads', 'http', 1000],
  ['1,000 bodies, byte by byte', 'slow-bodies', 'http', 1000],
  ['wrong passwords at HTTP', 'logins-http', 'http', 32],
  ['wrong passwords at the TCP door', 'logins-tcp', 'tcp', 32],
  ['publishes of one address', 'publishes', 'http', 32],
] as const

/** Everybody may do everything, but who shows a password must know it. The hash is that of "secret". */
const settings = {
  access: [{ who: '*', publish: ['**'], subscribe: ['**'] }],
  users: ['amy:$2y$05$WmR/zF/Qj6ABAY.I4ATyfeArToY9nuB7tIVIXQL.ITVhZsOip900W'],
  tcp: 'tcp://127.0.0.1:0',
}

/** What readers notice of a flood at the same processes. The flood has a process of its own, and its processor time too. */
export const floodedReaders: Group = {
  name: 'floods',
  async measure(bench, stage) {
    const readers = bench.scale.isQuick ? 20 : 200
    const broker = await bench.postern.startBroker(stage, settings)
    const system = await bench.postern.startFunctions(stage, broker, {
      env: { POSTERN_TRUST_PROXY: 'loopback' },
    })
    const load = await bench.startLoad(stage)
    await load.open(system, readers)
    const control = 'no flood'
    const places = { http: system.address, tcp: (broker.tcp ?? '').replace('tcp://', '') }
    const ways: Way[] = [
      { name: control, isOwn: true, run: () => publish(bench, load, system) },
      ...floods.map(([name, kind, door, count]) => ({
        name,
        control,
        isOwn: true,
        run: () =>
          publish(bench, load, system, [kind, places[door], String(bench.scale.isQuick ? 10 : count)]),
      })),
    ]
    const rows = toRows(columns, await runTrials(ways, bench.rounds))
    return {
      group: this.name,
      title: `${readers} readers, 100 messages a second`,
      columns,
      rows,
      leftOut: [],
    }
  },
}

async function publish(bench: Bench, load: Load, system: PosternFunctions, flood?: readonly string[]) {
  const own = new Stage()
  try {
    if (flood) await startNode(own, 'test/support/flood.ts', flood)
    return await deliver(load, system, { bytes: 100, rate: 100, underWay: 16, ...until(bench.scale, 3) })
  } finally {
    await own.close()
  }
}

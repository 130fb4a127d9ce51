import type { Group } from '../bench.ts'
import { deliver, deliveryColumns, until } from '../delivery.ts'
import { toRows } from '../table.ts'
import { runTrials, type Way } from '../trial.ts'

/** One functions process, and two workers that share its port: what a second one costs, and what it brings. */
export const workers: Group = {
  name: 'workers',
  async measure(bench, stage) {
    const ways: Way[] = []
    const counts = bench.scale.isQuick ? [20] : [1000, 10_000]
    for (const connections of counts) {
      for (const workerCount of [1, 2]) {
        const name = workerCount === 1 ? 'one process' : `${workerCount} workers`
        const system = await bench.postern.startFunctions(stage, await bench.postern.startBroker(stage), {
          workers: workerCount,
          name,
        })
        const load = await bench.startLoad(stage)
        await load.open(system, connections)
        for (const pattern of ['one at a time', 'W = 16']) {
          const nameOf = (who: string) => `${connections.toLocaleString('en')}, ${pattern}: ${who}`
          const plan = pattern === 'W = 16' ? { underWay: 16 } : { takesTurns: true }
          ways.push({
            name: nameOf(name),
            isOwn: true,
            ...(workerCount > 1 && { control: nameOf('one process') }),
            run: () => deliver(load, system, { bytes: 100, ...plan, ...until(bench.scale, 0.7) }),
          })
        }
      }
    }
    const rows = toRows(deliveryColumns, await runTrials(ways, bench.rounds))
    return { group: this.name, title: '100 bytes to', columns: deliveryColumns, rows, leftOut: [] }
  },
}

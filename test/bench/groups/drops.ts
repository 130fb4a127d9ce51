import { Relay } from '../../../broker/client/index.ts'
import type { Bench, Group } from '../bench.ts'
import { metered } from '../delivery.ts'
import type { Load } from '../load.ts'
import { Stage } from '../program.ts'
import type { PosternFunctions } from '../systems/postern.ts'
import { type Column, toRows } from '../table.ts'
import { type Run, runTrials, type Way } from '../trial.ts'

const columns: readonly Column[] = [
  { key: 'messages', title: 'messages', digits: 0 },
  { key: 'deliveries', title: 'deliveries', digits: 0 },
  { key: 'replays', title: 'replays', digits: 0, hasSpread: true },
  { key: 'seconds', title: 'seconds', digits: 2, hasSpread: true },
  { key: 'maxMs', title: 'longest ms', digits: 0 },
]

/**
 * A functions process is stopped while messages are published through another one, more of them than sockets and the
 * smallest queue of the stream hold: the broker drops the rest, the last batches too. Then it goes on.
 */
export const drops: Group = {
  name: 'drops',
  async measure(bench, stage) {
    // The tail holds all that may have to be repaired.
    const broker = await bench.postern.startBroker(stage, { streamHighWaterMark: 1, tailBytes: 64 * 2 ** 20 })
    const publishers = await bench.postern.startFunctions(stage, broker)
    const relay = new Relay({ broker: broker.requests })
    stage.atEnd(() => relay.close())
    const connections = bench.scale.isQuick ? 5 : 20
    // A process of its own for each run: what it tells of its repairs is then not left out as said before.
    const run = (isStopped: boolean) => async () => {
      const own = new Stage()
      try {
        const subscribers = await bench.postern.startFunctions(own, broker)
        const load = await bench.startLoad(own)
        await load.open(subscribers, connections)
        return await publish(bench, { publishers, subscribers, load, relay }, isStopped)
      } finally {
        await own.close()
      }
    }
    const control = 'nobody is stopped'
    const ways: Way[] = [
      { name: control, isOwn: true, run: run(false) },
      { name: 'stopped, dropped, repaired', control, isOwn: true, run: run(true) },
    ]
    const rows = toRows(columns, await runTrials(ways, { ...bench.rounds, warmUps: 0 }))
    return { group: this.name, title: `${connections} connections, 16 KiB`, columns, rows, leftOut: [] }
  },
}

interface Parts {
  readonly publishers: PosternFunctions
  readonly subscribers: PosternFunctions
  readonly load: Load
  readonly relay: Relay
}

async function publish(
  bench: Bench,
  { publishers, subscribers, load, relay }: Parts,
  isStopped: boolean,
): Promise<Run> {
  let hasRepaired = false
  const count = bench.scale.isQuick ? 800 : 1500
  const { last, counters } = await relay.status()
  subscribers.onLog(line => {
    hasRepaired ||= line.includes('"repaired"')
  })
  if (isStopped) subscribers.kill('SIGSTOP')
  const run = await metered(subscribers, async () => {
    const published = load.publish(publishers, { bytes: 16 * 1024, underWay: 8, count })
    if (isStopped) {
      await logged(relay, last + count)
      subscribers.kill('SIGCONT')
    }
    return published
  })
  const replays = ((await relay.status()).counters['replays'] ?? 0) - (counters['replays'] ?? 0)
  // Without a drop this has shown nothing.
  const isInVain = isStopped && !hasRepaired
  return {
    wrongs: isInVain ? `${run.wrongs} nothing was dropped` : run.wrongs,
    figures: { ...run.figures, replays, wrong: (run.figures['wrong'] ?? 0) + (isInVain ? 1 : 0) },
  }
}

/** Resolves when the log has come to an offset: all is published, and nothing follows that would tell of a loss. */
async function logged(relay: Relay, offset: number): Promise<void> {
  while ((await relay.status()).last < offset) await new Promise(resolve => setTimeout(resolve, 20))
}

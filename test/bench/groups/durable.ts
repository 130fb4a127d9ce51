import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import * as v from 'valibot'
import { Relay } from '../../../broker/client/index.ts'
import type { BrokerStatus } from '../../../broker/protocol/index.ts'
import type { Group, Scale } from '../bench.ts'
import { processorSeconds } from '../meter.ts'
import { type Running, type Stage, startNode } from '../program.ts'
import { type Column, toRows } from '../table.ts'
import { type Run, runTrials, type Way } from '../trial.ts'

const columns: readonly Column[] = [
  { key: 'receiptsPerSecond', title: 'receipts/s', digits: 0, hasSpread: true, hasRatio: true },
  { key: 'p50Ms', title: 'p50 ms', digits: 2 },
  { key: 'p99Ms', title: 'p99 ms', digits: 2 },
  { key: 'usPerReceipt', title: 'processor µs', digits: 1 },
  { key: 'perTransaction', title: 'in a transaction', digits: 0 },
]

const topic = 'bench'

/**
 * Receipts for messages that are on disk and synced, over a connection from another process, beside the same rows in
 * SQLite alone: as many in each transaction as publishers await, which is all that the broker can have. Nobody
 * receives.
 */
export const durable: Group = {
  name: 'durable',
  async measure(bench, stage) {
    const broker = await bench.postern.startBroker(stage, {
      topics: { [topic]: { durable: true, maxKept: 1_000_000_000, maxKeptBytes: 2 ** 40 } },
    })
    const relay = new Relay({ broker: broker.requests })
    stage.atEnd(() => relay.close())
    const publishers = await startNode(stage, 'test/bench/durable/publishers.ts', [broker.requests])
    let receipts = 0
    const ways: Way[] = []
    for (const count of [1, 10, 100]) {
      const nameOf = (what: string) => `${count} publisher${count === 1 ? '' : 's'}: ${what}`
      const extent = `bytes=100 ${extentOf(bench.scale, count)}`
      const addControl = async (name: string, rows: number) => {
        const program = await startRows(stage)
        const run = () => measured(program, [program.pid], `insert rows=${rows} ${extent}`)
        ways.push({ name, isOwn: false, run })
        return name
      }
      let control = await addControl(nameOf('node:sqlite, a transaction each'), 1)
      if (count > 1) control = await addControl(nameOf(`node:sqlite, ${count} in a transaction`), count)
      const publish = (topic: string) =>
        measured(publishers, [broker.pid], `publish topic=${topic} publishers=${count} ${extent}`)
      const run = async () => {
        const before = await relay.status()
        const made = await publish(topic)
        const after = await relay.status()
        const messages = made.figures['messages'] ?? 0
        receipts += messages
        const perTransaction = messages / Math.max(1, transactionsOf(after) - transactionsOf(before))
        const run = { ...made, figures: { ...made.figures, perTransaction } }
        return checked(run, receipts, after.keptMessages)
      }
      ways.push({ name: nameOf('Postern'), control, isOwn: true, run })
      // What the way there and back takes without the store.
      ways.push({ name: nameOf('Postern, not durable'), isOwn: true, run: () => publish('other') })
    }
    const rows = toRows(columns, await runTrials(ways, bench.rounds))
    return { group: this.name, title: '100 bytes, synced', columns, rows, leftOut: [] }
  },
}

const transactionsOf = ({ counters }: BrokerStatus) => counters['keptTransactions'] ?? 0

function extentOf({ isQuick }: Scale, publishers: number): string {
  return isQuick ? `count=${2 * publishers}` : 'seconds=0.7'
}

async function startRows(stage: Stage): Promise<Running> {
  const folder = await mkdtemp(join(stage.folder, 'rows-'))
  return startNode(stage, 'test/bench/durable/rows.ts', [join(folder, 'kept.sqlite')])
}

const told = v.object({
  messages: v.number(),
  seconds: v.number(),
  wrong: v.number(),
  p50Us: v.number(),
  p99Us: v.number(),
})

async function measured(program: Running, pids: readonly number[], command: string): Promise<Run> {
  const before = processorSeconds(pids)
  const made = v.parse(told, JSON.parse(await program.ask(command)))
  const { messages, seconds, wrong, p50Us, p99Us } = made
  return {
    wrongs: wrong > 0 ? `${wrong} receipts repeated or out of order` : '',
    figures: {
      messages,
      wrong,
      receiptsPerSecond: messages / seconds,
      p50Ms: p50Us / 1000,
      p99Ms: p99Us / 1000,
      usPerReceipt: (1e6 * (processorSeconds(pids) - before)) / messages,
    },
  }
}

/** Nobody receives: everything that has a receipt is still there. */
function checked(run: Run, receipts: number, kept: number): Run {
  const missing = receipts - kept
  if (missing === 0) return run
  const wrongs = [run.wrongs, `${receipts} receipts, but ${kept} kept`].filter(Boolean).join(', ')
  return { wrongs, figures: { ...run.figures, wrong: (run.figures['wrong'] ?? 0) + Math.abs(missing) } }
}

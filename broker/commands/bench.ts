import { randomBytes } from 'node:crypto'
import { Relay } from '../client/relay.ts'
import { spaceTopic } from '../protocol/index.ts'
import { type RoundResult, runRound } from './bench-round.ts'
import { brokerArgument, findBroker, findKeys } from './broker-address.ts'
import { defineCommand } from './command.ts'
import { Refusal, reached } from './connection.ts'
import { ProgressBar } from './progress-bar.ts'
import { type Row, tableOf } from './table.ts'
import { wholeOf } from './words.ts'

/** One at a time shows how long it takes, the others how much goes through. */
const rounds = [1, 16, 256]

export const command = defineCommand({
  name: 'bench',
  description:
    'Puts a short load on a running broker, with receipts and one subscriber, and says how fast it was',
  args: {
    seconds: { type: 'string', valueHint: 'N', default: '2', description: 'Of each round' },
    bytes: { type: 'string', valueHint: 'N', default: '100', description: 'Of each payload' },
    ...brokerArgument,
  },
  notes: `Each message is checked to come once and in order. They go to a bus with a name of its own: nobody else gets them and
no history takes them, but the newest part of the log is full of them afterwards, so that whoever was away resumes from
the history alone.`,
  examples: ['broker bench', 'broker bench --seconds 10 --bytes 1024'],
  async run({ seconds, bytes, broker }) {
    const durationMs = 1000 * (wholeOf('--seconds', seconds, 1, 3600) ?? 2)
    const size = wholeOf('--bytes', bytes, 8, 64 * 1024 * 1024) ?? 100
    const address = findBroker(broker, process.env)
    const refusal = new Refusal()
    const curve = findKeys(process.env)
    const relay = new Relay({ broker: address, ...(curve && { curve }), onRefused: refusal.onRefused })
    const bar = new ProgressBar()
    try {
      await reached(relay, address, refusal)
      const rows: Row[] = []
      for (const [index, underWay] of rounds.entries()) {
        const result = await runRound(relay, {
          topic: spaceTopic('bus', `bench/${randomBytes(6).toString('hex')}`),
          underWay,
          bytes: size,
          durationMs,
          onProgress: share => bar.show((index + share) / rounds.length, `${underWay} under way`),
        })
        rows.push(toRow(underWay, result))
      }
      bar.clear()
      process.stdout.write(tableOf(head, rows))
    } finally {
      bar.clear()
      await relay.close()
    }
  },
})

const head = ['under way', 'messages', 'a second', 'receipt p50', 'p99', 'delivery p50', 'p99']

function toRow(underWay: number, { messages, perSecond, receiptMs, deliveryMs }: RoundResult): Row {
  const inMs = (list: readonly number[], share: number) =>
    `${(list[Math.floor(list.length * share)] ?? 0).toFixed(2)} ms`
  return [
    underWay,
    messages,
    Math.round(perSecond),
    ...[receiptMs, deliveryMs].flatMap(list => [inMs(list, 0.5), inMs(list, 0.99)]),
  ]
}

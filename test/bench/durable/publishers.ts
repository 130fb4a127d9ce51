/**
 * Publishers of one topic, each of which awaits its receipt before it sends again. They share a connection as those of
 * one functions process do: what they publish in one turn of the event loop is one request. Written for the
 * measurement: `Relay`, which promises more, would take a third of the processors for itself.
 * Usage: publishers.ts BROKER
 * `publish topic=TOPIC publishers=N bytes=N seconds=N|count=N` writes what became of it as JSON.
 */
import { createInterface } from 'node:readline'
import { Link } from '../../../broker/client/link.ts'
import { BatchWriter, noEpoch, parseId, type ReceiptEntry } from '../../../broker/protocol/index.ts'
import { Command } from '../load/command.ts'
import { clockUs, Histogram } from '../load/histogram.ts'
import { headBytes, numberPayload } from '../load/payload.ts'

/** Longer than any receipt takes. */
const patienceMs = 20_000

const [address = ''] = process.argv.slice(2)
const link = new Link({ address, onUp() {}, onHand() {}, onDeliver() {}, onSign() {} })
await link.ready()

async function publish(command: Command) {
  const topic = command.text('topic', 'bench')
  const publishers = command.number('publishers', 1)
  const payload = Buffer.alloc(Math.max(headBytes, command.number('bytes', 100)), '.')
  const count = command.number('count', Number.POSITIVE_INFINITY)
  const startedUs = clockUs()
  const endUs = startedUs + command.number('seconds', 3600) * 1e6
  const latencies = new Histogram()
  const writer = new BatchWriter()
  let sent = 0
  let wrong = 0
  let last = 0

  /** What is missing or refused, and what does not come after everything before it. */
  const check = (receipts: readonly ReceiptEntry[], expected: number) => {
    wrong += expected - receipts.length
    for (const receipt of receipts) {
      const offset = 'id' in receipt ? (parseId(receipt.id)?.offset ?? 0) : 0
      if (offset <= last) wrong++
      last = Math.max(last, offset)
    }
  }

  for (let nowUs = clockUs(); sent < count && nowUs < endUs; nowUs = clockUs()) {
    const messages = Math.min(publishers, count - sent)
    for (const end = sent + messages; sent < end; sent++) {
      numberPayload(payload, sent, nowUs)
      writer.add({ topic, type: '', binary: true, payload })
    }
    const batch = writer.finish({ epoch: noEpoch, first: 0, timeMs: 0 }).bytes
    const session = link.hello?.session ?? ''
    const ask = { op: 'publish', session, deadlineMs: link.brokerMs(patienceMs), keys: [] } as const
    const { head } = await link.request(ask, patienceMs, batch)
    const latencyUs = clockUs() - nowUs
    const receipts = head.op === 'receipts' ? head.receipts : []
    check(receipts, messages)
    for (let i = 0; i < messages; i++) latencies.add(latencyUs)
  }
  return {
    messages: sent,
    seconds: (clockUs() - startedUs) / 1e6,
    wrong,
    p50Us: latencies.quantileUs(0.5),
    p99Us: latencies.quantileUs(0.99),
  }
}

process.send?.({})
process.on('disconnect', () => process.exit())
for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(await publish(new Command(line)))}\n`)
}

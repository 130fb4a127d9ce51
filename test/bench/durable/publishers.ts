/**
 * Publishers of one topic, each of which awaits its receipt before it sends again, on one `Relay`.
 * Usage: publishers.ts BROKER
 * `publish topic=TOPIC publishers=N bytes=N seconds=N|count=N` writes what became of it as JSON.
 */
import { createInterface } from 'node:readline'
import { Relay } from '../../../broker/client/index.ts'
import { parseId } from '../../../broker/protocol/index.ts'
import { Command } from '../load/command.ts'
import { clockUs, Histogram } from '../load/histogram.ts'
import { createPayload } from '../load/payload.ts'

const [broker = ''] = process.argv.slice(2)
const relay = new Relay({ broker })
await relay.ready()

async function publish(command: Command) {
  const topic = command.text('topic', 'bench')
  const bytes = command.number('bytes', 100)
  const count = command.number('count', Number.POSITIVE_INFINITY)
  const startedUs = clockUs()
  const endUs = startedUs + command.number('seconds', 3600) * 1e6
  const latencies = new Histogram()
  const ids = new Set<string>()
  let sent = 0
  let disordered = 0
  const publisher = async () => {
    let last = 0
    while (sent < count && clockUs() < endUs) {
      const sentUs = clockUs()
      const payload = createPayload(bytes, sent++, sentUs)
      const { id } = await relay.publish({ topic, type: '', binary: true, payload })
      latencies.add(clockUs() - sentUs)
      ids.add(id)
      const offset = parseId(id)?.offset ?? 0
      if (offset <= last) disordered++
      last = offset
    }
  }
  await Promise.all(Array.from({ length: command.number('publishers', 1) }, publisher))
  return {
    messages: sent,
    seconds: (clockUs() - startedUs) / 1e6,
    wrong: sent - ids.size + disordered,
    p50Us: latencies.quantileUs(0.5),
    p99Us: latencies.quantileUs(0.99),
  }
}

process.send?.({})
process.on('disconnect', () => process.exit())
for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(await publish(new Command(line)))}\n`)
}

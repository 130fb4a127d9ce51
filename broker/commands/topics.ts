import type { TopicSummary } from '../protocol/index.ts'
import { brokerArgument } from './broker-address.ts'
import { defineCommand } from './command.ts'
import { withBroker } from './connection.ts'
import { inBytes } from './quantity.ts'
import { type Row, tableOf } from './table.ts'

export const command = defineCommand({
  name: 'topics',
  description: 'Lists the topics of which the broker has something',
  args: {
    json: { type: 'boolean', description: 'One line of JSON for each' },
    ...brokerArgument,
  },
  examples: ['broker topics', 'broker topics --json | jq -r .topic'],
  async run({ json, broker }) {
    const topics = await withBroker(broker, ({ inquiries }) => Array.fromAsync(inquiries.topics()))
    if (json) for (const topic of topics) process.stdout.write(`${JSON.stringify(topic)}\n`)
    else
      process.stdout.write(
        tableOf(['topic', 'messages', 'memory', 'newest', 'kept', 'on disk'], topics.map(toRow)),
      )
  },
})

function toRow({ topic, messages, bytes, newestMs, keptMessages, keptBytes }: TopicSummary): Row {
  const newest = newestMs === null ? '' : `${new Date(newestMs).toISOString().slice(0, 19)}Z`
  return [topic, messages, inBytes(bytes), newest, keptMessages, inBytes(keptBytes)]
}

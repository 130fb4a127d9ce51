import { brokerArgument } from './broker-address.ts'
import { defineCommand } from './command.ts'
import { withBroker } from './connection.ts'
import { messageJson, messageLine } from './message-line.ts'
import { topicOf, wholeOf } from './words.ts'

export const command = defineCommand({
  name: 'history',
  description: 'Prints what the broker still has of a topic and of those below it, oldest first',
  args: {
    topic: { type: 'positional', required: true, description: 'As a/b/c' },
    last: { type: 'string', valueHint: 'N', description: 'Only the newest so many' },
    exact: { type: 'boolean', description: 'Leaves out the topics below' },
    json: { type: 'boolean', description: 'One line of JSON for each message' },
    ...brokerArgument,
  },
  examples: ['broker history news --last 10'],
  async run({ topic, last, exact, json, broker }) {
    const count = wholeOf('--last', last, 1, Number.MAX_SAFE_INTEGER) ?? Number.MAX_SAFE_INTEGER
    const selection = { topics: [topicOf(topic)], exact: exact ?? false }
    const { messages } = await withBroker(broker, ({ inquiries }) => inquiries.history(selection, count))
    for (const message of messages) process.stdout.write(json ? messageJson(message) : messageLine(message))
  },
})

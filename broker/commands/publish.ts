import { isUtf8 } from 'node:buffer'
import { buffer } from 'node:stream/consumers'
import { PosternError, parseType } from '../protocol/index.ts'
import { brokerArgument } from './broker-address.ts'
import { defineCommand, WrongUse } from './command.ts'
import { withBroker } from './connection.ts'
import { accepted, topicOf } from './words.ts'

export const command = defineCommand({
  name: 'publish',
  description: 'Publishes one message, and prints its id when it is in the log',
  args: {
    topic: { type: 'positional', required: true, description: 'As a/b/c' },
    data: {
      type: 'positional',
      required: false,
      description: 'The payload. -, or nothing where no terminal is: what is on standard input.',
    },
    type: { type: 'string', description: 'The name of its event on an event stream' },
    key: {
      type: 'string',
      description: 'An idempotency key: a repeat under it prints the first id and publishes nothing',
    },
    ...brokerArgument,
  },
  notes: 'What is valid UTF-8 is published as text, anything else as binary.',
  examples: [
    'broker publish news Hello',
    'date | broker publish clock/utc -',
    'broker publish sms --key order-17 "Your order is on its way"',
  ],
  async run({ topic, data, type, key, broker }) {
    const named = { topic: topicOf(topic), type: accepted(() => parseType(type ?? '')) }
    const payload = await payloadOf(data)
    const publication = { ...named, binary: !isUtf8(payload), payload }
    const receipt = await withBroker(broker, ({ outbox }) =>
      outbox.publish(publication, key === undefined ? {} : { idempotencyKey: key }).catch(toReason),
    )
    process.stdout.write(`${receipt.id}\n`)
  },
})

async function payloadOf(data: string | undefined): Promise<Uint8Array> {
  if (data !== undefined && data !== '-') return Buffer.from(data)
  if (data === undefined && process.stdin.isTTY)
    throw new WrongUse('There is nothing to publish: give it as an argument, or - and type it.')
  return buffer(process.stdin)
}

function toReason(error: unknown): never {
  throw error instanceof PosternError ? new Error(`${error.code}: ${error.message}`) : error
}

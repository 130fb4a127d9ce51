/**
 * Publishes numbered messages as fast as they are taken. Usage: publisher.ts frames|sender ENDPOINT [KEYS]
 * `KEYS` is the file of keys for a broker that asks for some.
 * With `frames` each is a frame of zeromq.js, with `sender` they go through Postern's client, which makes batches.
 * Its commands are those of `publisher.c`.
 */
import { createInterface } from 'node:readline'
import { Push } from 'zeromq'
import { readCurveKeys, Sender } from '../../../broker/client/index.ts'
import { Command } from '../load/command.ts'
import { clockUs } from '../load/histogram.ts'
import { createPayload, numberPayload } from '../load/payload.ts'
import { relayTopic } from './relay-topic.ts'

/** How many are handed over before it is waited until they have been taken. */
const burst = 1024

/** Hands over one message. Resolves when it has been taken. */
type Send = (payload: Buffer) => Promise<void>

const [way, endpoint = '', keys] = process.argv.slice(2)
const curve = keys === undefined ? {} : { curve: readCurveKeys(keys) }
const send =
  way === 'sender'
    ? throughSender(new Sender({ ingest: endpoint, ...curve }))
    : asFrames(new Push({ linger: 0 }))

function throughSender(sender: Sender): Send {
  return payload => sender.send(relayTopic, payload)
}

function asFrames(push: Push): Send {
  push.connect(endpoint)
  return payload => push.send(payload)
}

async function sendAll(command: Command): Promise<number> {
  const bytes = command.number('bytes', 100)
  const count = command.number('count', 0)
  const endUs = clockUs() + command.number('seconds', 0) * 1e6
  // Postern's client copies it into a batch at once.
  const shared = createPayload(bytes, 0, 0)
  let sent = 0
  while (count > 0 ? sent < count : clockUs() < endUs) {
    const end = count > 0 ? Math.min(sent + burst, count) : sent + burst
    let taken: Promise<void> | undefined
    for (; sent < end; sent++) {
      if (way === 'sender') {
        numberPayload(shared, sent, clockUs())
        taken = send(shared)
      } else await send(createPayload(bytes, sent, clockUs()))
    }
    await taken
  }
  return sent
}

process.send?.({})
process.on('disconnect', () => process.exit())
for await (const line of createInterface(process.stdin)) {
  const command = new Command(line)
  const startedUs = clockUs()
  let count = 0
  if (command.verb === 'mark') await send(Buffer.from('m'))
  else count = await sendAll(command)
  process.stdout.write(`${JSON.stringify({ count, startedUs })}\n`)
}

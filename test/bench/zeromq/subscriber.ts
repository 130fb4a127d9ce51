/**
 * Takes numbered messages and checks them. Usage: subscriber.ts frames|relay ENDPOINT [KEYS]
 * `KEYS` is the file of keys for a broker that asks for some.
 * With `frames` each is a frame of zeromq.js, with `relay` they come through Postern's client: what functions do.
 * Its commands are those of `subscriber.c`.
 */
import { createInterface } from 'node:readline'
import { Subscriber } from 'zeromq'
import { Relay, readCurveKeys } from '../../../broker/client/index.ts'
import { Command } from '../load/command.ts'
import { clockUs, Histogram, sinceUs } from '../load/histogram.ts'
import { readNumber } from '../load/payload.ts'
import { relayTopic } from './relay-topic.ts'

/** When nothing has come for so long, what is missing will not come. */
const patienceUs = 5e6

/** How often it is looked at whether all has come. */
const lookMs = 2

const latency = new Histogram()
const seen = { received: 0, repeated: 0, disordered: 0, strange: 0 }
let frames = 0
let nextNumber = 0
let runBytes = 0
let lastUs = 0

function take(payload: Uint8Array, nowUs: number): void {
  frames++
  if (payload.length === 1) return
  lastUs = nowUs
  // All of a run have one size.
  if (runBytes === 0) runBytes = payload.length
  const number = readNumber(payload, 0)
  if (number === undefined || payload.length !== runBytes) seen.strange++
  else if (number < nextNumber) seen.repeated++
  else {
    if (number > nextNumber) seen.disordered++
    nextNumber = number + 1
    seen.received++
    latency.add(sinceUs(readNumber(payload, 8) ?? 0, lastUs))
  }
}

const [way, endpoint = '', keys] = process.argv.slice(2)
const curve = keys === undefined ? {} : { curve: readCurveKeys(keys) }
if (way === 'relay') followRelay(new Relay({ broker: endpoint, ...curve }))
else void followFrames(new Subscriber({ linger: 0, receiveHighWaterMark: 0 }))

function followRelay(relay: Relay): void {
  relay.subscribe(
    { topics: [relayTopic], exact: false },
    {},
    {
      start() {},
      gap() {
        seen.disordered++
      },
      deliver(messages) {
        const nowUs = clockUs()
        for (const message of messages) take(message.payload, nowUs)
        return true
      },
      end() {},
    },
  )
}

async function followFrames(subscriber: Subscriber): Promise<void> {
  subscriber.connect(endpoint)
  subscriber.subscribe()
  for await (const [frame] of subscriber) if (frame) take(frame, clockUs())
}

async function expect(count: number): Promise<void> {
  const isDone = () => (count > 0 ? seen.received >= count : frames > 0)
  let before = -1
  let movedUs = clockUs()
  while (!isDone() && clockUs() - movedUs < patienceUs) {
    if (frames !== before) movedUs = clockUs()
    before = frames
    await new Promise(resolve => setTimeout(resolve, lookMs))
  }
  const quantiles = { p50Us: 0.5, p99Us: 0.99, p999Us: 0.999 }
  const latencies = Object.entries(quantiles).map(([name, share]) => [name, latency.quantileUs(share)])
  const missing = Math.max(0, count - seen.received)
  process.stdout.write(`${JSON.stringify({ ...seen, missing, lastUs, ...Object.fromEntries(latencies) })}\n`)
  Object.assign(seen, { received: 0, repeated: 0, disordered: 0, strange: 0 })
  latency.reset()
  nextNumber = runBytes = 0
}

process.send?.({})
process.on('disconnect', () => process.exit())
for await (const line of createInterface(process.stdin)) await expect(new Command(line).number('count', 0))

import { writeFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Relay, Sender } from '../../broker/client/index.ts'
import { EventClient } from '../support/event-client.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'
import { post, times } from '../support/publish.ts'

async function configFile(settings: object): Promise<string> {
  const path = join(await temporaryFolder(), 'broker.config.jsonc')
  await writeFile(path, JSON.stringify(settings))
  return path
}

it('repairs what the stream drops for a stopped functions process, the last batches too', async () => {
  const config = await configFile({ streamHighWaterMark: 1, tailBytes: 64 * 1024 * 1024 })
  const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
  const [publishers, subscribers] = await Promise.all([
    startFunctionsProcess(broker.requests),
    startFunctionsProcess(broker.requests),
  ])
  const client = new EventClient(`${subscribers.url}/event/holes`)
  await client.until(({ lastEventId }) => lastEventId !== '')

  // More than the sockets between the two can hold.
  const count = 1500
  const filling = '.'.repeat(16 * 1024)
  subscribers.program.kill('SIGSTOP')
  await times(count, 8, async i => {
    expect((await post(`${publishers.url}/message/holes`, `${i} ${filling}`, `key-${i}`)).status).toBe(201)
  })
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  const { counters: before } = await relay.status()
  subscribers.program.kill('SIGCONT')
  await client.until(({ events }) => events.length >= count)

  const { counters: after } = await relay.status()
  expect(after['replays']).toBeGreaterThan(before['replays'] ?? 0)
  const numbers = client.payloads.map(payload => Number.parseInt(payload, 10))
  expect(new Set(numbers).size).toBe(count)
  expect(client.events.length).toBe(count)
  expect(client.events.some(({ type }) => type === 'gap')).toBe(false)
  const witness = new EventClient(`${publishers.url}/event/holes?lastEventId=${client.events[0]?.id}`)
  await witness.until(({ events }) => events.length >= count - 1)
  expect(client.events.slice(1)).toEqual(witness.events)
}, 60_000)

it('ends a subscriber that stops reading at its own bound, and gives the other 500 everything', async () => {
  const broker = await startBrokerProcess()
  const functions = await startFunctionsProcess(broker.requests, {
    POSTERN_MAX_BUFFERED_BYTES: String(64 * 1024),
  })
  const others = Array.from({ length: 500 }, () => new EventClient(`${functions.url}/event/light`))
  await Promise.all(others.map(client => client.until(({ lastEventId }) => lastEventId !== '')))

  // It asks for the heavy topic as well, and reads nothing of it.
  const stalled = await new Promise<IncomingMessage>(resolve => {
    const request = get(`${functions.url}/event/heavy?topic=light`, { agent: false }, resolve)
    onTestFinished(() => void request.destroy())
  })
  stalled.pause()

  const count = 200
  const heavy = '.'.repeat(128 * 1024)
  for (let i = 0; i < count; i++) {
    expect((await post(`${functions.url}/message/light`, `message ${i}`)).status).toBe(201)
    expect((await post(`${functions.url}/message/heavy`, heavy)).status).toBe(201)
  }
  await Promise.all(others.map(client => client.until(({ events }) => events.length >= count)))

  const expected = Array.from({ length: count }, (_, i) => `message ${i}`)
  for (const client of others) {
    expect(client.payloads).toEqual(expected)
    expect(client.connections).toBe(1)
  }
  // What had left for it still arrives, and then its end: cut off, or closed in order.
  let bytes = 0
  const ended = new Promise(resolve => stalled.on('close', resolve))
  stalled.on('error', () => {})
  stalled.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  stalled.resume()
  await ended
  expect(bytes).toBeLessThan(count * heavy.length)
}, 60_000)

it('lets a sender that is faster than its subscriber wait, instead of losing', async () => {
  const broker = await startBrokerProcess()
  const relay = new Relay({ broker: broker.requests })
  const sender = new Sender({ ingest: broker.ingest })
  onTestFinished(async () => {
    await sender.close()
    await relay.close()
  })
  await relay.ready()
  // More than the tail holds, in payloads that cost the subscriber more than the sender.
  const count = 200_000
  let next = 0
  const received = new Promise<void>((resolve, reject) => {
    relay.subscribe(
      { topics: ['flood'], exact: true },
      {},
      {
        start() {},
        gap: position => reject(new Error(`a gap before ${position.offset}`)),
        deliver(messages) {
          for (const { payload } of messages) {
            const number = Number.parseInt(Buffer.from(payload).toString(), 10)
            if (number !== next++) reject(new Error(`${number} came where ${next - 1} was due`))
          }
          if (next === count) resolve()
          return true
        },
        end: reason => reject(new Error(`ended: ${reason}`)),
      },
    )
  })
  for (let i = 0; i < count; ) {
    let taken = Promise.resolve()
    for (const end = Math.min(count, i + 1000); i < end; i++)
      taken = sender.send('flood', `${i} `.padEnd(200, '.'))
    await taken
  }
  await received
}, 60_000)

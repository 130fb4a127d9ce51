import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Relay, Sender } from '../../broker/client/index.ts'
import { EventClient } from '../support/event-client.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'

it.each(['SIGTERM', 'SIGINT'] as const)('stops in order on %s, and keeps its epoch', async signal => {
  const broker = await startBrokerProcess()
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  const publication = { topic: 'a', type: '', binary: false, payload: Buffer.from('one') }
  const before = await relay.publish(publication)
  expect(await broker.stop(signal)).toBe(0)
  await broker.restart()
  await expect.poll(() => relay.state).toBe('up')
  const after = await relay.publish(publication)
  expect(after.id.split('-')[0]).toBe(before.id.split('-')[0])
})

it('takes what is under way before it stops', async () => {
  const broker = await startBrokerProcess()
  const sender = new Sender({ ingest: broker.ingest })
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(async () => {
    await sender.close()
    await relay.close()
  })
  await relay.ready()
  const sending = Promise.all(Array.from({ length: 500 }, (_, i) => sender.send('under/way', `message ${i}`)))
  await sending
  await broker.stop('SIGTERM')
  await broker.restart()
  await expect.poll(() => relay.state).toBe('up')
  const { last } = await relay.status()
  expect(last).toBe(500)
})

it('does not start on a folder that another broker uses', async () => {
  const broker = await startBrokerProcess()
  const second = startBrokerProcess({ POSTERN_DATA: broker.data })
  await expect(second).rejects.toThrow(`${broker.data} is used by another broker`)
})

it('does not start with a wrong setting, and says in one line what is allowed', async () => {
  const start = startBrokerProcess({ POSTERN_INGEST: 'zmq-bind://PUB@127.0.0.1:5000' })
  await expect(start).rejects.toThrow(
    /postern broker: The setting POSTERN_INGEST \(ingest\) is "zmq-bind:\/\/PUB@127.0.0.1:5000": .*PULL.*\.\n$/,
  )
})

it('does not start with a variable that it does not know', async () => {
  const start = startBrokerProcess({ POSTERN_DEFAULT_TOPIK: 'news' })
  await expect(start).rejects.toThrow(
    /The variable POSTERN_DEFAULT_TOPIK is not known; known are .*POSTERN_DEFAULT_TOPIC/,
  )
})

it('does not listen beyond loopback without being told to', async () => {
  await expect(startBrokerProcess({ POSTERN_PLAIN: 'zmq-bind://PUB@*:0' })).rejects.toThrow(/plain.*loopback/)
  const open = await startBrokerProcess({
    POSTERN_PLAIN: 'zmq-bind://PUB@*:0',
    POSTERN_PLAINTEXT: 'anywhere',
  })
  expect(open.plain).toMatch(/^tcp:\/\/\*:\d+$/)
})

it('goes on when nobody reads its log any more', async () => {
  const broker = await startBrokerProcess()
  broker.program.child.stdout?.destroy()
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  const publication = { topic: 'a', type: '', binary: false, payload: Buffer.from('one') }
  // Each of these is a line of the log.
  for (let i = 0; i < 3; i++) {
    broker.program.kill('SIGHUP')
    await relay.publish(publication)
  }
  expect(await broker.stop('SIGTERM')).toBe(0)
})

it('reads its settings again on SIGHUP, and says which of them need a restart', async () => {
  const path = join(await temporaryFolder(), 'broker.config.jsonc')
  writeFileSync(path, '{ "history": { "messages": 10 } }')
  const broker = await startBrokerProcess({ POSTERN_CONFIG: path })
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  const publication = { topic: 'a', type: '', binary: false, payload: Buffer.from('one') }
  await Promise.all(Array.from({ length: 10 }, () => relay.publish(publication)))
  expect((await relay.status()).historyMessages).toBe(10)

  writeFileSync(path, '{ "history": { "messages": 3 }, "maxPayloadBytes": 1024 }')
  broker.program.kill('SIGHUP')
  await expect
    .poll(() => broker.program.output())
    .toMatch(/"event":"reloaded","needsRestart":"maxPayloadBytes"/)
  expect((await relay.status()).historyMessages).toBe(3)

  writeFileSync(path, '{ "history": { "messages": "many" } }')
  broker.program.kill('SIGHUP')
  await expect.poll(() => broker.program.output()).toMatch(/"event":"reload-failed".*history\.messages.*many/)
  expect((await relay.publish(publication)).id).toBeTruthy()
})

it('brings what a sender publishes without receipts to every door', async () => {
  const broker = await startBrokerProcess()
  const functions = await startFunctionsProcess(broker.requests)
  const client = new EventClient(`${functions.url}/event/news`)
  await client.until(({ lastEventId }) => lastEventId !== '')
  const sender = new Sender({ ingest: broker.ingest })
  onTestFinished(() => sender.close())
  await Promise.all([
    sender.send('news', 'one', { type: 'note' }),
    sender.send('news/local', 'two'),
    sender.send('news', new Uint8Array([255])),
  ])
  await client.until(({ events }) => events.length === 3)
  expect(client.events.map(({ type, data }) => [type, data])).toEqual([
    ['note', 'one'],
    ['message', 'two'],
    ['message;base64', '/w=='],
  ])
})

it('says which setting names an address that is taken, and what to do', async () => {
  const first = await startBrokerProcess()
  const taken = `zmq-bind://PUB@${first.plain.slice('tcp://'.length)}`
  await expect(startBrokerProcess({ POSTERN_PLAIN: taken })).rejects.toThrow(
    /plain cannot use tcp:.*Address already in use\. Set plain \(POSTERN_PLAIN\) to another address/,
  )
})

it('gives no more than the last messages that are asked for, however large', async () => {
  const broker = await startBrokerProcess()
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  const publish = (topic: string, bytes: number) =>
    relay.publish({ topic, type: '', binary: true, payload: Buffer.alloc(bytes) })
  for (let i = 0; i < 50; i++) await publish('b', 9000)
  for (let i = 0; i < 150; i++) await publish('a', 5000)
  for (let i = 0; i < 50; i++) await publish('b', 100)
  const { messages } = await relay.history({ topics: ['a', 'b'], exact: false }, 1000)
  // 100 of each topic are kept.
  expect(messages).toHaveLength(200)
})

it('keeps a journal of a few tails at the most', async () => {
  const path = join(await temporaryFolder(), 'broker.config.jsonc')
  const tailBytes = 256 * 1024
  writeFileSync(path, JSON.stringify({ tailBytes }))
  const broker = await startBrokerProcess({ POSTERN_CONFIG: path })
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  const folder = join(broker.data, 'journal')
  const sizes: number[] = []
  for (let round = 0; round < 40; round++) {
    const publication = { topic: 'a', type: '', binary: true, payload: Buffer.alloc(4096) }
    await Promise.all(Array.from({ length: 16 }, () => relay.publish(publication)))
    sizes.push(readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0))
  }
  expect(Math.max(...sizes)).toBeGreaterThan(tailBytes)
  // The tail reaches into three files, and more wait while the history is slow to take them.
  expect(Math.max(...sizes)).toBeLessThan(4.5 * tailBytes)
})

it('lets a sender close while the broker is away', async () => {
  const sender = new Sender({ ingest: 'tcp://127.0.0.1:9', sendHighWaterMark: 2 })
  for (let i = 0; i < 5; i++) {
    sender.send('a', `message ${i}`).catch(() => {})
    await new Promise(resolve => setImmediate(resolve))
  }
  await sender.close()
})

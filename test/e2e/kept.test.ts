import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type PublishOptions, Relay, Sender } from '../../broker/client/index.ts'
import { BackboneReceiver } from '../support/backbone-receiver.ts'
import { hasMariadb, hasStrace } from '../support/installed.ts'
import { fillSqlite } from '../support/kept-rows.ts'
import { type MariadbServer, startMariadb } from '../support/mariadb.ts'
import { type BrokerProcess, startBrokerProcess, temporaryFolder } from '../support/processes.ts'
import { ResidentWatch, residentBytes } from '../support/resident.ts'

const mebibyte = 1024 * 1024

async function configOf(settings: object): Promise<string> {
  const file = join(await temporaryFolder(), 'broker.config.json')
  await writeFile(file, JSON.stringify(settings))
  return file
}

async function relayOf(broker: BrokerProcess): Promise<Relay> {
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  await relay.ready()
  return relay
}

const publishOn =
  (relay: Relay) =>
  (text: string, topic: string, options: PublishOptions = {}) =>
    relay.publish({ topic, type: '', binary: false, payload: Buffer.from(text) }, options)

const durable = { durable: true, delivery: 'one' }

describe('a durable topic of a broker', () => {
  it('keeps its messages over a stop, and their numbers go on', async () => {
    const broker = await startBrokerProcess({ POSTERN_CONFIG: await configOf({ topics: { sms: durable } }) })
    const publish = publishOn(await relayOf(broker))
    await publish('one', 'sms')
    await publish('two', 'sms')
    expect(await broker.stop()).toBe(0)
    await broker.restart()
    const relay = await relayOf(broker)
    const receiver = new BackboneReceiver()
    relay.receive('sms', receiver)
    await receiver.until(() => receiver.confirmed.length === 2)
    await publishOn(relay)('three', 'sms')
    await receiver.until(() => receiver.confirmed.length === 3)
    expect(receiver.texts).toEqual(['one', 'two', 'three'])
    const numbers = receiver.delivered.map(({ message }) => message.offset)
    expect(numbers).toEqual([1, 2, 3])
    expect((await relay.status()).keptMessages).toBe(0)
  })

  it('takes messages from the ingest socket and its default topic too', async () => {
    const topics = { chat: durable }
    const broker = await startBrokerProcess({ POSTERN_CONFIG: await configOf({ topics }) })
    const relay = await relayOf(broker)
    const receiver = new BackboneReceiver()
    relay.receive('chat', receiver)
    const sender = new Sender({ ingest: broker.ingest })
    onTestFinished(() => sender.close())
    for (const text of ['one', 'two']) await sender.send('chat', text)
    await receiver.until(() => receiver.confirmed.length === 2)
    expect(receiver.texts).toEqual(['one', 'two'])
  })

  it('costs no memory for what is kept, also a million messages, and little for handing them out in order', async () => {
    const data = await temporaryFolder()
    const config = await configOf({ topics: { sms: durable } })
    const idle = await startBrokerProcess({ POSTERN_CONFIG: config })
    const idleBytes = await residentBytes(idle.program.child.pid ?? 0)
    await idle.stop()
    await fillSqlite(data, 1_000_000)
    const broker = await startBrokerProcess({ POSTERN_CONFIG: config, POSTERN_DATA: data })
    const relay = await relayOf(broker)
    expect((await relay.status()).keptMessages).toBe(1_000_000)
    const receiver = new BackboneReceiver()
    receiver.isHolding = true
    relay.receive('sms', receiver, { window: { messages: 500, bytes: mebibyte } })
    await receiver.has(500)
    expect(receiver.delivered.map(({ message }) => message.offset)).toEqual(
      Array.from({ length: 500 }, (_, i) => i + 1),
    )
    const bytes = await residentBytes(broker.program.child.pid ?? 0)
    expect(bytes - idleBytes).toBeLessThan(16 * mebibyte)
    const watch = await ResidentWatch.of(broker.program.child.pid)
    receiver.isHolding = false
    for (const delivered of receiver.delivered) receiver.acknowledge(delivered)
    await receiver.until(() => receiver.confirmed.length >= 100_000)
    expect(await watch.grown()).toBeLessThan(64 * mebibyte)
  }, 120_000)

  it('costs no memory when it has no receiver any more, also a thousand of them', async () => {
    const data = await temporaryFolder()
    const config = await configOf({ topics: { 'user/*': durable } })
    await fillSqlite(data, 300_000, 1000)
    const broker = await startBrokerProcess({ POSTERN_CONFIG: config, POSTERN_DATA: data })
    const relay = await relayOf(broker)
    const beforeBytes = await residentBytes(broker.program.child.pid ?? 0)
    for (let i = 0; i < 1000; i++) {
      const receiver = new BackboneReceiver()
      receiver.isHolding = true
      const receiving = relay.receive(`user/${i}`, receiver, { window: { messages: 1, bytes: 1 } })
      await receiver.has(1)
      receiving.close()
    }
    const bytes = await residentBytes(broker.program.child.pid ?? 0)
    expect(bytes - beforeBytes).toBeLessThan(100 * mebibyte)
  })
})

describe.skipIf(!hasStrace())('the calls to the system (needs strace)', () => {
  it('sync the message before its receipt leaves, and its removal before that is confirmed', async () => {
    const broker = await startBrokerProcess({ POSTERN_CONFIG: await configOf({ topics: { sms: durable } }) })
    const relay = await relayOf(broker)
    const receiver = new BackboneReceiver()
    receiver.isHolding = true
    relay.receive('sms', receiver)
    const file = join(await temporaryFolder(), 'calls')
    const pid = String(broker.program.child.pid)
    const calls = 'trace=fsync,fdatasync,write,writev,sendto,sendmsg'
    const strace = spawn('strace', ['-f', '-y', '-s', '400', '-e', calls, '-o', file, '-p', pid])
    const ended = once(strace, 'exit')
    await once(strace.stderr, 'data')
    await publishOn(relay)('one', 'sms')
    await receiver.has(1)
    const delivered = receiver.delivered[0]
    await delivered?.acknowledge()
    strace.kill('SIGINT')
    await ended
    const lines = (await readFile(file, 'utf8')).split('\n')
    const synced = lines.flatMap((line, i) => (/sync\(.*kept\.sqlite-wal>/.test(line) ? i : []))
    const receipt = lines.findIndex(line => /\\?"op\\?":\\?"receipts/.test(line))
    const confirmed = lines.findLastIndex(line => /\\?"op\\?":\\?"receive/.test(line))
    expect(receipt).toBeGreaterThan(synced[0] ?? Number.POSITIVE_INFINITY)
    expect(synced.filter(at => at > receipt && at < confirmed).length).toBeGreaterThan(0)
  })
})

describe.skipIf(!hasMariadb())('a database that goes away (needs mariadbd)', () => {
  let server: MariadbServer
  const ends: (() => Promise<void>)[] = []
  beforeAll(async () => {
    server = await startMariadb(end => ends.push(end))
  })
  afterAll(async () => {
    for (const end of ends.reverse()) await end()
  })

  async function opened(table: string) {
    const kept = { connector: 'mysql2', options: server.options, table, waitMs: 300 }
    const broker = await startBrokerProcess({
      POSTERN_CONFIG: await configOf({ topics: { sms: durable }, kept }),
    })
    const relay = await relayOf(broker)
    return { broker, relay, publish: publishOn(relay) }
  }

  /** Publishes until it is taken. */
  async function persist(publish: ReturnType<typeof publishOn>, text: string): Promise<void> {
    for (;;) {
      const outcome = await publish(text, 'sms', { idempotencyKey: text }).catch(error => error.code)
      if (typeof outcome !== 'string') return
      expect(['STORE_UNAVAILABLE', 'RECEIPT_UNKNOWN']).toContain(outcome)
    }
  }

  it('is felt by publishers of durable topics alone; delivery goes on, and so does all when it is back', async () => {
    const { relay, publish } = await opened('gone')
    const receiver = new BackboneReceiver()
    receiver.isHolding = true
    relay.receive('sms', receiver)
    for (const text of ['one', 'two']) await publish(text, 'sms')
    await receiver.has(2)
    await server.stop('SIGKILL')
    await expect(publish('three', 'sms')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await publish('other', 'news')
    receiver.delivered[0]?.giveBack()
    await receiver.has(3)
    const second = receiver.delivered[1]
    if (second) receiver.acknowledge(second)
    await server.start()
    await persist(publish, 'four')
    await receiver.has(4)
    for (const delivered of receiver.delivered.slice(2)) receiver.acknowledge(delivered)
    await receiver.until(() => receiver.confirmed.length === 3)
    expect(receiver.texts).toEqual(['one', 'two', 'one #2', 'four'])
    while ((await relay.status()).keptMessages > 0) await nextTurn()
  })

  it('that is silent is felt no longer than publishers wait, and nothing is in its table twice', async () => {
    const { relay, publish } = await opened('silent')
    await publish('one', 'sms')
    server.signal('SIGSTOP')
    await expect(publish('two', 'sms')).rejects.toMatchObject({ code: 'RECEIPT_UNKNOWN' })
    await expect(publish('three', 'sms')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await publish('other', 'news')
    server.signal('SIGCONT')
    await persist(publish, 'four')
    const receiver = new BackboneReceiver()
    relay.receive('sms', receiver)
    await receiver.until(() => receiver.texts.includes('four'))
    const texts = receiver.texts.filter(text => text !== 'two')
    expect(texts).toEqual(['one', 'four'])
    expect(receiver.texts.length - texts.length).toBeLessThanOrEqual(1)
  })

  it('is waited for by nobody at a start', async () => {
    await server.stop('SIGKILL')
    const { publish } = await opened('late')
    await publish('other', 'news')
    await expect(publish('one', 'sms')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await server.start()
    await persist(publish, 'two')
  })
})

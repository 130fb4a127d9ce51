import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { Push, Subscriber } from 'zeromq'
import { type CurveRole, curveSockets } from '../../broker/auth/curve-access.ts'
import { makeKeyPair } from '../../broker/auth/curve-folder.ts'
import { type CurveKeys, Receiver, Relay, type RelayOptions, Sender } from '../../broker/client/index.ts'
import { logged, reload, TestKeys } from '../support/curve-keys.ts'
import { knock, openClient, writeRaw } from '../support/curve-knock.ts'
import { EventClient } from '../support/event-client.ts'
import {
  type BrokerProcess,
  startBrokerProcess,
  startFunctionsProcess,
  temporaryFolder,
} from '../support/processes.ts'
import { post } from '../support/publish.ts'

function connect(broker: BrokerProcess, options: RelayOptions): Relay {
  const relay = new Relay({ broker: broker.requests, ...options })
  onTestFinished(() => relay.close())
  return relay
}

/** Resolves when a relay is told that it is refused for this reason: where both ends refuse, either may be the first. */
async function refusedFor(reason: string, broker: BrokerProcess, curve?: CurveKeys): Promise<void> {
  return new Promise(resolve => {
    const onRefused = (told: string) => told.includes(reason) && resolve()
    connect(broker, { ...(curve && { curve }), onRefused })
  })
}

/** What a PUSH writes to send one message in the first versions of the protocol, which know no encryption. */
const oldVersions = [
  hex('0100', '0600 7374726179'),
  hex('ff00000000000000017f 01 08', '0000', '0005 7374726179'),
]

/** The same in version 3.0, where it says that it comes without. */
const version3 = hex(
  `ff00000000000000017f 0300 ${'4e554c4c'.padEnd(40, '0')} ${'00'.repeat(32)}`,
  '041a 055245414459 0b536f636b65742d54797065 0000000450555348',
  '0005 7374726179',
)

function hex(...parts: string[]): Buffer {
  return Buffer.from(parts.join('').replaceAll(' ', ''), 'hex')
}

const payload = Buffer.from('Hello')
const hello = { topic: 'news', type: '', binary: false, payload }

it.each<[CurveRole[], readonly string[]]>([
  [['functions'], ['ingest', 'plain', 'requests', 'stream']],
  [['publisher'], ['ingest']],
  [['subscriber'], ['plain']],
  [
    ['publisher', 'subscriber'],
    ['ingest', 'plain'],
  ],
])('lets a key for %s into %s and no other socket', async (roles, opened) => {
  const keys = await TestKeys.make()
  const curve = keys.add('client', ...roles)
  const broker = await startBrokerProcess(keys.env)
  for (const socket of curveSockets)
    expect([socket, await knock(socket, broker[socket], curve)]).toEqual([
      socket,
      opened.includes(socket) ? 'in' : 'refused',
    ])
})

it('refuses a key that it does not know at every socket, counts it there, and tells where it came from', async () => {
  const keys = await TestKeys.make()
  const known = keys.add('web', 'functions')
  const broker = await startBrokerProcess(keys.env)
  const stranger = { ...known, ...makeKeyPair() }
  for (const socket of curveSockets) expect(await knock(socket, broker[socket], stranger)).toBe('refused')
  const line = await logged(broker.program, /"curve-refused"/)
  expect(JSON.parse(line)).toMatchObject({
    level: 'warn',
    socket: 'ingest',
    address: '127.0.0.1',
    key: `${stranger.publicKey.slice(0, 8)}…`,
    reason: 'the key is not known',
  })
  const relay = connect(broker, { curve: known })
  await relay.ready()
  expect((await relay.status()).counters).toMatchObject({
    curveRefusedIngest: 1,
    curveRefusedPlain: 1,
    curveRefusedRequests: 1,
    curveRefusedStream: 1,
  })
  for (const { secretKey } of [known, stranger]) expect(broker.program.output()).not.toContain(secretKey)
})

it('refuses who comes without keys, and who has another key for the broker', async () => {
  const keys = await TestKeys.make()
  const known = keys.add('web', 'functions')
  const broker = await startBrokerProcess(keys.env)
  for (const socket of curveSockets) {
    expect(await knock(socket, broker[socket])).toBe('cut')
    expect(await knock(socket, broker[socket], { ...known, serverKey: makeKeyPair().publicKey })).toBe('cut')
    expect(await knock(socket, broker[socket], { ...known, secretKey: makeKeyPair().secretKey })).toBe('cut')
  }
  const relay = connect(broker, { curve: known })
  await relay.ready()
  const { counters } = await relay.status()
  for (const name of ['Ingest', 'Plain', 'Requests', 'Stream'])
    expect(counters[`curveRefused${name}`]).toBeGreaterThanOrEqual(2)
})

it('tells a relay why it is refused', async () => {
  const keys = await TestKeys.make()
  const known = keys.add('web', 'functions')
  const sensor = keys.add('sensor', 'publisher')
  const broker = await startBrokerProcess(keys.env)
  const plain = await startBrokerProcess()
  await refusedFor('keys are asked for, and there are none here', broker)
  await refusedFor(`the key ${sensor.publicKey.slice(0, 8)}… is not let in`, broker, sensor)
  await refusedFor('another key than the serverKey', broker, { ...known, serverKey: sensor.publicKey })
  await refusedFor('no keys are taken there: it is not set up for CURVE', plain, known)
})

it('takes nothing from whoever speaks without encryption and does not mind being refused', async () => {
  const keys = await TestKeys.make()
  const web = keys.add('web', 'functions')
  const broker = await startBrokerProcess(keys.env)
  const relay = connect(broker, { curve: web })
  await relay.ready()
  const last = async (of: Relay) => (await of.status()).last

  for (const bytes of [...oldVersions, version3]) await writeRaw(broker.ingest, bytes)
  expect(await last(relay)).toBe(0)

  const open = await startBrokerProcess()
  const control = connect(open, {})
  await control.ready()
  for (const [index, bytes] of oldVersions.entries()) {
    void writeRaw(open.ingest, bytes)
    while ((await last(control)) === index);
  }
  expect(await last(control)).toBe(oldVersions.length)
})

it('carries what a client as that of Temma pushes to one that subscribes, each with its key', async () => {
  const keys = await TestKeys.make()
  const [site, reader] = [keys.add('site', 'publisher'), keys.add('reader', 'subscriber')]
  const broker = await startBrokerProcess(keys.env)
  const push = openClient('ingest', site)
  const subscriber = openClient('plain', reader)
  if (!(push instanceof Push && subscriber instanceof Subscriber)) throw new Error('other sockets')
  push.connect(broker.ingest)
  subscriber.connect(broker.plain)
  subscriber.subscribe()
  const frame = Buffer.from([0xff, 0, 13, 10])
  let isThere = false
  const received = subscriber.receive().finally(() => {
    isThere = true
  })
  while (!isThere) {
    await push.send(frame)
    await Promise.race([received, new Promise(resolve => setImmediate(resolve))])
  }
  expect(await received).toEqual([frame])
})

it('serves sender, relay and receiver, each with its key', async () => {
  const keys = await TestKeys.make()
  const [sensor, web, gateway] = [
    keys.add('sensor', 'publisher'),
    keys.add('web', 'functions'),
    keys.add('gateway', 'functions'),
  ]
  const config = join(await temporaryFolder(), 'broker.config.json')
  writeFileSync(config, JSON.stringify({ topics: { sms: { durable: true } } }))
  const broker = await startBrokerProcess({ ...keys.env, POSTERN_CONFIG: config })
  const relay = connect(broker, { curve: web })
  await relay.ready()
  await relay.publish({ ...hello, topic: 'sms' })
  const sender = new Sender({ ingest: broker.ingest, curve: sensor })
  await sender.send('sms', 'Hello too')
  await sender.close()
  const texts: string[] = []
  for await (const message of new Receiver({ topic: 'sms', broker: broker.requests, curve: gateway })) {
    texts.push(message.text)
    expect(await message.ack()).toBe(true)
    if (texts.length === 2) break
  }
  expect(texts).toEqual(['Hello', 'Hello too'])
})

it('serves HTTP for functions that have their keys in a file, and says in their log when they have none', async () => {
  const keys = await TestKeys.make()
  keys.add('web', 'functions')
  const broker = await startBrokerProcess(keys.env)
  const { url } = await startFunctionsProcess(broker.requests, { POSTERN_CURVE: keys.fileOf('web') })
  const client = new EventClient(`${url}/event/news?history=1`)
  const { status, id } = await post(`${url}/message/news`, 'Hello')
  expect(status).toBe(201)
  await client.until(({ events }) => events.length === 1)
  expect(client.events).toMatchObject([{ id, data: 'Hello' }])

  const without = await startFunctionsProcess(broker.requests)
  const line = await logged(without.program, /"broker-refuses"/)
  expect(JSON.parse(line)).toMatchObject({ reason: 'keys are asked for, and there are none here' })
  expect((await post(`${without.url}/message/news`, 'Hello')).status).toBe(503)
})

it('lets a client in that was refused when its key becomes known, whatever the client is', async () => {
  const keys = await TestKeys.make()
  keys.add('other', 'functions')
  const broker = await startBrokerProcess(keys.env)
  const relayRefused = Promise.withResolvers<void>()
  const senderRefused = Promise.withResolvers<void>()
  const [web, sensor] = [keys.add('web', 'functions'), keys.add('sensor', 'publisher')]
  const relay = connect(broker, { curve: web, onRefused: () => relayRefused.resolve() })
  const sender = new Sender({
    ingest: broker.ingest,
    curve: sensor,
    onRefused: () => senderRefused.resolve(),
  })
  onTestFinished(() => sender.close())
  await Promise.all([relayRefused.promise, senderRefused.promise])
  const up = new Promise<void>(
    resolve => void connect(broker, { curve: web, onState: state => state === 'up' && resolve() }),
  )
  await reload(broker.program)
  await up
  while (relay.state !== 'up') await relay.ready().catch(() => new Promise(resolve => setImmediate(resolve)))
  const { id } = await relay.publish(hello)
  expect(id).toMatch(/-1$/)
  await sender.send('news', 'Hello too')
  while ((await relay.status()).last < 2);
})

it('lets nobody in any more whose key is taken, says so, and keeps who is in until a restart', async () => {
  const keys = await TestKeys.make()
  const [web, sensor] = [keys.add('web', 'functions'), keys.add('sensor', 'publisher')]
  const broker = await startBrokerProcess(keys.env)
  const away = Promise.withResolvers<void>()
  const relay = connect(broker, { curve: web, onState: state => state === 'away' && away.resolve() })
  await relay.ready()
  expect(await knock('ingest', broker.ingest, sensor)).toBe('in')
  keys.remove('sensor')
  keys.remove('web')
  await reload(broker.program)
  expect(await knock('ingest', broker.ingest, sensor)).toBe('refused')
  expect(JSON.parse(await logged(broker.program, /"curve-keys-taken"/))).toMatchObject({
    keys: [web, sensor]
      .map(({ publicKey }, i) => `${i === 0 ? 'web' : 'sensor'} (${publicKey.slice(0, 8)}…)`)
      .join(', '),
  })
  expect((await relay.publish(hello)).id).toBeDefined()
  await broker.stop()
  await away.promise
  await broker.restart()
  await refusedFor('is not let in', broker, web)
  await expect(relay.publish(hello)).rejects.toMatchObject({ code: 'BROKER_UNAVAILABLE' })
})

it('goes on with the keys that it has when the folder cannot be read', async () => {
  const keys = await TestKeys.make()
  const web = keys.add('web', 'functions')
  const broker = await startBrokerProcess(keys.env)
  writeFileSync(keys.fileOf('clients'), '{')
  broker.program.kill('SIGHUP')
  expect(await logged(broker.program, /"reload-failed"/)).toContain('clients.json is not JSON')
  expect(await knock('requests', broker.requests, web)).toBe('in')
  expect(await knock('requests', broker.requests, { ...web, ...makeKeyPair() })).toBe('refused')
})

it('asks at the sockets that are not exempt', async () => {
  const keys = await TestKeys.make()
  const web = keys.add('web', 'functions')
  const config = join(await temporaryFolder(), 'broker.config.json')
  writeFileSync(config, JSON.stringify({ curveExempt: ['ingest', 'plain'] }))
  const broker = await startBrokerProcess({ ...keys.env, POSTERN_CONFIG: config })
  const outcomes = async (curve?: CurveKeys) =>
    Promise.all(curveSockets.map(socket => knock(socket, broker[socket], curve)))
  expect(await outcomes()).toEqual(['in', 'in', 'cut', 'cut'])
  expect(await outcomes(web)).toEqual(['cut', 'cut', 'in', 'in'])
})

import { readFile, writeFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../broker/config.ts'
import { startBrokerProcess, temporaryFolder } from '../support/processes.ts'
import { loginOf, messageOf, OldReceiver, registerOf, sendAsOld, TcpClient } from '../support/tcp-client.ts'
import { openDoor } from '../support/tcp-door.ts'
import { userLines } from '../support/users.ts'

/* What PHPMessageBroker's own server does wrong. Each of it has a test here that shows it absent. */

/** What somebody sends who is not logged in, and would like to be obeyed. */
const wishes = [registerOf('sms'), messageOf('sms', '1'), '{"command":"reload-user"}', '{"command":"ping"}']

describe('nothing is obeyed before a login', () => {
  const firsts: readonly [string, string | Uint8Array][] = [
    ['a line feed', '\n'],
    ['space', ' '.repeat(10_000)],
    ['nothing', ''],
    ['a login that is wrong', loginOf('amy', 'wrong')],
    ['a login without credentials', '{"command":"login"}'],
    ['a login with a name only', '{"command":"login","authorization":"YW15"}'],
    ['a login as an object', '{"command":"login","authorization":{"0":"amy:secret"}}'],
    ['a login that is a list', `[${loginOf('amy', 'secret')}]`],
    ['something else', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['a document without an end', `{"command":"login","x":"${'x'.repeat(10_000)}`],
    ['bytes', Buffer.from([0, 0xff, 0x16, 0x03])],
  ]

  it('whatever comes first', async () => {
    // At once: each of them is kept waiting for a second.
    await Promise.all(firsts.map(([name, first]) => expectRefused(name, first)))
  })

  async function expectRefused(name: string, first: string | Uint8Array) {
    const { port, test, sms, logger, door } = await openDoor()
    const client = new TcpClient(port)
    client.send(first, ...wishes)
    expect(await client.ended, name).toBe('RST')
    expect([test.broker.counters.published, sms.receivers, client.text], name).toEqual([0, 0, ''])
    expect(logger.events, name).not.toContain('users-reloaded')
    expect(door.counters.loginsRefused, name).toBe(1)
  }

  it('also when it comes together with a login that takes a while to be right', async () => {
    const { port, sms } = await openDoor()
    const client = new TcpClient(port)
    client.send(loginOf('amy', 'secret') + registerOf('sms') + messageOf('sms', '1'))
    await client.until(() => client.text !== '')
    expect(client.text).toBe('{"command":"message","data":[1]}')
    expect(sms.receivers).toBe(1)
  })
})

it('a failed login is told to those who ask for answers, and ends the connection of the others', async () => {
  const { port, logger } = await openDoor()
  const client = new TcpClient(port)
  client.send(loginOf('amy', 'wrong', { ack: true }))
  expect(await client.answer()).toEqual({
    command: 'error',
    id: '6afff9fd20b5b1795160573',
    error: { code: 'UNAUTHORIZED', message: 'The name or the password is wrong.' },
  })
  expect(await client.ended).toBe('RST')
  expect(logger.lines).toContainEqual({
    event: 'refused',
    fields: expect.objectContaining({ code: 'UNAUTHORIZED' }),
  })
})

it('what makes no sense crashes nothing', async () => {
  const { port } = await openDoor({ reloadUsers: ['amy'] })
  const client = new TcpClient(port)
  client.send(loginOf('amy', 'secret', { ack: true }))
  for (const document of [
    '{"command":"register","type":"receiver","channel":"a"}',
    '{"command":"register","id":{"a":[]},"channel":"b"}',
    '{"command":"reload-user"}',
    '{"command":["login"]}',
    '{"command":"__proto__","__proto__":1}',
    '{"command":"ack","id":{}}',
    '{"command":"message","channel":{},"data":1}',
    `{"command":"message","data":${'['.repeat(5000)}${']'.repeat(5000)}}`,
    messageOf(`x'; drop table data; --`, '1'),
  ])
    client.send(document)
  client.send('{"command":"ping","id":"last"}')
  await client.until(() => client.text.includes('"pong"'))
})

describe('a client that says nothing', () => {
  it('holds up nobody, and is let go when its time is over', async () => {
    const { port, door, publish } = await openDoor()
    const client = new TcpClient(port)
    client.send(loginOf('amy', 'secret', { ack: true }) + registerOf('news'))
    for (const command of ['welcome', 'registered']) expect(await client.answer()).toMatchObject({ command })
    // Nobody is to be let go who has only not been given the time to log in.
    door.reload({ ...loadConfig({}), users: Object.values(userLines), loginTimeoutMs: 300 })
    const silent = Array.from({ length: 20 }, () => new TcpClient(port))
    const half = new TcpClient(port)
    half.send('{"command":')
    publish('news', '1')
    expect(await client.answer()).toMatchObject({ data: [1] })
    await Promise.all([...silent, half].map(({ ended }) => ended))
    publish('news', '2')
    expect(await client.answer()).toMatchObject({ data: [2] })
  })

  it('does not keep others out: of many the oldest is let go', async () => {
    const { port } = await openDoor()
    const silent = Array.from({ length: 200 }, () => new TcpClient(port))
    await Promise.all(silent.slice(0, 72).map(({ ended }) => ended))
    const client = new TcpClient(port)
    client.send(loginOf('amy', 'secret', { ack: true }))
    expect(await client.answer()).toMatchObject({ command: 'welcome' })
  })
})

it('more connections than the setting allows are refused, which is told with its name', async () => {
  const { port, logger } = await openDoor({ maxTcpConnections: 1 })
  const first = new TcpClient(port)
  first.send(loginOf('amy', 'secret', { ack: true }))
  await first.answer()
  expect(await new TcpClient(port).ended).toBe('RST')
  expect(logger.lines).toContainEqual({
    event: 'too-many-connections',
    fields: { socket: 'tcp', limit: 1, setting: 'maxTcpConnections' },
  })
})

describe('a receiver that does not read', () => {
  it('holds up no other one', async () => {
    const { port } = await openDoor()
    const stopped = new OldReceiver(port, 'sms')
    await stopped.until(() => stopped.connections === 1)
    stopped.pause()
    const receiver = new OldReceiver(port, 'sms')
    const data = Array.from({ length: 100 }, (_, i) => `"${i} ${'x'.repeat(2000)}"`)
    await sendAsOld(port, 'sms', data)
    await receiver.until(() => receiver.values.length === 100)
  })

  it('of answers is not read on, and let go in the end', async () => {
    const { port } = await openDoor({ peerTimeoutMs: 500 })
    const client = new TcpClient(port)
    client.socket.pause()
    client.send(loginOf('amy', 'secret', { ack: true }))
    const pings = '{"command":"ping"}'.repeat(50_000)
    for (let i = 0; i < 20; i++) client.send(pings)
    expect(await client.ended).toBe('RST')
  })
})

describe('with a limit of one receiver', () => {
  it.each(['sms', 'news'])('the next one gets everything after the first has left: %s', async channel => {
    const { port, sms } = await openDoor({}, 1)
    sms.limit = 1
    const first = new OldReceiver(port, channel)
    await sendAsOld(port, channel, ['"before"'])
    await first.until(() => first.values.length > 0 || channel === 'news')
    // What was sent while the first one was not there yet has gone nowhere, in a topic that keeps nothing.
    const joined = async (receiver: OldReceiver) => {
      while (receiver.values.length === 0) await sendAsOld(port, channel, ['"marker"'])
    }
    await joined(first)
    const second = new OldReceiver(port, channel)
    first.kill()
    await joined(second)
    const data = Array.from({ length: 20 }, (_, i) => `${i}`)
    await sendAsOld(port, channel, data)
    await second.until(() => second.values.includes('19'))
    expect(second.values.filter(value => /\d/.test(value))).toEqual(data)
  })

  it('only the first one gets anything while it is there', async () => {
    const { port, sms } = await openDoor({}, 1)
    sms.limit = 1
    const first = new OldReceiver(port, 'sms')
    await sms.until(() => sms.receivers === 1)
    const second = new OldReceiver(port, 'sms')
    await sms.until(() => sms.receivers === 2)
    await sendAsOld(port, 'sms', ['1', '2'])
    await sms.until(() => sms.acknowledged.length === 2)
    expect([first.values, second.values]).toEqual([['1', '2'], []])
  })
})

describe('what is kept', () => {
  it('is handed over whole, however much it is: 12 messages of 2,500 bytes', async () => {
    const { port, sms } = await openDoor()
    const data = Array.from({ length: 12 }, (_, i) => JSON.stringify({ n: i, text: 'x'.repeat(2480) }))
    await sendAsOld(port, 'sms', data)
    const receiver = new OldReceiver(port, 'sms')
    await receiver.until(() => receiver.values.length === 12)
    expect(receiver.values).toEqual(data)
    expect([receiver.lost, receiver.reads]).toEqual([0, [3, 3, 3, 3]])
    await sms.until(() => sms.texts.length === 0)
  })

  it('is kept until a receiver has had it: one that dies at once loses nothing', async () => {
    const { port, sms } = await openDoor({ legacyAckMs: 200 })
    await sendAsOld(port, 'sms', ['1', '2'])
    for (let i = 0; i < 3; i++) {
      const client = new TcpClient(port)
      client.send(loginOf('amy', 'secret') + registerOf('sms'))
      await sms.until(() => sms.receivers === 1)
      client.socket.resetAndDestroy()
      await sms.until(() => sms.receivers === 0)
    }
    const receiver = new OldReceiver(port, 'sms')
    await receiver.until(() => receiver.values.length === 2)
  })

  it('is kept also while somebody receives another channel', async () => {
    const { port, sms } = await openDoor()
    const other = new TcpClient(port)
    other.send(loginOf('amy', 'secret', { ack: true }) + registerOf('news'))
    await other.answer()
    await other.answer()
    await sendAsOld(port, 'sms', ['1'])
    await sms.until(() => sms.texts.length === 1)
  })
})

it('channels that PHP takes for equal are different', async () => {
  const { port } = await openDoor()
  const client = new TcpClient(port)
  client.send(loginOf('amy', 'secret', { ack: true }) + registerOf('10'))
  for (let i = 0; i < 2; i++) await client.answer()
  for (const channel of ['1e1', '010', '10.0', ' 10', '10']) await sendAsOld(port, channel, [`"${channel}"`])
  expect(await client.answer()).toMatchObject({ channel: '10', data: ['10'] })
})

it('a user who is taken from the list, or gets another password, has to log in again', async () => {
  const { port, authority } = await openDoor()
  const clients = ['amy', 'bob'].map(name => {
    const client = new TcpClient(port)
    client.send(loginOf(name, 'secret', { ack: true }))
    return client
  })
  for (const client of clients) await client.answer()
  const [amy, bob] = clients
  authority.reload({ ...loadConfig({}), users: [userLines.amy] })
  expect(await bob?.ended).toBe('RST')
  amy?.send('{"command":"ping"}')
  expect(await amy?.answer()).toMatchObject({ command: 'pong' })
})

describe('a broker with the door open', () => {
  async function start(config: object = {}) {
    const folder = await temporaryFolder()
    await writeFile(`${folder}/users`, Object.values(userLines).join('\n'))
    await writeFile(`${folder}/config`, JSON.stringify(config))
    const broker = await startBrokerProcess({
      POSTERN_TCP: 'tcp://127.0.0.1:0',
      POSTERN_USERS: `${folder}/users`,
      POSTERN_CONFIG: `${folder}/config`,
    })
    const { port } = new URL(String(broker.program.told['tcp']))
    return { broker, port: Number(port) }
  }

  it('does nothing while nothing is to be done', async () => {
    const { broker, port } = await start()
    const client = new TcpClient(port)
    client.send(loginOf('eve', 'secret', { ack: true }) + registerOf('sms'))
    for (let i = 0; i < 2; i++) await client.answer()
    const ticks = async () => {
      const stat = await readFile(`/proc/${broker.program.child.pid}/stat`, 'utf8')
      const [user = '0', system = '0'] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14)
      return Number(user) + Number(system)
    }
    await delay(500)
    const before = await ticks()
    await delay(2000)
    // Of 200 in this time: one core burns all of them.
    expect((await ticks()) - before).toBeLessThan(20)
  })

  it('listens on loopback alone', async () => {
    const { port } = await start()
    const others = Object.values(networkInterfaces())
      .flat()
      .filter(one => one !== undefined && !one.internal && one.family === 'IPv4')
    for (const one of others) expect(await new TcpClient(port, one?.address).ended).toBe('RST')
    const client = new TcpClient(port)
    client.send(loginOf('amy', 'secret', { ack: true }))
    expect(await client.answer()).toMatchObject({ command: 'welcome' })
  })

  it('keeps what nobody receives, and with a limit of one hands it to the next when the first has left', async () => {
    const { port } = await start({ topics: { sms: { durable: true, receivers: 1 } }, legacyAckMs: 500 })
    const data = Array.from({ length: 12 }, (_, i) => JSON.stringify({ n: i, text: 'x'.repeat(2480) }))
    await sendAsOld(port, 'sms', data)
    const first = new OldReceiver(port, 'sms')
    await first.until(() => first.values.length === 12)
    expect([first.values, first.lost]).toEqual([data, 0])
    first.kill()
    const second = new OldReceiver(port, 'sms')
    await sendAsOld(port, 'sms', ['1', '2'])
    // The last document of the first one may come again: it has left before its time for it was over.
    await second.until(() => second.values.at(-1) === '2')
    expect(second.values.slice(-2)).toEqual(['1', '2'])
    expect(second.lost).toBe(0)
  })

  it('lets no old receiver have what is in a grave: it could not take it, and would keep it from others', async () => {
    const { port } = await start({ topics: { sms: { durable: true } }, legacyAckMs: 500 })
    const large = 'x'.repeat(9000)
    await sendAsOld(port, 'sms', [`"${large}"`, '1'])
    const receiver = new OldReceiver(port, 'sms')
    await receiver.until(() => receiver.values.length === 1)
    const old = new TcpClient(port)
    old.send(loginOf('amy', 'secret') + registerOf('$dead/sms'), '{"command":"ping"}')
    await old.until(() => old.text.includes('pong'))
    const client = new TcpClient(port)
    client.send(loginOf('amy', 'secret', { ack: true }) + registerOf('$dead/sms'))
    for (const command of ['welcome', 'registered']) expect(await client.answer()).toMatchObject({ command })
    expect(await client.answer()).toMatchObject({ channel: '$dead/sms', data: [large] })
  })

  it('hands small messages that it has kept to an old receiver as many at a time as it can read', async () => {
    const { port } = await start({ topics: { sms: { durable: true } }, legacyAckMs: 500 })
    const data = Array.from({ length: 500 }, (_, i) => `{"n":${i}}`)
    await sendAsOld(port, 'sms', data)
    const receiver = new OldReceiver(port, 'sms')
    await receiver.until(() => receiver.values.length === 500)
    expect([receiver.values, receiver.lost]).toEqual([data, 0])
    expect(receiver.reads.length).toBeLessThan(5)
  })

  it('resets its receivers when it is stopped', async () => {
    const { broker, port } = await start()
    const receiver = new TcpClient(port)
    receiver.send(loginOf('amy', 'secret', { ack: true }) + registerOf('sms'))
    for (let i = 0; i < 2; i++) await receiver.answer()
    const stopped = broker.stop()
    expect(await receiver.ended).toBe('RST')
    expect(await stopped).toBe(0)
  })
})

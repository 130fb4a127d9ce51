import { expect, it } from 'vitest'
import { PosternError } from '#protocol'
import { TcpAccount, TcpLimits } from '../../broker/listeners/tcp-limits.ts'
import { loginOf, messageOf, registerOf, sendAsOld, TcpClient } from '../support/tcp-client.ts'
import { openDoor } from '../support/tcp-door.ts'

async function loggedIn(port: number, name = 'amy'): Promise<TcpClient> {
  const client = new TcpClient(port)
  client.send(loginOf(name, 'secret', { ack: true }))
  expect(await client.answer()).toMatchObject({ command: 'welcome' })
  return client
}

/** The next answers, in the order of what they answer: a refusal does not wait for receipts. */
async function answersOf(client: TcpClient, count: number): Promise<Record<string, unknown>[]> {
  const answers = []
  for (let i = 0; i < count; i++) answers.push(await client.answer())
  return answers.toSorted((one, other) => Number(one['id']) - Number(other['id']))
}

it('a user may have so many connections, and one more when one has ended', async () => {
  const { port, test } = await openDoor({ maxTcpUserConnections: 1 })
  const first = await loggedIn(port)
  const second = new TcpClient(port)
  second.send(loginOf('amy', 'secret', { ack: true }))
  expect(await second.answer()).toMatchObject({
    command: 'error',
    error: { code: 'TOO_MANY_CONNECTIONS', limit: 1, setting: 'maxTcpUserConnections' },
  })
  expect(await second.ended).toBe('RST')
  expect(test.broker.refusals.limits).toMatchObject({ maxTcpUserConnections: 1 })
  await loggedIn(port, 'bob')
  // Who logs in once more on the same connection is not two.
  first.send(loginOf('amy', 'secret', { ack: true }))
  expect(await first.answer()).toMatchObject({ command: 'welcome' })
  expect(await first.finish()).toBe('FIN')
  await loggedIn(port)
})

it('a connection may receive so many channels', async () => {
  const { port } = await openDoor({ maxTcpChannels: 1 })
  const client = await loggedIn(port)
  client.send(registerOf('a'), registerOf('a'), registerOf('b'))
  expect(await client.answer()).toMatchObject({ command: 'registered' })
  expect(await client.answer()).toMatchObject({ command: 'registered' })
  expect(await client.answer()).toMatchObject({
    error: { code: 'TOO_MANY_TOPICS', limit: 1, setting: 'maxTcpChannels' },
  })
})

it('a user who sends more than may come is told which limit it was, and the message is not published', async () => {
  const { port, test } = await openDoor({ tcpPublishesPerS: 1 })
  const client = await loggedIn(port)
  client.send(...[1, 2, 3].map(id => messageOf('a', '0', { id })))
  expect(await answersOf(client, 3)).toEqual([
    expect.objectContaining({ command: 'receipt', id: 1 }),
    expect.objectContaining({ command: 'receipt', id: 2 }),
    {
      command: 'error',
      id: 3,
      error: expect.objectContaining({
        code: 'RATE_LIMITED',
        limit: 1,
        setting: 'tcpPublishesPerS',
        retryAfterMs: expect.any(Number),
      }),
    },
  ])
  expect(test.broker.refusals.limits).toMatchObject({ tcpPublishesPerS: 1 })
  const other = await loggedIn(port, 'bob')
  other.send(messageOf('a', '4'))
  expect(await other.answer()).toMatchObject({ command: 'receipt' })
})

it('bytes count as well', async () => {
  const { port } = await openDoor({ tcpPublishedBytesPerS: 100 })
  const client = await loggedIn(port)
  client.send(messageOf('a', JSON.stringify('x'.repeat(1000)), { id: 1 }), messageOf('a', '2', { id: 2 }))
  expect(await answersOf(client, 2)).toMatchObject([
    { command: 'receipt' },
    { error: { setting: 'tcpPublishedBytesPerS', limit: 100 } },
  ])
})

it('who cannot be told is slowed, and loses nothing', async () => {
  const { port, test } = await openDoor({ tcpPublishesPerS: 20 })
  const receiver = await loggedIn(port, 'bob')
  receiver.send(registerOf('a'))
  await receiver.answer()
  const data = Array.from({ length: 60 }, (_, i) => String(i))
  const sending = sendAsOld(port, 'a', data)
  const received: unknown[] = []
  while (received.length < data.length) {
    const { command, id, data } = await receiver.answer()
    if (command !== 'message') continue
    received.push(...(Array.isArray(data) ? data : []))
    receiver.send(JSON.stringify({ command: 'ack', id }))
  }
  expect(received).toEqual(data.map(Number))
  await sending
  expect(test.broker.refusals.limits['tcpPublishesPerS']).toBeGreaterThan(0)
})

it('too many wrong passwords are told with the setting', async () => {
  const { port } = await openDoor({ maxLoginFailures: 10 })
  const tell = async (password: string) => {
    const client = new TcpClient(port)
    client.send(loginOf('eve', password, { ack: true }))
    return (await client.answer())['error']
  }
  for (const password of ['wrong', 'wrong too']) await tell(password)
  expect(await tell('secret')).toMatchObject({
    code: 'LOGIN_UNAVAILABLE',
    limit: 10,
    setting: 'maxLoginFailures',
  })
})

it('an address may have so many connections, this machine any number', () => {
  const settings = {
    maxTcpConnections: 5,
    maxTcpAddressConnections: 1,
    maxTcpUserConnections: 0,
    tcpPublishesPerS: 0,
    tcpPublishedBytesPerS: 0,
  }
  const limits = new TcpLimits(() => settings)
  const settingOf = (address: string, open = 0) => {
    const found = limits.open(address, open)
    return found instanceof PosternError ? found.setting : undefined
  }
  const first = limits.open('192.0.2.7', 0)
  expect(settingOf('::ffff:192.0.2.7')).toBe('maxTcpAddressConnections')
  expect(settingOf('192.0.2.8')).toBeUndefined()
  expect([settingOf('127.0.0.1'), settingOf('127.0.0.1')]).toEqual([undefined, undefined])
  expect(settingOf('192.0.2.9', 5)).toBe('maxTcpConnections')
  if (first instanceof TcpAccount) first.close()
  expect(settingOf('192.0.2.7')).toBeUndefined()
})

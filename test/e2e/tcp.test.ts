import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { codeOf } from '../support/papers.ts'
import { loginOf, messageOf, OldReceiver, registerOf, sendAsOld, TcpClient } from '../support/tcp-client.ts'
import { openDoor } from '../support/tcp-door.ts'
import { messagesOf } from '../support/test-broker.ts'

/** A client that has logged in and gets answers. */
async function loggedIn(port: number, name = 'amy'): Promise<TcpClient> {
  const client = new TcpClient(port)
  client.send(loginOf(name, 'secret', { ack: true }))
  expect(await client.answer()).toMatchObject({ command: 'welcome' })
  return client
}

async function receiving(port: number, channel: string | undefined): Promise<TcpClient> {
  const client = await loggedIn(port)
  client.send(registerOf(channel, { ack: true }))
  expect(await client.answer()).toMatchObject({ command: 'registered' })
  return client
}

describe('a message', () => {
  it('goes from an old sender to an old receiver, byte for byte as it is on its wire', async () => {
    const { port } = await openDoor()
    const receiver = new TcpClient(port)
    receiver.send(loginOf('amy', 'secret'))
    receiver.send(registerOf('news'))
    const watcher = await receiving(port, 'news')
    await sendAsOld(port, 'news', ['{"time":1,"message":"Kode OTP \\u00e9 \\/"}'])
    await watcher.answer()
    const expected = '{"command":"message","data":[{"time":1,"message":"Kode OTP \\u00e9 \\/"}]}'
    await receiver.until(() => receiver.text.length >= expected.length)
    expect(receiver.text).toBe(expected)
  })

  it.each([
    '12345678901234567890.00',
    '{}',
    '{"b" : {} ,\n "a":[ 2.0 , 1e400 ]}',
    '"\\ud83d\\ude00 \u{1f600} \\/"',
    'null',
    'false',
    '[]',
    '0',
  ])('keeps its data as it was written: %j', async data => {
    const { port, test } = await openDoor()
    const old = new TcpClient(port)
    old.send(loginOf('amy', 'secret'), registerOf('news'))
    const client = await receiving(port, 'news')
    client.send(messageOf('news', data))
    const expected = `{"command":"message","data":[${data}]}`
    await old.until(() => Buffer.byteLength(old.text) >= Buffer.byteLength(expected))
    expect(old.text).toBe(expected)
    const { batches } = test.broker.replay({ selection: { topics: ['news'], exact: true }, last: 1 })
    expect(messagesOf(batches).map(({ payload }) => Buffer.from(payload).toString())).toEqual([data])
    // Here a document is a line.
    for (let answers = 0; answers < 2; answers++) await client.answer()
  })

  it('of another door arrives as JSON, whatever it is', async () => {
    const { port, publish } = await openDoor()
    const client = await receiving(port, 'news')
    publish('news', 'Hello "you"')
    publish('news', '{"a": {}}')
    publish('news', Buffer.from([0xff, 0]), true)
    publish('news/sport', 'not of this channel')
    publish('news', '')
    const { id, ...first } = await client.answer()
    expect(first).toEqual({
      command: 'message',
      channel: 'news',
      deliveries: 1,
      redelivered: false,
      data: ['Hello "you"'],
    })
    expect(id).toMatch(/-1$/)
    expect(await client.answer()).toMatchObject({ data: [{ a: {} }] })
    expect(await client.answer()).toMatchObject({ encoding: 'base64', data: ['/wA='] })
    expect(await client.answer()).toMatchObject({ data: [''] })
  })

  it('without a channel is of the channel generic, on both sides', async () => {
    const { port } = await openDoor()
    const [one, other] = [await receiving(port, undefined), await receiving(port, 'generic')]
    await sendAsOld(port, undefined, ['1'])
    await sendAsOld(port, 'generic', ['2'])
    for (const receiver of [one, other]) {
      expect(await receiver.answer()).toMatchObject({ channel: 'generic', data: [1] })
      expect(await receiver.answer()).toMatchObject({ channel: 'generic', data: [2] })
    }
  })

  it('comes in however the stream is cut into pieces', async () => {
    const { port } = await openDoor()
    const client = await receiving(port, 'news')
    const stream = Buffer.from([1, 2, 3].map(i => messageOf('news', `{"n":${i},"é":"}"}`)).join('\n'))
    for (const byte of stream) client.send(Uint8Array.of(byte))
    const data: unknown[] = []
    while (data.length < 3) {
      const answer = await client.answer()
      if (answer['command'] === 'message') data.push(...(answer['data'] as unknown[]))
    }
    expect(data).toEqual([1, 2, 3].map(n => ({ n, é: '}' })))
  })
})

describe('a client with "ack"', () => {
  it('gets a receipt for each message, with the id that it gave', async () => {
    const { port } = await openDoor()
    const client = await loggedIn(port)
    client.send(
      messageOf('news', '1', { id: 'first' }),
      messageOf('news', '2', { id: 2 }),
      messageOf('news', '3'),
    )
    expect(await client.answer()).toMatchObject({
      command: 'receipt',
      id: 'first',
      message: expect.stringMatching(/-1$/),
    })
    expect(await client.answer()).toMatchObject({
      command: 'receipt',
      id: 2,
      message: expect.stringMatching(/-2$/),
    })
    expect(await client.answer()).toMatchObject({ command: 'receipt', id: null })
  })

  it('publishes once what it repeats under a key', async () => {
    const { port } = await openDoor()
    const client = await loggedIn(port)
    client.send(messageOf('news', '1', { key: 'k' }))
    const { message } = await client.answer()
    client.send(messageOf('news', '1', { key: 'k' }))
    expect(await client.answer()).toMatchObject({ command: 'receipt', message })
    client.send(messageOf('news', '2', { key: 'k' }))
    expect(await client.answer()).toMatchObject({ command: 'error', error: { code: 'KEY_CONFLICT' } })
  })

  it.each([
    [messageOf('a//b', '1'), 'INVALID_TOPIC'],
    [messageOf('$push/a', '1'), 'RESERVED_TOPIC'],
    ['{"command":"message","channel":7,"data":1}', 'INVALID_TOPIC'],
    ['{"command":"message","channel":"a"}', 'INVALID_REQUEST'],
    [messageOf('a', `"${'x'.repeat(100)}"`), 'PAYLOAD_TOO_LARGE'],
    [registerOf('$bus/a'), 'RESERVED_TOPIC'],
    ['{"command":"ack","id":"1-1"}', 'INVALID_REQUEST'],
    ['{"command":"reload-user"}', 'FORBIDDEN'],
    ['{"command":"shutdown"}', 'INVALID_REQUEST'],
    ['{}', 'INVALID_REQUEST'],
  ])('is told what was not done, and goes on: %s', async (document, code) => {
    const { port, door } = await openDoor({ maxPayloadBytes: 100 })
    const client = await loggedIn(port)
    client.send(document)
    expect(await client.answer()).toMatchObject({ command: 'error', error: { code } })
    expect(door.counters.tcpRefused).toBe(1)
    client.send(messageOf('a', '1'))
    expect(await client.answer()).toMatchObject({ command: 'receipt' })
  })

  it('gets messages as the paper of the broker shows them', async () => {
    const { port } = await openDoor()
    const client = await receiving(port, 'sms')
    await sendAsOld(port, 'sms', ['{"text":"Hello"}'])
    const paper = await readFile(new URL('../../broker/README.md', import.meta.url), 'utf8')
    const [shown = ''] = codeOf(paper, 'json tcp')
    expect({ ...(await client.answer()), id: '' }).toEqual({ ...JSON.parse(shown), id: '' })
  })

  it('acknowledges each message, which is confirmed when no restart can bring it back', async () => {
    const { port, sms } = await openDoor()
    const client = await receiving(port, 'sms')
    await sendAsOld(port, 'sms', ['1', '2'])
    const { id } = await client.answer()
    await client.answer()
    expect(sms.acknowledged).toEqual([])
    client.send(JSON.stringify({ command: 'ack', id }))
    expect(await client.answer()).toEqual({ command: 'acknowledged', id })
    expect([sms.acknowledged, sms.texts]).toEqual([['1'], ['2']])
    client.send(JSON.stringify({ command: 'ack', id }))
    expect(await client.answer()).toMatchObject({ command: 'error', error: { code: 'NOT_FOUND' } })
  })

  it('gives back what it has not acknowledged when it goes', async () => {
    const { port, sms } = await openDoor()
    const client = await receiving(port, 'sms')
    await sendAsOld(port, 'sms', ['1'])
    expect(await client.answer()).toMatchObject({ data: [1], deliveries: 1, redelivered: false })
    client.socket.destroy()
    await sms.until(() => sms.receivers === 0)
    const next = await receiving(port, 'sms')
    expect(await next.answer()).toMatchObject({ data: [1], deliveries: 2, redelivered: true })
  })

  it('may receive several channels, each message with its own', async () => {
    const { port, publish } = await openDoor()
    const client = await receiving(port, 'a')
    client.send(registerOf('b'))
    await client.answer()
    publish('b', '1')
    publish('a', '2')
    expect(await client.answer()).toMatchObject({ channel: 'b', data: [1] })
    expect(await client.answer()).toMatchObject({ channel: 'a', data: [2] })
  })

  it('gets its receipts also when it has closed its side', async () => {
    const { port } = await openDoor()
    const client = await loggedIn(port)
    client.send(messageOf('news', '1'))
    const ended = client.finish()
    expect(await client.answer()).toMatchObject({ command: 'receipt' })
    expect(await ended).toBe('FIN')
  })
})

describe('an old receiver', () => {
  it('gets several small messages in one document, and each once and in order', async () => {
    const { port, sms } = await openDoor()
    await sendAsOld(
      port,
      'sms',
      Array.from({ length: 500 }, (_, i) => `{"n":${i}}`),
    )
    const receiver = new OldReceiver(port, 'sms')
    await receiver.until(() => receiver.values.length === 500)
    expect(receiver.values).toEqual(Array.from({ length: 500 }, (_, i) => `{"n":${i}}`))
    expect(receiver.lost).toBe(0)
    expect(receiver.reads.length).toBeLessThan(10)
    await sms.until(() => sms.acknowledged.length === 500)
  })

  it('is not sent what is too large for it, whole or cut: that is set aside', async () => {
    const { port, sms } = await openDoor()
    const fits = JSON.stringify('x'.repeat(8192 - 31 - 2))
    const large = JSON.stringify('x'.repeat(8192 - 31 - 1))
    await sendAsOld(port, 'sms', [large, fits, '1'])
    const receiver = new OldReceiver(port, 'sms')
    await receiver.until(() => receiver.values.length === 2)
    expect(receiver.values).toEqual([fits, '1'])
    expect(receiver.lost).toBe(0)
    expect(sms.rejected).toEqual([{ text: large, reason: expect.stringContaining('8192') }])
  })

  it('stays one: who says "ack" only later is told that it is too late', async () => {
    const { port, sms } = await openDoor()
    const client = new TcpClient(port)
    client.send(loginOf('amy', 'secret') + registerOf('sms'))
    await sms.until(() => sms.receivers === 1)
    client.send(registerOf('news', { ack: true }))
    await client.until(() => client.text !== '')
    expect(JSON.parse(client.text)).toMatchObject({ command: 'error', error: { code: 'INVALID_REQUEST' } })
  })

  it('of a topic that is not durable misses what is too large, which is told in the log', async () => {
    const { port, publish, logger, door } = await openDoor()
    const receiver = new OldReceiver(port, 'news')
    await receiving(port, 'news')
    publish('news', 'x'.repeat(9000))
    publish('news', '1')
    await receiver.until(() => receiver.values.length === 1)
    await logger.says('receiver-lost')
    expect(door.counters.receiverLost).toBe(1)
  })

  it('that goes before its time for a document is over has not received it', async () => {
    const { port, sms } = await openDoor({ legacyAckMs: 60_000 })
    await sendAsOld(port, 'sms', ['1'])
    const receiver = new OldReceiver(port, 'sms')
    await receiver.until(() => receiver.values.length === 1)
    receiver.kill()
    await sms.until(() => sms.receivers === 0)
    expect([sms.texts, sms.acknowledged]).toEqual([['1'], []])
  })

  it('is reset when the broker stops, and so comes back at once instead of spinning', async () => {
    const { port, door, sms } = await openDoor()
    const receiver = new OldReceiver(port, 'sms')
    await sms.until(() => sms.receivers === 1)
    const stopped = door.stop()
    await receiver.until(() => receiver.connections > 1)
    expect(receiver.ends[0]).toBe('RST')
    receiver.kill()
    await stopped
  })
})

it('takes what was under way when the broker stops', async () => {
  const { port, door, test } = await openDoor()
  const client = await loggedIn(port)
  for (let i = 0; i < 100; i++) client.send(messageOf('news', `${i}`))
  await client.answer()
  await door.stop()
  expect(test.broker.counters.published).toBe(100)
  expect(await client.ended).toBe('RST')
})

it('answers a ping, and has the users read again for those who may', async () => {
  const { port, logger } = await openDoor({ reloadUsers: ['amy'] })
  const client = await loggedIn(port)
  client.send('{"command":"ping","id":1.50}')
  await client.until(() => client.text.endsWith('\n'))
  expect(client.text).toBe('{"command":"pong","id":1.50}\n')
  client.text = ''
  client.send('{"command":"reload-user","id":"r"}')
  expect(await client.answer()).toEqual({ command: 'reloaded', id: 'r' })
  expect(logger.events).toContain('users-reloaded')
  const other = await loggedIn(port, 'bob')
  other.send('{"command":"reload-user"}')
  expect(await other.answer()).toMatchObject({ error: { code: 'FORBIDDEN' } })
})

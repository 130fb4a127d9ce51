import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { formatId } from '#protocol'
import { EventReader } from '../support/event-reader.ts'
import {
  hostKinds,
  socketHostKinds,
  startHost,
  type TestContext,
  type TestContextOptions,
  type TestHost,
  testContext,
} from '../support/function-hosts.ts'

let host: TestHost
let context: TestContext
const clients: EventReader[] = []

afterEach(async () => {
  await Promise.all(clients.splice(0).map(client => client.close()))
  await host.close()
})

const start = async (kind: (typeof hostKinds)[number], options: TestContextOptions = {}) => {
  context = testContext(options)
  host = await startHost(kind, context)
}

const open = async (path: string, headers: Record<string, string> = {}) => {
  const client = await EventReader.open(init => host.fetch(path, init), headers)
  clients.push(client)
  return client
}

const subscribed = async (path: string, headers: Record<string, string> = {}) => {
  const client = await open(path, headers)
  await client.begun()
  return client
}

const encoder = new TextEncoder()

const publish = async (
  topic: string,
  payload: string | Uint8Array,
  label: { type?: string; binary?: boolean } = {},
) => {
  const bytes = typeof payload === 'string' ? encoder.encode(payload) : payload
  const receipt = await context.backbone.publish({
    topic,
    type: label.type ?? '',
    binary: label.binary ?? false,
    payload: bytes,
  })
  return receipt.id
}

const dataOf = async (client: EventReader, count: number) =>
  (await client.take(count)).map(event => event.data)

describe.each(hostKinds)('GET /event on %s', kind => {
  it('answers at once, with the time to wait before coming again and the place it begins at', async () => {
    await start(kind, { retryMs: 1234 })
    const id = await publish('other', 'x')
    const client = await subscribed('/event/a')
    expect(client.response.status).toBe(200)
    expect(client.response.headers.get('content-type')).toBe('text/event-stream')
    expect(client.response.headers.get('cache-control')).toBe('no-cache')
    expect(client.response.headers.get('x-accel-buffering')).toBe('no')
    expect(client.text).toBe(`retry: 1234\n\nid: ${id}\n\n`)
  })

  it('answers at once while the broker is away, and begins when it is back', async () => {
    await start(kind, { reached: false })
    const client = await open('/event/a')
    await client.until(() => client.retryMs !== undefined)
    context.backbone.comeBack()
    await client.begun()
    await publish('a', 'x')
    expect(await dataOf(client, 1)).toEqual(['x'])
  })

  it('streams each message with its id, type and text', async () => {
    await start(kind)
    const client = await subscribed('/event/a')
    const ids = [
      await publish('a', 'one'),
      await publish('a', 'two\nlines', { type: 'note' }),
      await publish('a', ''),
    ]
    expect(await client.take(3)).toEqual([
      { type: 'message', data: 'one', lastEventId: ids[0] },
      { type: 'note', data: 'two\nlines', lastEventId: ids[1] },
      { type: 'message', data: '', lastEventId: ids[2] },
    ])
  })

  it.each(['/event', '/event/'])('is of the default topic when it names none: %s', async path => {
    await start(kind)
    const client = await subscribed(path)
    await publish('other', 'no')
    await publish('chat', 'yes')
    expect(await dataOf(client, 1)).toEqual(['yes'])
  })

  it('of the default topic begins when that topic is known', async () => {
    await start(kind, { reached: false })
    const client = await open('/event')
    expect(client.response.status).toBe(200)
    context.backbone.comeBack()
    await client.begun()
    await publish('chat', 'hi')
    expect(await dataOf(client, 1)).toEqual(['hi'])
  })

  it('has what is below its topic, unless it is exact', async () => {
    await start(kind)
    const all = await subscribed('/event/a')
    const exact = await subscribed('/event/a?exact=1')
    for (const topic of ['a', 'a/b', 'ab', 'A', 'a/b/c', 'a']) await publish(topic, topic)
    expect(await dataOf(all, 4)).toEqual(['a', 'a/b', 'a/b/c', 'a'])
    expect(await dataOf(exact, 2)).toEqual(['a', 'a'])
  })

  it('has more topics by ?topic=, with that of its path and without one', async () => {
    await start(kind)
    const added = await subscribed('/event/a?topic=b%2Fc&topic=a/x')
    const alone = await subscribed('/event?topic=b/c&topic=d')
    for (const topic of ['chat', 'a/x', 'b', 'b/c', 'd']) await publish(topic, topic)
    expect(await dataOf(added, 2)).toEqual(['a/x', 'b/c'])
    expect(await dataOf(alone, 2)).toEqual(['b/c', 'd'])
  })

  it('?history=N begins with the last N of all its topics, in the order of the log', async () => {
    await start(kind)
    for (const topic of ['a', 'b', 'c', 'a', 'b']) await publish(topic, topic)
    const client = await subscribed('/event?topic=a&topic=b&history=3')
    await publish('a', 'live')
    expect(await dataOf(client, 4)).toEqual(['b', 'a', 'b', 'live'])
  })

  it.each([
    ['the query', '?lastEventId=ID', {}],
    ['the header', '', { 'last-event-id': 'ID' }],
    ['the header, which beats the query', '?lastEventId=000000000000-0', { 'last-event-id': 'ID' }],
    ['the query, which beats the history', '?history=9&lastEventId=ID', {}],
  ])('resumes after the id of %s', async (_, query, headers) => {
    await start(kind)
    await publish('a', '1')
    const id = await publish('a', '2')
    await publish('a', '3')
    const filled = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, value.replace('ID', id)]),
    )
    const client = await subscribed(`/event/a${query.replace('ID', id)}`, filled)
    await publish('a', '4')
    expect(await dataOf(client, 2)).toEqual(['3', '4'])
  })

  it('an empty id is none', async () => {
    await start(kind)
    await publish('a', '1')
    const client = await subscribed('/event/a?lastEventId=&history=1')
    expect(await dataOf(client, 1)).toEqual(['1'])
  })

  it.each(['000000000000-7', 'nonsense', '%0Adata:%20forged%0A%0A'])(
    'says with a gap, which has an id, that it cannot resume after %s',
    async id => {
      await start(kind)
      await publish('a', '1')
      const client = await open(`/event/a?lastEventId=${id}`)
      const [gap, message] = await client.take(2)
      expect(gap?.type).toBe('gap')
      expect(JSON.parse(gap?.data ?? '')).toEqual({ id: gap?.lastEventId })
      expect(message).toMatchObject({ type: 'message', data: '1' })
    },
  )

  it('has a gap where the log does not reach back', async () => {
    await start(kind, { maxRetainedMessages: 2 })
    const id = await publish('a', '1')
    for (const text of ['2', '3', '4']) await publish('a', text)
    const client = await open('/event/a', { 'last-event-id': id })
    expect((await client.take(3)).map(event => [event.type, event.data]).slice(1)).toEqual([
      ['message', '3'],
      ['message', '4'],
    ])
  })

  it('has bytes as base64, told by the name of the event', async () => {
    await start(kind)
    const client = await subscribed('/event/a')
    await publish('a', Uint8Array.of(0xff, 0x0a), { binary: true })
    await publish('a', Uint8Array.of(0xff), { binary: true, type: 'photo' })
    expect((await client.take(2)).map(event => [event.type, event.data])).toEqual([
      ['message;base64', '/wo='],
      ['photo;base64', '/w=='],
    ])
  })

  it('?encoding=base64 has the exact bytes of every payload', async () => {
    await start(kind)
    const client = await subscribed('/event/a?encoding=base64')
    await publish('a', 'a\r\n')
    expect(await client.take(1)).toMatchObject([{ type: 'message', data: 'YQ0K' }])
  })

  it('?envelope=1 has everything that is known of a message', async () => {
    await start(kind, { nowMs: () => 0 })
    const client = await subscribed('/event/a?envelope=1')
    const id = await publish('a/b', 'x\ny', { type: 'note' })
    const [event] = await client.take(1)
    expect(event).toMatchObject({ type: 'message', lastEventId: id })
    expect(JSON.parse(event?.data ?? '')).toEqual({
      id,
      topic: 'a/b',
      type: 'note',
      time: '1970-01-01T00:00:00.000Z',
      data: 'x\ny',
    })
  })

  it('tells in its heartbeat how far it has come, so that a quiet stream resumes from there', async () => {
    await start(kind, { heartbeatMs: 20 })
    const client = await subscribed('/event/a')
    const id = await publish('other', 'x')
    await client.until(() => client.lastEventId === id)
    expect(client.waiting).toEqual([])
    expect(client.comments).toBe(0)
  })

  it('has a comment for a heartbeat while it has not begun', async () => {
    await start(kind, { reached: false, heartbeatMs: 20 })
    const client = await open('/event/a')
    await client.until(() => client.comments > 1)
    expect(client.lastEventId).toBe('')
  })

  it('is let go of as soon as its peer has gone', async () => {
    await start(kind)
    const client = await subscribed('/event/a')
    expect(context.backbone.subscriptions).toBe(1)
    await client.close()
    await vi.waitFor(() => expect(context.backbone.subscriptions).toBe(0))
    expect(context.streams.size).toBe(0)
  })

  it('is ended when the server stops, with a time to come again that differs from peer to peer', async () => {
    await start(kind, { retryMs: 100 })
    const client = await subscribed('/event/a')
    await host.close()
    await client.ended()
    expect(client.hasBroken).toBe(false)
    expect(client.retryMs).toBe(200)
    expect(context.streams.size).toBe(0)
  })

  it.each([
    ['/event/%ff', 'INVALID_TOPIC'],
    ['/event?topic=%ff', 'INVALID_TOPIC'],
    ['/event?topic=', 'INVALID_TOPIC'],
    ['/event/a?topic=b%0Ac', 'INVALID_TOPIC'],
    ['/event/$probe', 'RESERVED_TOPIC'],
    ['/event?topic=%24probe', 'RESERVED_TOPIC'],
    ['/event/fetch%2F', 'RESERVED_TOPIC'],
    ['/event/a?history=-1', 'INVALID_REQUEST'],
    ['/event/a?history=1.5', 'INVALID_REQUEST'],
    ['/event/a?history=', 'INVALID_REQUEST'],
    ['/event/a?history=9999999999999999', 'INVALID_REQUEST'],
    ['/event/a?history=1&history=2', 'INVALID_REQUEST'],
    ['/event/a?exact=yes', 'INVALID_REQUEST'],
    ['/event/a?envelope=2', 'INVALID_REQUEST'],
    ['/event/a?encoding=gzip', 'INVALID_REQUEST'],
    ['/event/a?lastEventId=%ff', 'INVALID_REQUEST'],
  ])('%s is refused: %s', async (path, code) => {
    await start(kind)
    const response = await host.fetch(path)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toMatchObject({ error: { code } })
    expect(context.streams.size).toBe(0)
  })

  it('names the parameter that is wrong', async () => {
    await start(kind)
    const { error } = (await (await host.fetch('/event/a?history=x')).json()) as {
      error: { message: string }
    }
    expect(error.message).toContain('"history"')
  })

  it('HEAD has the head alone', async () => {
    await start(kind)
    const response = await host.fetch('/event/a', { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(await response.text()).toBe('')
    expect(context.streams.size).toBe(0)
  })

  it.each(['/event', '/event/a', '/event/fetch'])('POST is no method of %s', async path => {
    await start(kind)
    const response = await host.fetch(path, { method: 'POST', body: 'x' })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('GET, HEAD')
  })

  it('a burst reaches every subscriber whole and in order', async () => {
    await start(kind)
    const readers = await Promise.all(Array.from({ length: 20 }, () => subscribed('/event/a')))
    const texts = Array.from({ length: 2000 }, (_, i) => `${i} ${'x'.repeat(100)}`)
    await Promise.all(texts.map(text => publish('a', text)))
    for (const reader of readers) expect(await dataOf(reader, texts.length)).toEqual(texts)
  })
})

describe('a subscriber that does not read', () => {
  const big = 'x'.repeat(100_000)

  /** Sends the request and reads the head, then nothing more. */
  const openSilently = async (path: string): Promise<Socket> => {
    const { port, hostname } = new URL(host.url)
    const socket = connect(Number(port), hostname)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    await new Promise(resolve => socket.once('data', resolve))
    socket.pause()
    await vi.waitFor(() => expect(context.backbone.subscriptions).toBeGreaterThan(0))
    return socket
  }

  it.each(socketHostKinds)('is ended at its bound on %s, while others get everything', async kind => {
    await start(kind, { maxBufferedBytes: 1_000_000 })
    const socket = await openSilently('/event/a')
    const reader = await subscribed('/event/a')
    for (let i = 0; i < 200; i++) {
      await publish('a', `${i} ${big}`)
      await reader.take(1)
    }
    expect(context.backbone.subscriptions).toBe(1)
    const closed = new Promise(resolve => socket.once('close', resolve))
    // Only who reads again gets to know of the end; what was on its way fits into less than was published.
    let received = 0
    socket.on('data', chunk => {
      received += chunk.length
    })
    socket.on('error', () => {})
    socket.resume()
    await closed
    expect(received).toBeLessThan(150 * big.length)
  })

  it('is ended at its bound on a host without a socket', async () => {
    await start('fetch', { maxBufferedBytes: 1_000_000 })
    const response = await host.fetch('/event/a')
    await vi.waitFor(() => expect(context.backbone.subscriptions).toBe(1))
    for (let i = 0; i < 20; i++) await publish('a', big)
    await vi.waitFor(() => expect(context.backbone.subscriptions).toBe(0))
    await response.body?.cancel()
  })

  it.each(hostKinds)('gets everything when it reads again in time on %s', async kind => {
    await start(kind, { maxBufferedBytes: 100_000_000 })
    const response = await host.fetch('/event/a')
    await vi.waitFor(() => expect(context.backbone.subscriptions).toBe(1))
    for (let i = 0; i < 100; i++) await publish('a', `${i} ${big}`)
    const last = formatId(context.backbone.position)
    const decoder = new TextDecoder()
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      if (text.includes(`id: ${last}\n`) && text.endsWith('\n\n')) break
    }
    expect([...text.matchAll(/^data: (\d+) /gm)].map(match => Number(match[1]))).toEqual(
      Array.from({ length: 100 }, (_, i) => i),
    )
  })
})

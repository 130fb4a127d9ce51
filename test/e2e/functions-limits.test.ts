import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Backbone } from '#client'
import { PosternError } from '#protocol'
import { AddressList } from '../../functions/address-list.ts'
import { type ArrivalLimits, Arrivals } from '../../functions/arrivals.ts'
import { Tally } from '../../functions/tally.ts'
import { EventReader } from '../support/event-reader.ts'
import { socketHostKinds } from '../support/function-hosts.ts'
import { startSocketHost, told, v1 } from '../support/socket-host.ts'
import { frame, opcodes } from '../support/websocket-wire.ts'

const { text } = opcodes

/** A client behind a proxy that is believed. */
const from = (address: string, headers: Record<string, string> = {}) => ({
  ...headers,
  'x-forwarded-for': address,
})

const start = (
  kind: (typeof socketHostKinds)[number],
  limits: Record<string, string>,
  options: Parameters<typeof startSocketHost>[1] = {},
) => startSocketHost(kind, { trustProxy: 'loopback', limits, ...options })

const errorOf = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as { error: object }).error,
})

/** What a server says on a bare connection until it ends. */
async function heard(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', () => {})
  await once(socket, 'close')
  return Buffer.concat(chunks).toString()
}

function dial(url: string): Socket {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  return socket
}

const basic = (name: string) => ({ authorization: `Basic ${btoa(`${name}:secret`)}` })

const access = {
  rules: [{ who: ['*'], publish: ['**'], subscribe: ['**'], history: true }],
  users: { amy: 'secret', bob: 'secret' },
}

describe.each(socketHostKinds)('what one client may have on %s', kind => {
  it('is so many messages in two seconds for an address, by POST', async () => {
    const host = await start(kind, { POSTERN_PUBLISHES_PER_S: '1' })
    const post = (address: string) =>
      host.fetch('/message/a', { method: 'POST', body: 'x', headers: from(address) })
    const statuses = []
    for (let i = 0; i < 2; i++) statuses.push((await post('192.0.2.7')).status)
    const refused = await post('192.0.2.7')
    expect(statuses).toEqual([201, 201])
    expect(refused.headers.get('retry-after')).toMatch(/^[12]$/)
    expect(await errorOf(refused)).toMatchObject({
      status: 429,
      code: 'RATE_LIMITED',
      limit: 1,
      setting: 'POSTERN_PUBLISHES_PER_S',
      retryAfterMs: expect.any(Number),
    })
    expect((await post('192.0.2.8')).status).toBe(201)
    expect((await post('2001:db8::1')).status).toBe(201)
    expect((await post('2001:db8::2')).status).toBe(201)
    expect((await post('2001:db8::3')).status).toBe(429)
    expect((await host.fetch('/pub/a', { method: 'POST', headers: from('192.0.2.7') })).status).toBe(429)
    expect(host.context.tally.refused.limits).toMatchObject({ POSTERN_PUBLISHES_PER_S: 3 })
    expect((await host.context.backbone.history({ topics: ['a'], exact: true }, 9)).messages).toHaveLength(5)
  })

  it('is so many bytes, and something large is paid for afterwards', async () => {
    const host = await start(kind, { POSTERN_PUBLISHED_BYTES_PER_S: '100' })
    const post = (body: string) =>
      host.fetch('/message/a', { method: 'POST', body, headers: from('192.0.2.7') })
    expect((await post('x'.repeat(100_000))).status).toBe(201)
    const refused = await post('x')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(990)
    expect(await errorOf(refused)).toMatchObject({ setting: 'POSTERN_PUBLISHED_BYTES_PER_S', limit: 100 })
  })

  it('is nothing to a program on this machine, unless it is not clear whom it speaks for', async () => {
    const host = await start(kind, { POSTERN_PUBLISHES_PER_S: '1' })
    const post = (headers: Record<string, string>) =>
      host.fetch('/message/a', { method: 'POST', body: 'x', headers })
    for (let i = 0; i < 5; i++) expect((await post({})).status).toBe(201)
    const twofold = { 'x-forwarded-for': '192.0.2.7', forwarded: 'for=127.0.0.1' }
    const statuses = []
    for (let i = 0; i < 3; i++) statuses.push((await post(twofold)).status)
    expect(statuses).toEqual([201, 201, 429])
  })

  it('is counted for users too, wherever they come from', async () => {
    const host = await start(kind, { POSTERN_PUBLISHES_PER_S: '1' }, { access })
    const post = (name: string, address: string) =>
      host.fetch('/message/a', { method: 'POST', body: 'x', headers: from(address, basic(name)) })
    expect((await post('amy', '192.0.2.1')).status).toBe(201)
    expect((await post('amy', '192.0.2.2')).status).toBe(201)
    expect((await post('amy', '192.0.2.3')).status).toBe(429)
    expect((await post('bob', '192.0.2.3')).status).toBe(201)
  })

  it('is told by WebSocket: as an answer with receipts, as a reason without', async () => {
    const host = await start(kind, { POSTERN_PUBLISHES_PER_S: '1' })
    const one = await host.open('/pub/a', { headers: { ...v1.headers, ...from('192.0.2.7') } })
    one.send(frame(text, '1'), frame(text, '2'), frame(text, '3'))
    await told(one, 3)
    expect(one.payloads.map(payload => JSON.parse(payload.toString()).error?.setting)).toEqual([
      undefined,
      undefined,
      'POSTERN_PUBLISHES_PER_S',
    ])
    const other = await host.open('/bus/a', { headers: from('192.0.2.8') })
    other.send(frame(text, '1'), frame(text, '2'), frame(text, '3'))
    expect((await other.over()).at(-1)).toBe('close 1013 RATE_LIMITED POSTERN_PUBLISHES_PER_S')
  })

  it('is so many streams, WebSockets and requests that wait for an address and a user', async () => {
    const limits = { POSTERN_MAX_ADDRESS_CONNECTIONS: '2', POSTERN_MAX_IDENTITY_CONNECTIONS: '1' }
    const host = await start(kind, limits, { access })
    const stream = new AbortController()
    const { signal } = stream
    const headers = from('192.0.2.7')
    expect((await host.fetch('/event/a', { headers, signal })).status).toBe(200)
    const socket = await host.open('/sub/a', { headers })
    for (const path of ['/event/a', '/receive/a?waitMs=100']) {
      const refused = await host.fetch(path, { headers })
      expect(refused.headers.get('retry-after')).toBe('1')
      expect(await errorOf(refused)).toMatchObject({
        status: 503,
        code: 'TOO_MANY_CONNECTIONS',
        limit: 2,
        setting: 'POSTERN_MAX_ADDRESS_CONNECTIONS',
      })
    }
    expect((await host.asked('/sub/a', { headers })).status).toBe(503)
    expect((await host.fetch('/event/a', { headers: from('192.0.2.8', basic('amy')), signal })).status).toBe(
      200,
    )
    expect(
      await errorOf(await host.fetch('/event/a', { headers: from('192.0.2.9', basic('amy')) })),
    ).toMatchObject({
      setting: 'POSTERN_MAX_IDENTITY_CONNECTIONS',
    })
    stream.abort()
    socket.socket.destroy()
    await host.allGone()
    const again = await host.open('/sub/a', { headers: from('192.0.2.7', basic('amy')) })
    expect(again.told).toEqual([])
  })

  it('is no more of them when many come at once, whom the broker is asked about', async () => {
    const host = await start(kind, { POSTERN_MAX_IDENTITY_CONNECTIONS: '1' }, { access })
    const { backbone, gate } = host.context
    const { authorize } = backbone
    const enter = gate.enter.bind(gate)
    const twoOf = (ends: readonly Promise<unknown>[]) => {
      const { promise, resolve } = Promise.withResolvers<void>()
      let over = 0
      for (const end of ends) end.then(() => ++over === 2 && resolve())
      return promise
    }
    /** Nobody is told anything before there are three. */
    const meet = () => {
      const all = Promise.withResolvers<void>()
      let there = 0
      const counted: typeof enter = (...who) => {
        if (++there === 3) all.resolve()
        return enter(...who)
      }
      const held: Backbone['authorize'] = async credential => {
        await all.promise
        return authorize.call(backbone, credential)
      }
      Object.assign(gate, { enter: counted })
      Object.assign(backbone, { authorize: held })
    }
    meet()
    const streams = await Promise.all(
      ['192.0.2.7', '192.0.2.8', '192.0.2.9'].map(address =>
        EventReader.open(init => host.fetch('/event/a', init), from(address, basic('amy'))),
      ),
    )
    await twoOf(streams.map(stream => stream.ended()))
    const over = streams.filter(({ hasEnded }) => hasEnded).map(({ text }) => text)
    expect(over).toEqual(over.map(() => expect.stringContaining(': TOO_MANY_CONNECTIONS: ')))
    expect(over).toHaveLength(2)
    meet()
    const sockets = await Promise.all(
      ['192.0.2.7', '192.0.2.8', '192.0.2.9'].map(address =>
        host.open('/sub/a', { headers: from(address, basic('bob')) }),
      ),
    )
    const ends = sockets.map(socket => socket.over())
    await twoOf(ends)
    const told = sockets.map(socket => socket.told.at(-1))
    expect(told.toSorted()).toEqual([
      'close 1013 TOO_MANY_CONNECTIONS',
      'close 1013 TOO_MANY_CONNECTIONS',
      undefined,
    ])
    await Promise.all(streams.map(stream => stream.close()))
  })

  it('is counted for its own address where logins fail', async () => {
    const host = await start(kind, {}, { access })
    const { backbone } = host.context
    const addresses: string[] = []
    const { authorize } = backbone
    const spied: Backbone['authorize'] = (credential, address) => {
      addresses.push(address)
      return authorize.call(backbone, credential)
    }
    Object.assign(backbone, { authorize: spied })
    for (const address of ['192.0.2.7', '2001:db8::1']) {
      const headers = from(`198.51.100.9, ${address}`, { authorization: `Basic ${btoa(`amy:${address}`)}` })
      expect((await host.fetch('/history/a', { headers })).status).toBe(401)
    }
    expect(addresses).toEqual(['192.0.2.7', '2001:db8::1'])
  })

  it('is so many topics on one connection', async () => {
    const host = await start(kind, { POSTERN_MAX_TOPICS: '2' })
    for (const path of ['/event/a?topic=b&topic=c', '/history/a?topic=b&topic=c'])
      expect(await errorOf(await host.fetch(path))).toMatchObject({
        status: 400,
        code: 'TOO_MANY_TOPICS',
        limit: 2,
        setting: 'POSTERN_MAX_TOPICS',
      })
    expect((await host.asked('/sub/a?topic=b&topic=c')).status).toBe(400)
    expect((await host.fetch('/history/a?topic=b&topic=a')).status).toBe(200)
  })

  it('is an address and a head of so many bytes', async () => {
    const host = await start(kind, { POSTERN_MAX_URL_BYTES: '100', POSTERN_MAX_HEAD_BYTES: '2048' })
    expect(await errorOf(await host.fetch(`/history/${'a'.repeat(100)}`))).toMatchObject({
      status: 414,
      code: 'URL_TOO_LONG',
      setting: 'POSTERN_MAX_URL_BYTES',
    })
    expect((await host.fetch('/history/a', { headers: { x: 'x'.repeat(1000) } })).status).toBe(200)
    const socket = dial(host.url)
    socket.write(`GET /history/a HTTP/1.1\r\nhost: a\r\nx: ${'x'.repeat(3000)}\r\n\r\n`)
    const answer = await heard(socket)
    expect(answer).toMatch(/^HTTP\/1\.1 431 /)
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '').error).toMatchObject({
      code: 'HEAD_TOO_LARGE',
      limit: 2048,
      setting: 'POSTERN_MAX_HEAD_BYTES',
    })
    expect(host.context.tally.refused.limits).toMatchObject({
      POSTERN_MAX_URL_BYTES: 1,
      POSTERN_MAX_HEAD_BYTES: 1,
    })
  })

  it('is so much time for a body', async () => {
    const host = await start(kind, { POSTERN_BODY_MS: '500' })
    const socket = dial(host.url)
    socket.write('POST /message/a HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc')
    const dripping = setInterval(() => socket.writable && socket.write('d'), 200)
    onTestFinished(() => clearInterval(dripping))
    const answer = await heard(socket)
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
    expect(answer).toContain('"setting":"POSTERN_BODY_MS"')
    expect((await host.context.backbone.history({ topics: ['a'], exact: true }, 9)).messages).toEqual([])
  })
})

describe('arrivals', () => {
  /** A server that answers every request, at which everybody comes from an address of documentation. */
  async function arrive(limits: Partial<ArrivalLimits>, trustProxy = 'off', address = '192.0.2.7') {
    const { refused } = new Tally()
    const server = createServer((_, res) => res.end('answered'))
    new Arrivals(server, {
      headMs: 60_000,
      bodyMs: 60_000,
      maxHeadBytes: 16_384,
      maxConnections: 100,
      perAddress: 0,
      trustProxy: new AddressList(trustProxy),
      refused,
      ...limits,
    })
    server.prependListener('connection', (socket: Socket) =>
      Object.defineProperty(socket, 'remoteAddress', { value: address }),
    )
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.close()
      server.closeAllConnections()
    })
    const at = server.address()
    const url = `http://127.0.0.1:${at && typeof at === 'object' ? at.port : 0}`
    const silent = async () => {
      const arrived = once(server, 'connection')
      const socket = dial(url).on('error', () => {})
      await arrived
      return socket
    }
    const asking = async () => {
      const socket = await silent()
      socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
      const [answer] = await once(socket, 'data')
      return { socket, status: Number(/^HTTP\/1\.1 (\d+)/.exec(String(answer))?.[1]), answer: String(answer) }
    }
    return { silent, asking, refused }
  }

  it('are refused beyond the limit of an address before anything is carried out', async () => {
    const { asking, refused } = await arrive({ perAddress: 2 })
    const first = await asking()
    expect([first.status, (await asking()).status]).toEqual([200, 200])
    const third = await asking()
    expect(third.answer).toContain('"setting":"POSTERN_MAX_ADDRESS_CONNECTIONS"')
    expect(third.status).toBe(503)
    expect(refused.limits).toMatchObject({ POSTERN_MAX_ADDRESS_CONNECTIONS: 1 })
    first.socket.destroy()
    while ((await asking()).status !== 200) await delay(10)
  })

  it.each([
    ['a proxy that is believed', '192.0.2.0/24', '192.0.2.7'],
    ['this machine', 'off', '127.0.0.1'],
  ])('from %s are not counted as those of one address', async (_, trustProxy, address) => {
    const { asking } = await arrive({ perAddress: 1 }, trustProxy, address)
    expect([(await asking()).status, (await asking()).status]).toEqual([200, 200])
  })

  it('beyond the limit of the process take the place of the oldest that says nothing', async () => {
    const { asking, silent, refused } = await arrive({ maxConnections: 2 })
    const quiet = await silent()
    const gone = new Promise(resolve => quiet.on('close', resolve))
    expect([(await asking()).status, (await asking()).status]).toEqual([200, 200])
    await gone
    const third = await asking()
    expect(third.status).toBe(503)
    expect(third.answer).toContain('"setting":"POSTERN_MAX_CONNECTIONS"')
    expect(refused.limits).toMatchObject({ POSTERN_MAX_CONNECTIONS: 1 })
  })

  it('that have opened a stream still count, until it ends', async () => {
    const host = await startSocketHost('node', { limits: { POSTERN_MAX_CONNECTIONS: '1' } })
    const stream = dial(host.url)
    stream.write('GET /event/a HTTP/1.1\r\nhost: a\r\n\r\n')
    await once(stream, 'data')
    // The socket of a stream is taken from HTTP in the next turn.
    await delay(10)
    expect(await heard(dial(host.url))).toMatch(/^HTTP\/1\.1 503 /)
    stream.destroy()
    await host.allGone()
    while (!(await host.fetch('/health/live').catch(() => undefined))?.ok) await delay(10)
  })
})

it('a limit that is hit is a number that grows', () => {
  const { refused } = new Tally()
  expect(refused.limits).toMatchObject({ POSTERN_MAX_TOPICS: 0, POSTERN_BODY_MS: 0 })
  refused.add(new PosternError('TOO_MANY_TOPICS', undefined, { limit: 2, setting: 'POSTERN_MAX_TOPICS' }))
  expect(refused.limits).toMatchObject({ POSTERN_MAX_TOPICS: 1 })
})

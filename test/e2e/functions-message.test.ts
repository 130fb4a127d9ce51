import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { PosternError } from '#protocol'
import {
  hostKinds,
  socketHostKinds,
  startHost,
  type TestContext,
  type TestHost,
  testContext,
} from '../support/function-hosts.ts'

let host: TestHost
let context: TestContext

afterEach(() => host.close())

const start = async (kind: (typeof hostKinds)[number], options = {}) => {
  context = testContext(options)
  host = await startHost(kind, context)
}

const post = (path: string, body: BodyInit = 'hi', headers: Record<string, string> = {}) =>
  host.fetch(path, { method: 'POST', body, headers })

const published = async () => {
  const { messages } = await context.backbone.history(
    { topics: ['chat', 'a', 'q', 'ü', 'broadcast'], exact: false },
    100,
  )
  return messages
}

const latest = async () => (await published()).at(-1)

const errorOf = async (response: Response) => ({
  status: response.status,
  ...(
    (await response.json()) as { error: { code: string; message: string; limit?: number; setting?: string } }
  ).error,
})

describe.each(hostKinds)('POST /message on %s', kind => {
  it('publishes the body on the topic of its path and answers with its id', async () => {
    await start(kind)
    const response = await post('/message/a/b', 'hi')
    expect(response.status).toBe(201)
    expect(response.headers.get('content-type')).toBe('application/json')
    const message = await latest()
    expect(await response.json()).toEqual({ id: message?.id, topic: 'a/b' })
    expect(message).toMatchObject({ topic: 'a/b', type: '', binary: false })
    expect(Buffer.from(message?.payload ?? []).toString()).toBe('hi')
  })

  it.each(['/message', '/message/'])('publishes on the default topic when it names none: %s', async path => {
    await start(kind)
    const response = await post(path)
    expect(await response.json()).toMatchObject({ topic: 'chat' })
  })

  it.each([
    ['/message/q%2Fr', 'q/r'],
    ['/message/a/', 'a'],
    ['/message/a?topic=b', 'a'],
    ['/message/a%20b.c', 'a b.c'],
    ['/message/a+b', 'a+b'],
    ['/message/%C3%BC', 'ü'],
    ['/message/%61', 'a'],
    ['/message/a%252F', 'a%2F'],
    ['/message/a%3Fb%23c', 'a?b#c'],
    ['/message/broadcast/x', 'broadcast/x'],
  ])('%s is the topic %j', async (path, topic) => {
    await start(kind)
    expect(await (await post(path)).json()).toMatchObject({ topic })
  })

  it.each([
    ['/message/%ff', 'INVALID_TOPIC'],
    ['/message/%zz', 'INVALID_TOPIC'],
    ['/message/100%', 'INVALID_TOPIC'],
    ['/message/%ed%a0%80', 'INVALID_TOPIC'],
    ['/message//a', 'INVALID_TOPIC'],
    ['/message/a//b', 'INVALID_TOPIC'],
    ['/message/a%2F..%2Fb', 'INVALID_TOPIC'],
    ['/message/a%0Ab', 'INVALID_TOPIC'],
    ['/message/a%0Db', 'INVALID_TOPIC'],
    ['/message/a%00b', 'INVALID_TOPIC'],
    [`/message/${'x'.repeat(256)}`, 'INVALID_TOPIC'],
    ['/message/$probe', 'RESERVED_TOPIC'],
    ['/message/%24probe', 'RESERVED_TOPIC'],
    ['/message/broadcast%2F', 'RESERVED_TOPIC'],
    ['/message/a?type=a%0Ab', 'INVALID_TYPE'],
    ['/message/a?type=a%0Db', 'INVALID_TYPE'],
    ['/message/a?type=a%00b', 'INVALID_TYPE'],
    ['/message/a?type=a;b', 'INVALID_TYPE'],
    ['/message/a?type=gap', 'INVALID_TYPE'],
    ['/message/a?type=%ff', 'INVALID_REQUEST'],
    ['/message/a?type=a&type=b', 'INVALID_REQUEST'],
  ])('%s is refused: %s', async (path, code) => {
    await start(kind)
    const error = await errorOf(await post(path))
    expect(error).toMatchObject({ status: 400, code })
    expect(error.message).not.toBe('')
    expect(await published()).toEqual([])
  })

  it('?type= sets the type', async () => {
    await start(kind)
    await post('/message/a?type=caf%C3%A9+x')
    expect(await latest()).toMatchObject({ type: 'café x' })
  })

  it('an empty body is a message', async () => {
    await start(kind)
    const response = await host.fetch('/message/a', { method: 'POST' })
    expect(response.status).toBe(201)
    expect((await latest())?.payload.length).toBe(0)
  })

  it('the payload is the body, byte for byte', async () => {
    await start(kind)
    const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251)
    await post('/message/a', bytes)
    expect(Buffer.from((await latest())?.payload ?? []).equals(bytes)).toBe(true)
  })

  it.each([
    ['application/octet-stream', 'text', true],
    ['image/png', 'text', true],
    ['application/CBOR; x=y', 'text', true],
    ['text/plain', 'text', false],
    ['application/json', '{}', false],
    ['application/x-www-form-urlencoded', 'a=b', false],
    ['text/plain', Uint8Array.of(0xff), true],
    ['', Uint8Array.of(0xc3, 0xbc), false],
    ['', Uint8Array.of(0xc3), true],
  ])('of Content-Type %j the body %j is binary: %j', async (type, body, binary) => {
    await start(kind)
    await post('/message/a', body, type ? { 'content-type': type } : {})
    expect(await latest()).toMatchObject({ binary })
  })

  it('a repeat with the same Idempotency-Key gets the first id, another payload a conflict', async () => {
    await start(kind)
    const key = { 'idempotency-key': 'k-1' }
    const first = await (await post('/message/a', 'x', key)).json()
    expect(await (await post('/message/a', 'x', key)).json()).toEqual(first)
    expect(await errorOf(await post('/message/a', 'y', key))).toMatchObject({
      status: 409,
      code: 'KEY_CONFLICT',
    })
    expect((await published()).length).toBe(1)
  })

  it.each(['', 'with space', 'ümlaut', 'x'.repeat(256)])('the Idempotency-Key %j is refused', async key => {
    await start(kind)
    const error = await errorOf(await post('/message/a', 'x', { 'idempotency-key': key }))
    expect(error).toMatchObject({ status: 400, code: 'INVALID_KEY' })
  })

  it('a body larger than the limit is refused with the limit and its setting', async () => {
    await start(kind, { maxPayloadBytes: 1000 })
    expect((await post('/message/a', 'x'.repeat(1000))).status).toBe(201)
    expect(await errorOf(await post('/message/a', 'x'.repeat(1001)))).toMatchObject({
      status: 413,
      code: 'PAYLOAD_TOO_LARGE',
      limit: 1000,
      setting: 'maxPayloadBytes',
    })
  })

  it('a body without a length is read no further than the limit', async () => {
    await start(kind, { maxPayloadBytes: 1000 })
    let pulled = 0
    const endless = new ReadableStream({
      pull(controller) {
        pulled++
        controller.enqueue(new Uint8Array(64 * 1024))
      },
    })
    const init: RequestInit & { duplex: 'half' } = { method: 'POST', body: endless, duplex: 'half' }
    expect(await errorOf(await host.fetch('/message/a', init))).toMatchObject({ status: 413 })
    expect(pulled).toBeLessThan(1000)
  })

  it('without a broker the answer is 503 and says when to come again', async () => {
    await start(kind)
    context.backbone.goAway()
    const response = await post('/message/a')
    expect(response.headers.get('retry-after')).toBe('1')
    expect(await errorOf(response)).toMatchObject({ status: 503, code: 'BROKER_UNAVAILABLE' })
  })

  it.each(['/message', '/message/a'])('without a broker that was ever reached, too: %s', async path => {
    await start(kind, { reached: false })
    expect(await errorOf(await post(path))).toMatchObject({ status: 503, code: 'BROKER_UNAVAILABLE' })
  })

  it('an unknown outcome is 504', async () => {
    await start(kind)
    context.backbone.publish = () => Promise.reject(new PosternError('RECEIPT_UNKNOWN'))
    expect(await errorOf(await post('/message/a'))).toMatchObject({ status: 504, code: 'RECEIPT_UNKNOWN' })
  })

  it('what goes wrong inside is logged and not told', async () => {
    await start(kind)
    context.backbone.publish = () => Promise.reject(new Error('secret'))
    const response = await post('/message/a')
    expect(response.status).toBe(500)
    expect(await response.text()).not.toContain('secret')
    const client = kind === 'fetch' ? undefined : expect.stringMatching(/^(127\.0\.0\.1|::1)$/)
    expect(context.logged).toMatchObject([
      { level: 'error', fields: { error: 'secret', path: '/message/a', client } },
    ])
  })

  it.each(['GET', 'PUT', 'DELETE', 'HEAD', 'OPTIONS'])('%s is no method of it', async method => {
    await start(kind)
    for (const path of ['/message', '/message/a', '/message/broadcast']) {
      const response = await host.fetch(path, { method })
      expect(response.status).toBe(405)
      expect(response.headers.get('allow')).toBe('POST')
      if (method !== 'HEAD') expect(await errorOf(response)).toMatchObject({ code: 'METHOD_NOT_ALLOWED' })
    }
  })

  it.each(['/messages', '/nothing', '/%zz', '/event2'])('%s is nothing', async path => {
    await start(kind)
    expect(await errorOf(await post(path))).toMatchObject({ status: 404, code: 'NOT_FOUND' })
  })
})

describe.each(socketHostKinds)('a request by hand on %s', kind => {
  /** Sends bytes as they are and gives everything that comes back until the other side closes. */
  const exchange = (...parts: (string | Uint8Array)[]): Promise<string> => {
    const { port, hostname } = new URL(host.url)
    const socket = connect(Number(port), hostname)
    for (const part of parts) socket.write(part)
    return new Promise((resolve, reject) => {
      let answer = ''
      socket.on('data', chunk => {
        answer += chunk
      })
      socket.on('error', reject)
      socket.on('close', () => resolve(answer))
    })
  }

  it('with a Content-Length beyond the limit is refused before its body comes', async () => {
    await start(kind, { maxPayloadBytes: 1000 })
    const answer = await exchange('POST /message/a HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n')
    expect(answer).toContain('PAYLOAD_TOO_LARGE')
  })

  it('without a Content-Length is refused and cut off when it sends more than the limit', async () => {
    await start(kind, { maxPayloadBytes: 1000 })
    const head = 'POST /message/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
    const answer = await exchange(head, `800\r\n${'x'.repeat(0x800)}\r\n`)
    expect(answer).toContain('PAYLOAD_TOO_LARGE')
  })

  it('that breaks off publishes nothing', async () => {
    await start(kind)
    const { port, hostname } = new URL(host.url)
    const socket = connect(Number(port), hostname)
    socket.write('POST /message/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf', () => socket.end())
    await new Promise(resolve => socket.on('close', resolve).resume())
    expect((await post('/message/a', 'whole')).status).toBe(201)
    expect((await published()).length).toBe(1)
    expect(context.logged).toEqual([])
  })
})

import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  socketHostKinds,
  startHost,
  type TestContext,
  type TestContextOptions,
  type TestHost,
  testContext,
} from '../support/function-hosts.ts'
import { closing, frame, handshake, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const { text, binary, close, ping, pong } = opcodes
const v1 = { headers: { 'Sec-WebSocket-Protocol': 'postern.v1' } }

let host: TestHost
let context: TestContext

const publish = (topic: string, payload: string | Uint8Array, isBinary = false) =>
  context.backbone.publish({ topic, type: '', binary: isBinary, payload: Buffer.from(payload) })

describe.each(socketHostKinds)('the socket routes on %s', kind => {
  const start = async (options: TestContextOptions = {}) => {
    context = testContext(options)
    host = await startHost(kind, context)
    onTestFinished(() => host.close())
  }
  const open = (path: string, options: Parameters<typeof WebsocketWire.open>[1] = {}) =>
    WebsocketWire.open(`${host.url}${path}`, options)
  const asked = async (path: string, options: Parameters<typeof handshake>[1] = {}) => {
    const wire = new WebsocketWire(`${host.url}${path}`)
    wire.send(handshake(`${host.url}${path}`, options))
    const answer = await wire.answer()
    await wire.over()
    return { ...answer, body: wire.body }
  }
  const allGone = async () => {
    while (context.backbone.subscriptions > 0 || context.sockets.size > 0)
      await new Promise(resolve => setImmediate(resolve))
  }
  const told = (wire: WebsocketWire, count: number) =>
    wire.until(() => wire.told.length >= count && wire.told, `${count} frames`)

  describe('what is not there', () => {
    it.each([
      '/sub',
      '/sub/',
      '/pub',
      '/pub/',
      '/bus',
      '/bus/',
      '/none',
      '/',
      '/event/a',
      '/echo',
      '/message/a',
    ])('a WebSocket to %s is 404', async path => {
      await start()
      expect((await asked(path)).status).toBe(404)
    })

    it.each([
      ['GET', '/sub/a'],
      ['HEAD', '/sub/a'],
      ['GET', '/sub'],
      ['GET', '/sub/'],
      ['POST', '/sub/a'],
      ['GET', '/pub/a'],
      ['PUT', '/pub/a'],
      ['POST', '/pub'],
      ['POST', '/pub/'],
      ['GET', '/bus/a'],
      ['POST', '/bus/'],
      ['GET', '/echo'],
    ])('%s %s is 404', async (method, path) => {
      await start()
      expect((await host.fetch(path, { method })).status).toBe(404)
    })

    it.each([
      '/sub/$bus/a',
      '/sub/a//b',
      '/pub/%FF',
      '/bus/$push/a',
      '/sub/a?exact=2',
      '/sub/a?topic=$bus/a',
    ])('what cannot be understood is 400: %s', async path => {
      await start()
      const { status, body } = await asked(path)
      expect(status).toBe(400)
      expect(JSON.parse(body)).toHaveProperty('error.code')
    })
  })

  describe('pages', () => {
    const from = (origin: string | undefined) => ({ headers: { Origin: origin } })

    it('are let in by default when they are of the host that is asked, or when it is no page', async () => {
      await start()
      await open('/sub/a', from(host.url))
      await open('/sub/a')
      expect(await asked('/sub/a', from('http://evil.example'))).toMatchObject({
        status: 401,
        body: 'Origin check failed',
      })
      expect((await asked('/sub/a', from('null'))).status).toBe(401)
    })

    it('are let in when they are listed, and by nothing else', async () => {
      await start({ allowOrigins: ['example.com', '*.example.com'] })
      await open('/sub/a', from('https://example.com'))
      await open('/bus/a', from('https://a.example.com'))
      for (const origin of ['https://badexample.com', 'https://example.com.evil.org', host.url, undefined])
        expect(await asked('/pub/a', from(origin))).toMatchObject({
          status: 401,
          body: 'Origin check failed',
        })
    })

    it('are let in or not by POST too, and what is refused is not published', async () => {
      await start({ allowOrigins: ['example.com'] })
      const post = (path: string, headers: Record<string, string> = {}) =>
        host.fetch(path, { method: 'POST', body: 'x', headers })
      for (const path of ['/pub/a', '/bus/a']) {
        const refused = [await post(path), await post(path, { origin: 'https://badexample.com' })]
        expect(refused.map(({ status }) => status)).toEqual([401, 401])
        expect(await refused[0]?.text()).toBe('Origin check failed')
        expect(context.backbone.position.offset).toBe(0)
      }
      expect((await post('/pub/a', { origin: 'https://example.com' })).status).toBe(200)
    })

    it('are all let in in development mode', async () => {
      await start({ mode: 'development' })
      await open('/sub/a', from('http://any.example'))
    })
  })

  describe('/sub', () => {
    it('sends bare payloads: text as text, binary as binary, empty ones too', async () => {
      await start()
      const wire = await open('/sub/a')
      await publish('a', 'κόσμε')
      await publish('a/b', Buffer.of(0, 255), true)
      await publish('a', '')
      expect(await told(wire, 3)).toEqual(['text κόσμε', 'binary 00ff', 'text '])
    })

    it.each(['?envelope=1', ''])('sends envelopes: %s', async query => {
      await start()
      const wire = await open(`/sub/a${query}`, query ? {} : v1)
      const { id } = await publish('a/b', 'x')
      await publish('a', Buffer.of(255), true)
      await told(wire, 2)
      const [first, second] = wire.payloads.map(payload => JSON.parse(payload.toString()))
      expect(first).toEqual({ id, topic: 'a/b', type: '', time: expect.any(String), data: 'x' })
      expect(second).toMatchObject({ topic: 'a', data: '/w==', encoding: 'base64' })
    })

    it('says that it speaks postern.v1 only where that is offered', async () => {
      await start()
      for (const offered of ['postern.v1', 'other, postern.v1', 'other', undefined]) {
        const wire = new WebsocketWire(`${host.url}/sub/a`)
        wire.send(handshake(`${host.url}/sub/a`, { headers: { 'Sec-WebSocket-Protocol': offered } }))
        const { headers } = await wire.answer()
        const isOffered = offered?.includes('postern')
        expect(headers.get('sec-websocket-protocol')).toBe(isOffered ? 'postern.v1' : undefined)
      }
    })

    it('begins with the last N of all its topics, or after an id, and goes on live', async () => {
      await start()
      const ids = []
      for (const topic of ['a', 'b', 'c', 'a']) ids.push((await publish(topic, topic)).id)
      const last = await open('/sub/a?topic=b&history=2')
      const since = await open(`/sub/a?topic=c&history=1&lastEventId=${ids[0]}`)
      const exact = await open('/sub/a?exact=1')
      await publish('a/x', 'below')
      await publish('a', 'live')
      expect(await told(last, 4)).toEqual(['text b', 'text a', 'text below', 'text live'])
      expect(await told(since, 4)).toEqual(['text c', 'text a', 'text below', 'text live'])
      expect(await told(exact, 1)).toEqual(['text live'])
    })

    it('tells of a gap in envelopes, and closes where it cannot tell', async () => {
      await start({ maxRetainedMessages: 1 })
      const { id } = await publish('a', 'seen')
      for (const payload of ['missed', 'kept']) await publish('a', payload)
      const enveloped = await open(`/sub/a?envelope=1&lastEventId=${id}`)
      await told(enveloped, 2)
      const [gap, kept] = enveloped.payloads.map(payload => JSON.parse(payload.toString()))
      expect(gap).toEqual({ id: expect.any(String), type: 'gap' })
      expect(kept).toMatchObject({ data: 'kept' })
      const bare = await open(`/sub/a?lastEventId=${id}`)
      expect(await bare.closed()).toBe(4000)
      expect(bare.told).toEqual(['close 4000 gap'])
    })

    it('ignores what a subscriber sends', async () => {
      await start()
      const wire = await open('/sub/a')
      wire.send(frame(text, 'ignored'), frame(ping, 'p'))
      await told(wire, 1)
      await publish('a', 'x')
      expect(await told(wire, 2)).toEqual(['pong p', 'text x'])
      expect(context.backbone.position.offset).toBe(1)
    })

    it('disconnects a subscriber that does not read, which others do not notice', async () => {
      await start({ maxBufferedBytes: 1024 * 1024 })
      const slow = await open('/sub/a')
      const other = await open('/sub/a')
      slow.socket.pause()
      const payload = Buffer.alloc(100_000)
      let published = 0
      while (context.backbone.subscriptions === 2) {
        await publish('a', payload, true)
        published++
        await other.until(() => other.frames.length === published)
      }
      slow.socket.resume()
      await slow.over()
      expect(slow.frames.length).toBeLessThan(published)
    })

    it('lets go of a subscriber that has gone, however it went', async () => {
      await start()
      const [polite, rude, gone] = [await open('/sub/a'), await open('/sub/a'), await open('/sub/b')]
      expect(context.backbone.subscriptions).toBe(3)
      polite.send(frame(close, closing(1000)))
      rude.socket.destroy()
      gone.socket.end()
      await polite.over()
      await allGone()
    })
  })

  describe('/pub', () => {
    it('publishes each frame, text as text, binary as binary, in order, and answers nothing', async () => {
      await start()
      const sub = await open('/sub/a')
      const pub = await open('/pub/a')
      pub.send(frame(text, 'é'), frame(binary, Buffer.of(255)), frame(text, ''), frame(close, closing(3000)))
      expect(await told(sub, 3)).toEqual(['text é', 'binary ff', 'text '])
      expect(await pub.over()).toEqual(['close 3000'])
    })

    it('answers each frame with its receipt or its error, in order, with postern.v1', async () => {
      await start()
      const pub = await open('/pub/a%2Fb', v1)
      pub.send(frame(text, '1'), frame(text, '2'))
      await told(pub, 2)
      context.backbone.goAway()
      pub.send(frame(text, '3'))
      await told(pub, 3)
      context.backbone.comeBack()
      pub.send(frame(text, '4'), frame(close, closing(1000)))
      expect((await pub.over()).at(-1)).toBe('close 1000')
      const id = (offset: number) => `${context.backbone.epoch}-${offset}`
      expect(pub.payloads.map(payload => JSON.parse(payload.toString()))).toEqual([
        { id: id(1), topic: 'a/b' },
        { id: id(2), topic: 'a/b' },
        { error: expect.objectContaining({ code: 'BROKER_UNAVAILABLE' }) },
        { id: id(3), topic: 'a/b' },
      ])
    })

    it('closes instead of losing a message silently', async () => {
      await start()
      context.backbone.goAway()
      const pub = await open('/pub/a')
      pub.send(frame(text, 'x'))
      await pub.closed()
      expect(await pub.over()).toEqual(['close 1013 BROKER_UNAVAILABLE'])
    })

    it('answers a close after everything before it has its place', async () => {
      await start()
      const receipt = Promise.withResolvers<{ id: string }>()
      const { backbone } = context
      backbone.publish = () => receipt.promise
      const pub = await open('/pub/a')
      pub.send(frame(text, 'x'), frame(ping, 'before'), frame(close, closing(1000)))
      await told(pub, 1)
      expect(pub.told).toEqual(['pong before'])
      receipt.resolve({ id: 'x-1' })
      expect(await pub.over()).toEqual(['pong before', 'close 1000'])
    })

    it.each([
      { count: 60, bytes: 200_000, atMost: 2 },
      { count: 3000, bytes: 1, atMost: 256 },
    ])(
      'stops reading while too much waits for its receipts: of $count of $bytes bytes $atMost',
      async sizes => {
        const { count, bytes, atMost } = sizes
        await start()
        const waiting: (() => void)[] = []
        let published = 0
        let isOver = atMost
        context.backbone.publish = ({ payload }) => {
          if (payload[0] !== ++published % 256) throw new Error('out of order')
          return new Promise(resolve => {
            waiting.push(() => resolve({ id: 'x-1' }))
            if (waiting.length > atMost) isOver = waiting.length
            // Nothing more may come before these are answered: whoever reads on does so within some turns.
            if (waiting.length === atMost) answerLater(10)
          })
        }
        const answerLater = (turns: number) => {
          setImmediate(() => {
            if (turns > 0) return answerLater(turns - 1)
            for (const answer of waiting.splice(0)) answer()
          })
        }
        const pub = await open('/pub/a')
        const frames = Array.from({ length: count }, (_, i) =>
          frame(binary, Buffer.alloc(bytes, (i + 1) % 256)),
        )
        pub.send(Buffer.concat(frames))
        while (published < count - (count % atMost)) await new Promise(resolve => setImmediate(resolve))
        expect(isOver).toBe(atMost)
      },
    )

    it('takes the largest payload of the broker, and closes one byte above', async () => {
      await start()
      const sub = await open('/sub/a')
      const pub = await open('/pub/a')
      pub.send(frame(text, 'x'.repeat(262_144)))
      await sub.until(() => sub.payloads[0]?.length === 262_144)
      pub.send(frame(text, 'x'.repeat(262_145)))
      expect(await pub.closed()).toBe(1009)
      sub.send(frame(text, '', { claims: 262_145n }))
      expect(await sub.closed()).toBe(1009)
    })

    it('by POST takes the bytes as they are, and answers 200 with nothing', async () => {
      await start()
      const sub = await open('/sub/q/r')
      const post = (path: string, body: BodyInit, type?: string) =>
        host.fetch(path, { method: 'POST', body, headers: type ? { 'content-type': type } : {} })
      const answer = await post('/pub/q%2Fr?x=1', 'é€😀')
      expect([answer.status, await answer.text()]).toEqual([200, ''])
      await post('/pub/q/r', Buffer.of(255, 0), 'application/octet-stream')
      await post('/pub/q/r', '')
      expect(await told(sub, 3)).toEqual(['text é€😀', 'binary ff00', 'text '])
      expect((await post('/pub/a', 'x'.repeat(262_145))).status).toBe(413)
      context.backbone.goAway()
      expect((await post('/pub/a', 'x')).status).toBe(503)
    })
  })

  describe('/bus', () => {
    it('lets every peer hear every other, and itself where it asks for it', async () => {
      await start()
      const [one, two, itself] = [await open('/bus/a'), await open('/bus/a'), await open('/bus/a?echo=1')]
      one.send(frame(text, 'one'))
      await Promise.all([told(two, 1), told(itself, 1)])
      itself.send(frame(binary, Buffer.of(255)))
      await host.fetch('/bus/a', { method: 'POST', body: 'post' })
      expect(await told(one, 2)).toEqual(['binary ff', 'text post'])
      expect(await told(two, 3)).toEqual(['text one', 'binary ff', 'text post'])
      expect(await told(itself, 3)).toEqual(['text one', 'binary ff', 'text post'])
    })

    it('is of exactly its topic, and of no other name space', async () => {
      await start()
      const [bus, below, sub] = [await open('/bus/a'), await open('/bus/a/b'), await open('/sub/a')]
      await host.fetch('/bus/a/b', { method: 'POST', body: 'below' })
      await host.fetch('/pub/a', { method: 'POST', body: 'sub' })
      await host.fetch('/bus/a', { method: 'POST', body: 'bus' })
      expect(await told(bus, 1)).toEqual(['text bus'])
      expect(await told(below, 1)).toEqual(['text below'])
      expect(await told(sub, 1)).toEqual(['text sub'])
      const history: unknown = await (await host.fetch('/history/a')).json()
      expect(history).toMatchObject({ messages: [{ data: 'sub' }] })
    })

    it('has envelopes and receipts with postern.v1, by the name that it has outside', async () => {
      await start()
      const [one, two] = [await open('/bus/a', v1), await open('/bus/a', v1)]
      one.send(frame(text, 'x'))
      await Promise.all([told(one, 1), told(two, 1)])
      const [receipt, message] = [one, two].map(wire => JSON.parse(wire.payloads[0]?.toString() ?? ''))
      expect(receipt).toEqual({ id: expect.any(String), topic: 'a' })
      expect(message).toMatchObject({ id: receipt.id, topic: 'a', type: '', data: 'x' })
    })
  })

  describe('a connection', () => {
    it.each([1000, 1001, 3000, 4999])('that is closed with %i hears the same code', async code => {
      await start()
      for (const path of ['/sub/a', '/pub/a', '/bus/a']) {
        const wire = await open(path)
        wire.send(frame(close, closing(code, 'bye')))
        expect(await wire.over()).toEqual([`close ${code}`])
      }
    })

    it('is pinged, and stays when it answers', async () => {
      await start({ pingMs: 500 })
      const wire = await open('/sub/a')
      for (let pings = 1; pings <= 3; pings++) {
        await wire.until(() => wire.frames.length === pings)
        wire.send(frame(pong))
      }
      await publish('a', 'x')
      expect(await told(wire, 4)).toEqual(['ping ', 'ping ', 'ping ', 'text x'])
    })

    it('is gone by the second ping when it does not answer the first', async () => {
      await start({ pingMs: 500 })
      const wire = await open('/sub/a')
      expect(await wire.over()).toEqual(['ping '])
      await allGone()
    })

    it('is closed when nothing comes or goes for the time that is set, pings aside', async () => {
      await start({ pingMs: 500, idleMs: 1000 })
      const wire = await open('/sub/a')
      for (let pings = 1; pings <= 2; pings++) {
        await wire.until(() => wire.frames.length === pings)
        wire.send(frame(pong))
      }
      await wire.closed()
      expect(await wire.over()).toEqual(['ping ', 'ping ', 'close 1000 idle'])
    })

    it('is closed with 1001 as the process stops, and a peer that does not answer is not waited for', async () => {
      await start()
      const [polite, deaf] = [await open('/sub/a'), await open('/pub/a')]
      deaf.socket.pause()
      const closed = host.close()
      expect(await polite.closed()).toBe(1001)
      expect(await polite.over()).toEqual(['close 1001 going away'])
      await closed
    })

    it('that never sends a whole handshake is cut off in the time that is set', async () => {
      await start({ headMs: 500 })
      const begun = new WebsocketWire(`${host.url}/sub/a`)
      begun.send(handshake(`${host.url}/sub/a`).slice(0, -2))
      const silent = connect(Number(new URL(host.url).port), '127.0.0.1')
      onTestFinished(() => void silent.destroy())
      const ended = new Promise(resolve => silent.on('close', resolve))
      silent.resume()
      const whole = await open('/sub/a')
      await Promise.all([begun.over(), ended])
      await publish('a', 'x')
      expect(await told(whole, 1)).toEqual(['text x'])
    })

    it('is not opened by an upgrade to something else, which is answered as if it were not asked for', async () => {
      await start()
      const { status } = await asked('/health/live', {
        headers: { Upgrade: 'h2c', Connection: 'Upgrade, close' },
      })
      expect(status).toBe(200)
    })
  })
})

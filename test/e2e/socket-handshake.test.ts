import { connect } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { socketHostKinds } from '../support/function-hosts.ts'
import { startSocketHost, told } from '../support/socket-host.ts'
import { frame, handshake, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

describe.each(socketHostKinds)('a handshake on %s', kind => {
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
      const host = await startSocketHost(kind)
      expect((await host.asked(path)).status).toBe(404)
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
      const host = await startSocketHost(kind)
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
      const host = await startSocketHost(kind)
      const { status, body } = await host.asked(path)
      expect(status).toBe(400)
      expect(JSON.parse(body)).toHaveProperty('error.code')
    })
  })

  describe('pages', () => {
    const from = (origin: string | undefined) => ({ headers: { Origin: origin } })

    it('are let in by default when they are of the host that is asked, or when it is no page', async () => {
      const host = await startSocketHost(kind)
      await host.open('/sub/a', from(host.url))
      await host.open('/sub/a')
      expect(await host.asked('/sub/a', from('http://evil.example'))).toMatchObject({
        status: 401,
        body: 'Origin check failed',
      })
      expect((await host.asked('/sub/a', from('null'))).status).toBe(401)
    })

    it('are let in when they are listed, and by nothing else', async () => {
      const host = await startSocketHost(kind, { allowOrigins: ['example.com', '*.example.com'] })
      await host.open('/sub/a', from('https://example.com'))
      await host.open('/bus/a', from('https://a.example.com'))
      for (const origin of ['https://badexample.com', 'https://example.com.evil.org', host.url, undefined])
        expect(await host.asked('/pub/a', from(origin))).toMatchObject({
          status: 401,
          body: 'Origin check failed',
        })
    })

    it('are let in or not by POST too, and what is refused is not published', async () => {
      const host = await startSocketHost(kind, { allowOrigins: ['example.com'] })
      const post = (path: string, headers: Record<string, string> = {}) =>
        host.fetch(path, { method: 'POST', body: 'x', headers })
      for (const path of ['/pub/a', '/bus/a']) {
        const refused = [await post(path), await post(path, { origin: 'https://badexample.com' })]
        expect(refused.map(({ status }) => status)).toEqual([401, 401])
        expect(await refused[0]?.text()).toBe('Origin check failed')
        expect(host.context.backbone.position.offset).toBe(0)
      }
      expect((await post('/pub/a', { origin: 'https://example.com' })).status).toBe(200)
    })

    it('are all let in in development mode', async () => {
      const host = await startSocketHost(kind, { mode: 'development' })
      await host.open('/sub/a', from('http://any.example'))
    })
  })

  it('says that it speaks postern.v1 only where that is offered', async () => {
    const host = await startSocketHost(kind)
    for (const offered of ['postern.v1', 'other, postern.v1', 'other', undefined]) {
      const wire = new WebsocketWire(`${host.url}/sub/a`)
      wire.send(handshake(`${host.url}/sub/a`, { headers: { 'Sec-WebSocket-Protocol': offered } }))
      const { headers } = await wire.answer()
      const isOffered = offered?.includes('postern')
      expect(headers.get('sec-websocket-protocol')).toBe(isOffered ? 'postern.v1' : undefined)
    }
  })

  it('that never sends a whole handshake is cut off in the time that is set', async () => {
    const host = await startSocketHost(kind, { headMs: 500 })
    const begun = new WebsocketWire(`${host.url}/sub/a`)
    begun.send(handshake(`${host.url}/sub/a`).slice(0, -2))
    const silent = connect(Number(new URL(host.url).port), '127.0.0.1')
    onTestFinished(() => void silent.destroy())
    const ended = new Promise(resolve => silent.on('close', resolve))
    silent.resume()
    const whole = await host.open('/sub/a')
    await Promise.all([begun.over(), ended])
    await host.publish('a', 'x')
    expect(await told(whole, 1)).toEqual(['text x'])
  })

  it.each([
    ['of HTTP/1.0', 'HTTP/1.1', 'HTTP/1.0'],
    ['with a body of more than 16 KiB', '\r\n\r\n', '\r\nContent-Length: 16385\r\n\r\nx'],
    ['with a body in chunks', '\r\n\r\n', '\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['with a fragment in its target', '/sub/a', '/sub/a#x'],
    ['to another scheme', '/sub/a', 'ftp://127.0.0.1/sub/a'],
  ])('%s is 400', async (_, right, wrong) => {
    const host = await startSocketHost(kind)
    const wire = new WebsocketWire(host.url)
    wire.send(handshake(`${host.url}/sub/a`).replace(right, wrong))
    expect((await wire.answer()).status).toBe(400)
    await wire.over()
  })

  it('may have a body, which is no frame, however it comes', async () => {
    const host = await startSocketHost(kind)
    const body = frame(opcodes.text, 'not a message')
    const frames = frame(opcodes.text, 'the first')
    const head = handshake(`${host.url}/pub/a`).replace(/\r\n$/, `Content-Length: ${body.length}\r\n\r\n`)
    const sub = await host.open('/sub/a')
    const parts = [
      [Buffer.concat([Buffer.from(head), body, frames])],
      [Buffer.concat([Buffer.from(head), body.subarray(0, 3)]), Buffer.concat([body.subarray(3), frames])],
    ]
    for (const [i, [first, ...later]] of parts.entries()) {
      const wire = new WebsocketWire(host.url)
      wire.send(first ?? '')
      for (const bytes of later)
        await new Promise(resolve => setImmediate(resolve)).then(() => wire.send(bytes))
      expect((await wire.answer()).status).toBe(101)
      expect((await told(sub, i + 1)).at(-1)).toBe('text the first')
    }
    const bytewise = new WebsocketWire(host.url)
    await bytewise.trickle(Buffer.concat([Buffer.from(head), body, frames]))
    expect(await told(sub, 3)).toEqual(Array(3).fill('text the first'))
  })

  it('whose body does not come is cut off in the time that is set', async () => {
    const host = await startSocketHost(kind, { headMs: 500 })
    const wire = new WebsocketWire(host.url)
    wire.send(handshake(`${host.url}/sub/a`).replace(/\r\n$/, 'Content-Length: 2\r\n\r\nx'))
    await wire.over()
    const ended = new WebsocketWire(host.url)
    ended.send(handshake(`${host.url}/sub/a`).replace(/\r\n$/, 'Content-Length: 2\r\n\r\nx'))
    ended.socket.end()
    await ended.over()
    expect([wire.body, ended.body]).toEqual(['', ''])
  })

  it('may have a whole address for its target, whose host then counts', async () => {
    const host = await startSocketHost(kind)
    const ask = async (target: string, origin: string) => {
      const wire = new WebsocketWire(host.url)
      const head = handshake(`${host.url}/sub/a`, { headers: { Origin: origin } })
      wire.send(head.replace('/sub/a', target))
      return (await wire.answer()).status
    }
    expect(await ask(`${host.url}/sub/a`, host.url)).toBe(101)
    expect(await ask('HTTPS://example.com/sub/a', 'https://example.com')).toBe(101)
    expect(await ask('http://example.com/sub/a', host.url)).toBe(401)
    expect(await ask('http://example.com/none', 'http://example.com')).toBe(404)
  })

  describe('to something else, as curl offers HTTP/2,', () => {
    const head = (method: string, path: string, ...lines: string[]) =>
      `${[`${method} ${path} HTTP/1.1`, 'Host: x', 'Upgrade: h2c', ...lines].join('\r\n')}\r\n\r\n`

    it('is answered as if it were not asked for, and so is what follows', async () => {
      const host = await startSocketHost(kind)
      const wire = new WebsocketWire(host.url)
      wire.send(head('GET', '/health/live', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMA'))
      expect((await wire.answer()).status).toBe(200)
      await wire.until(() => wire.body.endsWith('{"status":"ok"}'))
      wire.send(head('GET', '/health/live', 'Connection: close'))
      await wire.over()
      expect(wire.body.split('{"status":"ok"}')).toHaveLength(3)
    })

    it('keeps its body, however it comes', async () => {
      const host = await startSocketHost(kind)
      const sub = await host.open('/sub/a')
      const lines = ['Connection: Upgrade, close', 'Content-Length: 5']
      const wire = new WebsocketWire(host.url)
      wire.send(`${head('POST', '/message/a', ...lines)}fir`, 'st')
      const later = new WebsocketWire(host.url)
      later.send(head('POST', '/message/a', ...lines, 'Expect: 100-continue'))
      expect((await later.answer()).status).toBe(100)
      later.send('later')
      expect((await wire.answer()).status).toBe(201)
      expect((await told(sub, 2)).toSorted()).toEqual(['text first', 'text later'])
    })
  })
})

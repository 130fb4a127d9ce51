import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect as connectHttp2 } from 'node:http2'
import { request } from 'node:https'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { createApp } from '../../functions/app.ts'
import { addRoute, answerJson, clientOfEvent } from '../../functions/routes.ts'
import { startCommand } from '../support/command.ts'
import { startHost, type TestContext, type TestHost, testContext } from '../support/function-hosts.ts'
import { temporaryFolder } from '../support/processes.ts'
import { describeBehindProxies, type RunningProxy, startProxy } from '../support/proxy.ts'
import { frame, opcodes } from '../support/websocket-wire.ts'

const run = promisify(execFile)

describeBehindProxies('functions', kind => {
  let context: TestContext
  let host: TestHost
  let proxy: RunningProxy
  let authority: string
  const ends: (() => Promise<void>)[] = []

  beforeAll(async () => {
    // The proxy alone: the clients of these tests are on loopback too.
    context = testContext({ trustProxy: '127.0.0.1', metricsFrom: 'loopback' })
    const app = createApp(context)
    addRoute(app, '/client', { GET: event => answerJson(clientOfEvent(event, context)) })
    host = await startHost('node', context, app)
    proxy = await startProxy(kind, new URL(host.url).host, end => ends.push(end))
    authority = readFileSync(proxy.certificateFile, 'utf8')
  })
  afterAll(async () => {
    await host.close()
    for (const end of ends.toReversed()) await end()
  })

  /** What curl writes, by HTTP/2 and with the certificate checked, from an address of ours. */
  const curl = async (...args: string[]) => {
    const { stdout } = await run('curl', ['-sS', '--http2', '--cacert', proxy.certificateFile, ...args])
    return stdout
  }

  /** A reader that stays, as somebody would start it by hand. */
  const follow = (path: string) =>
    startCommand('curl', ['-sSNi', '--http2', '--cacert', proxy.certificateFile, `${proxy.url}${path}`], {
      cwd: '/',
    })

  /** A request that asks for a WebSocket. */
  async function openSocket(path: string, headers: Record<string, string> = {}) {
    const asked = request(`${proxy.url}${path}`, {
      ca: authority,
      agent: false,
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        ...headers,
      },
    }).end()
    const answered = once(asked, 'response').then(([{ statusCode }]) => ({ statusCode, socket: undefined }))
    const upgraded = once(asked, 'upgrade').then(([{ statusCode }, socket]) => {
      const stream: Duplex = socket
      onTestFinished(() => void stream.destroy())
      return { statusCode, socket: stream }
    })
    return Promise.race([answered, upgraded])
  }

  it('brings an event by HTTP/2 when it comes, though nothing follows it', async () => {
    const reader = follow('/event/news')
    await reader.says(/^HTTP\/2 200 /m)
    await reader.says(/^id: /m)
    await curl('-d', 'the first', `${proxy.url}/message/news`)
    await reader.says(/^data: the first$/m)
    await curl('-d', 'the second', `${proxy.url}/message/news`)
    await reader.says(/^data: the second$/m)
  })

  it('lets the stream go when its reader has gone', async () => {
    const door = context.tally.door('event')
    await expect.poll(() => door.open).toBe(0)
    const reader = follow('/event/news')
    await reader.says(/^id: /m)
    expect(door.open).toBe(1)
    reader.signal('SIGKILL')
    await expect.poll(() => door.open, { timeout: 10_000 }).toBe(0)
  })

  it('carries more streams on one connection than a browser has over HTTP/1.1', async () => {
    const session = connectHttp2(proxy.url, { ca: authority })
    onTestFinished(() => session.destroy())
    const texts = Array.from({ length: 20 }, () => '')
    const streams = texts.map((_, i) => {
      const stream = session.request({ ':path': '/event/many' }).setEncoding('utf8')
      stream.on('data', (text: string) => {
        texts[i] += text
      })
      return stream
    })
    await expect.poll(() => texts.every(text => text.includes('id: '))).toBe(true)
    await curl('-d', 'to all', `${proxy.url}/message/many`)
    await expect.poll(() => texts.filter(text => text.includes('data: to all')).length).toBe(20)
    for (const stream of streams) stream.close()
  })

  it('opens WebSockets, for pages of its own host and no others', async () => {
    const { statusCode, socket } = await openSocket('/bus/room?echo=1', { origin: proxy.url })
    expect(statusCode).toBe(101)
    if (!socket) throw new Error('there is no socket')
    socket.write(frame(opcodes.text, 'hello'))
    const [echoed] = await once(socket, 'data')
    expect(Buffer.from(echoed).toString('latin1')).toBe('\x81\x05hello')
    expect(await openSocket('/bus/room', { origin: 'https://example.org' })).toMatchObject({
      statusCode: 401,
    })
  })

  it('passes on a body as it is, and the receipt', async () => {
    const body = 'x'.repeat(context.backbone.maxPayloadBytes ?? 0)
    const file = join(await temporaryFolder(), 'body')
    const send = async (content: string) => {
      await writeFile(file, content)
      return curl('--data-binary', `@${file}`, `${proxy.url}/message/large`)
    }
    expect(JSON.parse(await send(body))).toMatchObject({ topic: 'large' })
    const tooLarge = await send(`${body}x`)
    expect(JSON.parse(tooLarge)).toMatchObject({ error: { code: 'PAYLOAD_TOO_LARGE' } })
  })

  it('tells whom a request comes from, and that it came by https', async () => {
    const asked = await curl('--interface', '127.0.0.9', `${proxy.url}/client`)
    expect(JSON.parse(asked)).toEqual({ address: '127.0.0.9', scheme: 'https', via: 'proxy' })
  })

  it.each([
    ['X-Forwarded-For: 203.0.113.7'],
    ['X-Forwarded-For: 127.0.0.1'],
    ['X-Forwarded-For: unknown'],
    ['Forwarded: for=203.0.113.7;proto=http'],
    ['Forwarded: for=127.0.0.1'],
    ['X-Forwarded-Proto: http'],
    ['X-Real-IP: 203.0.113.7'],
  ])('believes no client that says %s', async forged => {
    const asked = await curl('--interface', '127.0.0.9', '-H', forged, `${proxy.url}/client`)
    expect(JSON.parse(asked)).toEqual({ address: '127.0.0.9', scheme: 'https', via: 'proxy' })
  })

  // Whoever asks is among those who may have them, so that this is the proxy's doing.
  it('tells nobody the figures, however the address is written', async () => {
    for (const path of ['/metrics', '/metrics?a', '//metrics', '/%6Detrics', '/x/../metrics']) {
      const status = await curl(
        '--path-as-is',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        `${proxy.url}${path}`,
      )
      expect(status, path).toBe('404')
    }
  })

  it('leads from the plain address to the encrypted one', async () => {
    const answer = await curl(
      '-o',
      '/dev/null',
      '-w',
      '%{http_code} %{redirect_url}',
      `${proxy.plainUrl}/?room=a`,
    )
    expect(answer).toMatch(/^308 https:\/\/localhost(:\d+)?\/\?room=a$/)
  })

  it('ends a stream with a time to come again when the functions stop', async () => {
    const own = testContext()
    const stopping = await startHost('node', own)
    const through = await startProxy(kind, new URL(stopping.url).host, end => onTestFinished(end))
    const reader = startCommand(
      'curl',
      ['-sSN', '--http2', '--cacert', through.certificateFile, `${through.url}/event/news`],
      { cwd: '/' },
    )
    await reader.says(/^id: /m)
    await stopping.close()
    await reader.says(/^retry: 2000$/m)
    await reader.ended
  })
})

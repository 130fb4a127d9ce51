import { Push, Subscriber } from 'zeromq'
import { Relay, Sender } from '../../../broker/client/index.ts'
import { EventReader } from '../event-reader.ts'
import { loginOf, messageOf, registerOf, TcpClient } from '../tcp-client.ts'
import { closing, frame, opcodes, WebsocketWire } from '../websocket-wire.ts'
import type { Capture } from './mutation.ts'
import { Tap } from './tap.ts'
import { names, type Target } from './target.ts'

const { text, binary, continuation, close, ping, pong } = opcodes
const topic = names.plain

/** What real clients send at a port. */
async function tapped(
  port: number,
  visit: (port: number, tap: Tap) => Promise<unknown>,
): Promise<readonly Capture[]> {
  const tap = await Tap.before(port)
  try {
    await visit(tap.port, tap)
    return tap.captures
  } finally {
    tap.close()
  }
}

/** Every route, as `fetch` asks for it. */
export function captureHttp({ ports }: Target): Promise<readonly Capture[]> {
  return tapped(ports.http, async port => {
    const ask = async (path: string, init: RequestInit = {}) => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
        ...init,
        headers: { connection: 'close', ...init.headers },
      })
      await answer.text()
    }
    const post = (
      path: string,
      body: string | Uint8Array<ArrayBuffer>,
      headers: Record<string, string> = {},
    ) => ask(path, { method: 'POST', body, headers })
    await post(`/message/${topic}?type=news`, 'Hello', { 'idempotency-key': 'k' })
    await post(`/message/${names.durable}`, '{"receiver":"+1","message":"x"}')
    await post(`/message/${topic}`, new Uint8Array([0xff, 0, 0xfe]), {
      'content-type': 'application/octet-stream',
    })
    await post(`/pub/${topic}`, 'Hello', { authorization: `Basic ${btoa('bob:secret')}` })
    await post(`/bus/${topic}`, 'Hello')
    await post(`/push/${topic}`, 'Hello')
    await post('/message/broadcast', 'from=me&text=hello', {
      'content-type': 'application/x-www-form-urlencoded',
    })
    await ask(`/receive/${names.durable}?max=1&waitMs=100`)
    await post('/ack', JSON.stringify({ topic: names.durable, ids: ['aaaaaaaaaaaa-1'] }))
    await ask(`/history/${topic}?history=3&exact=1`)
    for (const path of ['/', '/site/chat.ts', '/health/ready', '/metrics', '/nothing']) await ask(path)
    await ask(`/message/${topic}`, { method: 'OPTIONS', headers: { origin: 'http://example.com' } })
    const stream = await EventReader.open(
      init =>
        fetch(`http://127.0.0.1:${port}/event/${topic}?topic=${names.durable}&history=2&envelope=1`, init),
      { 'last-event-id': 'aaaaaaaaaaaa-1' },
    )
    await stream.begun()
    await stream.close()
  })
}

/** Every socket route, with frames of every kind. */
export function captureWebsocket({ ports }: Target): Promise<readonly Capture[]> {
  return tapped(ports.http, async port => {
    const url = `http://127.0.0.1:${port}`
    const open = (path: string, headers: Record<string, string> = {}) =>
      WebsocketWire.open(`${url}${path}`, { headers })
    const ended = async (wire: WebsocketWire) => {
      wire.send(frame(close, closing(1000, 'bye')))
      await wire.over()
    }
    const frames = [
      ...[frame(text, 'Hello'), frame(binary, 'x'.repeat(200)), frame(text, 'x'.repeat(70_000))],
      ...[frame(text, 'Hel', { fin: false }), frame(ping, 'p'), frame(continuation, 'lo'), frame(pong, '')],
    ]
    for (const path of [`/pub/${topic}`, `/bus/${topic}?echo=1`, `/push/${topic}`]) {
      const wire = await open(path, { 'Sec-WebSocket-Protocol': 'postern.v1' })
      for (const bytes of frames) wire.send(bytes)
      await ended(wire)
    }
    for (const path of [`/sub/${topic}?history=2&envelope=1`, `/pull/${topic}`]) await ended(await open(path))
    const receiver = await open(`/pull/${names.durable}?ack=1`)
    receiver.send(frame(text, JSON.stringify({ ack: 'aaaaaaaaaaaa-1' })))
    await ended(receiver)
  })
}

/** Logins, registrations, messages and acknowledgements. */
export function captureTcp({ ports }: Target): Promise<readonly Capture[]> {
  return tapped(ports.tcp, async port => {
    for (const ack of [true, false]) {
      const client = new TcpClient(port)
      client.send(loginOf('bob', 'secret', { ack }))
      if (ack) await client.answer()
      client.send(registerOf(topic, ack ? {} : { ack: true }))
      await client.answer()
      client.send(messageOf(topic, '{"receiver":"+1","message":"x\\u00e9"}', { key: 'k' }))
      client.send(messageOf(names.durable, '[1,2,{"a":null}]'))
      client.send(
        JSON.stringify({ command: 'ack', id: 'aaaaaaaaaaaa-1' }),
        JSON.stringify({ command: 'ping', id: 'p' }),
      )
      await client.until(() => client.text.includes('pong'))
      await client.finish()
    }
  })
}

/** A relay: hello, receipts, replays, positions, pullers, receivers. */
export function captureRequests({ ports, curve }: Target): Promise<readonly Capture[]> {
  return tapped(ports.requests, async port => {
    const relay = new Relay({ broker: `tcp://127.0.0.1:${port}`, ...(curve && { curve }) })
    try {
      await relay.ready()
      const message = { topic, type: 'news', binary: false, payload: Buffer.from('Hello') }
      await relay.publish(message, { idempotencyKey: 'key' })
      await relay.history({ topics: [topic], exact: false }, 5)
      await relay.authorize({ kind: 'password', name: 'bob', password: 'secret' }, '127.0.0.9')
      await relay.status()
      const pulled = Promise.withResolvers<void>()
      const pull = relay.pull(`$push/${topic}`, {
        deliver: (_, flushed) => {
          flushed()
          pulled.resolve()
        },
        end: () => {},
      })
      await relay.publish({ ...message, topic: `$push/${topic}` })
      await pulled.promise
      pull.close()
      const received = Promise.withResolvers<void>()
      const receiving = relay.receive(names.durable, {
        deliver: delivered => void delivered.acknowledge().then(received.resolve, received.reject),
        end: () => {},
      })
      await relay.publish({ ...message, topic: names.durable })
      await received.promise
      receiving.close()
    } finally {
      await relay.close()
    }
  })
}

/** A `Sender`, and a PUSH that knows nothing of batches. */
export function captureIngest({ ports, curve, curveOptions }: Target): Promise<readonly Capture[]> {
  return tapped(ports.ingest, async (port, tap) => {
    const sender = new Sender({ ingest: `tcp://127.0.0.1:${port}`, ...(curve && { curve }) })
    for (let i = 0; i < 5; i++) await sender.send(topic, `message ${i}`, { type: 'news' })
    await sender.close()
    const push = new Push({ linger: 1000, ...curveOptions })
    push.connect(`tcp://127.0.0.1:${port}`)
    await push.send('Hello')
    await push.send(['one', 'two', ''])
    push.close()
    await tap.left(2)
  })
}

/** A subscriber that changes its mind. */
export function captureSubscriber(port: number): Promise<readonly Capture[]> {
  return tapped(port, async through => {
    const socket = new Subscriber({ linger: 0, heartbeatInterval: 50 })
    socket.subscribe('')
    const isIn = new Promise(resolve => socket.events.on('handshake', resolve))
    socket.connect(`tcp://127.0.0.1:${through}`)
    await isIn
    socket.subscribe('fuzz', 'x'.repeat(300))
    socket.unsubscribe('fuzz')
    // Until a heartbeat has gone, too.
    await new Promise(resolve => setTimeout(resolve, 150))
    socket.close()
  })
}

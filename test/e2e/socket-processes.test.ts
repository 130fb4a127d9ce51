import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AtEnd, startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { closing, frame, handshake, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const { text, binary, continuation, close, ping } = opcodes
const v1 = { headers: { 'Sec-WebSocket-Protocol': 'postern.v1' } }

const ends: (() => Promise<void>)[] = []
const atEnd: AtEnd = end => void ends.push(end)
let here = ''
let there = ''

beforeAll(async () => {
  const broker = await startBrokerProcess({}, undefined, atEnd)
  const start = (host: string) =>
    startFunctionsProcess(broker.requests, { POSTERN_PING_MS: '600000' }, ['--host', host], atEnd)
  const [node, listhen] = await Promise.all([start('node'), start('listhen')])
  here = node.url
  there = listhen.url
  // From then on what is published through one is not missed by the subscribers of the other.
  for (const url of [here, there]) expect((await fetch(`${url}/health/ready`)).status).toBe(200)
})
afterAll(async () => {
  for (const end of ends.toReversed()) await end()
})

let topics = 0
/** A topic that no other test uses. */
const newTopic = () => `t${++topics}`

/** The broker's own bound. */
const maxPayloadBytes = 262_144

const told = (wire: WebsocketWire, count: number) =>
  wire.until(() => wire.told.length >= count && wire.told, `${count} frames`)
/** A publisher that waits for its receipts. */
const publisher = (topic: string) => WebsocketWire.open(`${here}/pub/${topic}`, v1)
const subscriber = (path: string) => WebsocketWire.open(`${there}/sub/${path}`)
const peer = (url: string, topic: string, query = '') => WebsocketWire.open(`${url}/bus/${topic}${query}`)
const publish = async (topic: string, payload: string | Uint8Array) => {
  const pub = await publisher(topic)
  pub.send(frame(typeof payload === 'string' ? text : binary, payload), frame(close, closing(1000)))
  await pub.over()
}
const post = (path: string, body: BodyInit) => fetch(`${here}${path}`, { method: 'POST', body })

interface Kind {
  readonly kind: string
  readonly opcode: number
  of(name: string): string | Uint8Array
  shown(name: string): string
}

const kinds: readonly Kind[] = [
  { kind: 'text', opcode: text, of: name => name, shown: name => `text ${name}` },
  {
    kind: 'binary',
    opcode: binary,
    of: name => Buffer.concat([Buffer.of(0xff, 0), Buffer.from(name)]),
    shown: name => `binary ff00${Buffer.from(name).toString('hex')}`,
  },
]

describe.each(kinds)('between two functions processes, $kind', ({ kind, opcode, of, shown }) => {
  it('reaches each subscriber of its topic and of those above, once, and no other', async () => {
    const t = newTopic()
    const paths = [`${t}/a`, `${t}/a/b`, `${t}/a?topic=${t}/a/b`, `${t}/a/b/c`, `${t}/ab`, `${t}/A`]
    const wires = await Promise.all(paths.map(subscriber))
    await publish(`${t}/a/b`, of('x'))
    for (const path of ['a', 'a/b/c', 'ab', 'A']) await publish(`${t}/${path}`, of(path))
    const heard = [['x', 'a', 'a/b/c'], ['x', 'a/b/c'], ['x', 'a', 'a/b/c'], ['a/b/c'], ['ab'], ['A']]
    for (const [i, wire] of wires.entries()) {
      const names = heard[i] ?? []
      expect(await told(wire, names.length), paths[i]).toEqual(names.map(shown))
    }
  })

  it('keeps the order of its publisher', async () => {
    const t = newTopic()
    const [sub, pub] = [await subscriber(t), await publisher(t)]
    const names = Array.from({ length: 2000 }, (_, i) => `${i}`)
    pub.send(Buffer.concat(names.map(name => frame(opcode, of(name)))))
    expect(await told(sub, names.length)).toEqual(names.map(shown))
    await told(pub, names.length)
  })

  it('is delivered when it is empty, and put together when it comes in fragments', async () => {
    const t = newTopic()
    const [sub, pub] = [await subscriber(t), await publisher(t)]
    const whole = Buffer.from(of('fragments'))
    pub.send(
      frame(opcode),
      frame(opcode, whole.subarray(0, 3), { fin: false }),
      frame(continuation, whole.subarray(3, 3), { fin: false }),
      frame(continuation, whole.subarray(3)),
    )
    expect(await told(sub, 2)).toEqual([`${kind} `, shown('fragments')])
  })

  it.each([
    ['q%2Fr', 'q/r'],
    ['a.b%20c', 'a.b%20c'],
    ['%CE%BA/%F0%9F%98%80', 'κ/😀'],
    ['x?exact=0', 'x'],
  ])('has topics that are percent-decoded, and the query is no part of them: %s', async (path, name) => {
    const t = newTopic()
    const sub = await WebsocketWire.open(`${there}/sub/${t}/${path}`)
    await publish(`${t}/${name}`, of('x'))
    expect(await told(sub, 1)).toEqual([shown('x')])
  })

  it('is heard on a bus by every other peer, and by its sender where it asks for it', async () => {
    const t = newTopic()
    const [one, two, echo] = [await peer(here, t), await peer(there, t), await peer(there, t, '?echo=1')]
    one.send(frame(opcode, of('one')))
    await told(two, 1)
    two.send(frame(opcode, of('two')))
    await told(echo, 2)
    echo.send(frame(opcode, of('echo')))
    expect(await told(one, 2)).toEqual(['two', 'echo'].map(shown))
    expect(await told(two, 2)).toEqual(['one', 'echo'].map(shown))
    expect(await told(echo, 3)).toEqual(['one', 'two', 'echo'].map(shown))
  })

  it('is of exactly its topic on a bus, and of one name space alone', async () => {
    const t = newTopic()
    const wires = [await peer(there, t), await peer(there, `${t}/a`), await subscriber(t)]
    const from = [await peer(here, t), await peer(here, `${t}/a`), await publisher(t)]
    for (const [i, wire] of from.entries()) wire.send(frame(opcode, of(`of ${i}`)))
    for (const [i, wire] of wires.entries()) expect(await told(wire, 1)).toEqual([shown(`of ${i}`)])
    // What comes last has nothing between it and the first.
    for (const [i, wire] of from.entries()) wire.send(frame(opcode, of(`last ${i}`)))
    for (const [i, wire] of wires.entries())
      expect(await told(wire, 2)).toEqual([`of ${i}`, `last ${i}`].map(shown))
  })

  it('has topics that are percent-decoded on a bus, too', async () => {
    const t = newTopic()
    const [one, two] = [await peer(here, `${t}/q%2Fr?x=1`), await peer(there, `${t}/%71/r`)]
    one.send(frame(opcode, of('x')))
    expect(await told(two, 1)).toEqual([shown('x')])
  })

  it('is published by a publisher alone, who hears nothing: what a subscriber sends is ignored', async () => {
    const t = newTopic()
    const [sub, other] = [await subscriber(t), await WebsocketWire.open(`${here}/sub/${t}`)]
    const pub = await WebsocketWire.open(`${here}/pub/${t}`)
    sub.send(frame(opcode, of('ignored')), frame(opcode, of('part'), { fin: false }), frame(ping, 'read'))
    expect(await told(sub, 1)).toEqual(['pong read'])
    pub.send(frame(opcode, of('x')), frame(close, closing(1000)))
    expect(await told(other, 1)).toEqual([shown('x')])
    expect(await told(sub, 2)).toEqual(['pong read', shown('x')])
    expect(await pub.over()).toEqual(['close 1000'])
  })

  it('may be of the largest size, by WebSocket, bus and POST, and one more byte closes with 1009', async () => {
    const t = newTopic()
    const [sub, bus] = [await subscriber(t), await peer(there, t)]
    const [pub, sender] = [await publisher(t), await peer(here, t)]
    const largest = Buffer.alloc(maxPayloadBytes, of('x'))
    const larger = frame(opcode, Buffer.alloc(maxPayloadBytes + 1, of('x')))
    for (const wire of [pub, sender]) wire.send(frame(opcode, largest))
    for (const path of ['pub', 'bus']) {
      // One after the other: what comes by two doors has no order.
      await Promise.all([sub, bus].map(wire => wire.until(() => wire.payloads.length > 0)))
      expect((await post(`/${path}/${t}`, largest)).status).toBe(200)
      expect((await post(`/${path}/${t}`, Buffer.concat([largest, Buffer.from('x')]))).status).toBe(413)
    }
    for (const wire of [sub, bus]) {
      await wire.until(() => wire.payloads.length === 2)
      expect(wire.frames.map(frame => frame.opcode)).toEqual([opcode, opcode])
      expect(wire.payloads.every(payload => payload.equals(largest))).toBe(true)
    }
    for (const wire of [pub, sender, sub]) {
      wire.send(larger)
      expect(await wire.closed()).toBe(1009)
      expect((await wire.over()).at(-1)).toBe('close 1009 message too large')
    }
    await publish(t, of('after'))
    const later = await subscriber(`${t}?history=2`)
    await later.until(() => later.payloads.length === 2)
    expect(later.payloads).toEqual([largest, Buffer.from(of('after'))])
  })

  it('has left when the close of its sender is answered, with the same code', async () => {
    const t = newTopic()
    for (const code of [1000, 1001, 3000, 4999]) {
      const pub = await WebsocketWire.open(`${here}/pub/${t}`)
      pub.send(frame(opcode, of(`${code}`)), frame(close, closing(code, 'bye')))
      expect(await pub.over()).toEqual([`close ${code}`])
      // A new subscriber finds it in the past: it was there before the answer.
      const sub = await subscriber(`${t}?history=1`)
      expect(await told(sub, 1)).toEqual([shown(`${code}`)])
      for (const wire of [sub, await peer(there, t)]) {
        wire.send(frame(close, closing(code, 'bye')))
        expect((await wire.over()).at(-1)).toBe(`close ${code}`)
      }
    }
  })

  it('is not disturbed by pings, which are answered with what they say', async () => {
    const t = newTopic()
    const [sub, bus] = [await subscriber(t), await peer(there, t)]
    for (const [path, hearer] of [
      ['pub', sub],
      ['bus', bus],
    ] as const) {
      const wire = await WebsocketWire.open(`${here}/${path}/${t}`)
      const whole = Buffer.from(of('fragments'))
      wire.send(
        frame(ping, 'before'),
        frame(opcode, whole.subarray(0, 4), { fin: false }),
        frame(ping, Buffer.alloc(125, 'x')),
        frame(continuation, whole.subarray(4)),
        frame(ping),
      )
      hearer.send(frame(ping, 'hears'))
      expect(await told(wire, 3)).toEqual(['pong before', `pong ${'x'.repeat(125)}`, 'pong '])
      expect((await told(hearer, 2)).toSorted()).toEqual([shown('fragments'), 'pong hears'].toSorted())
    }
  })

  it('is published to its last, though its sender has ended its side of the connection', async () => {
    const t = newTopic()
    const sub = await subscriber(t)
    const names = Array.from({ length: 1000 }, (_, i) => `${i}`)
    const frames = names.map(name => frame(opcode, of(name)))
    for (const [last, closed] of [
      [[frame(close, closing(1000))], 'close 1000'],
      [[], 'close'],
    ] as const) {
      const before = sub.frames.length
      const pub = await publisher(t)
      pub.socket.end(Buffer.concat([...frames, ...last]))
      expect((await told(sub, before + names.length)).slice(before)).toEqual(names.map(shown))
      expect((await pub.over()).at(-1)).toBe(closed)
      expect(pub.payloads).toHaveLength(names.length)
    }
  })

  it('goes by POST as it goes by WebSocket', async () => {
    const t = newTopic()
    const [sub, bus] = [await subscriber(t), await WebsocketWire.open(`${there}/bus/${t}`)]
    for (const path of [`/pub/${t}`, `/bus/${t}`]) {
      const answer = await post(path, Buffer.from(of('posted é')))
      expect([answer.status, await answer.text()]).toEqual([200, ''])
    }
    expect(await told(sub, 1)).toEqual([shown('posted é')])
    expect(await told(bus, 1)).toEqual([shown('posted é')])
  })
})

describe('between two functions processes', () => {
  it('the client of a browser needs nothing else', async () => {
    const t = newTopic()
    const url = (base: string, path: string) => `${base.replace('http', 'ws')}/${path}/${t}`
    const [sub, pub] = [new WebSocket(url(there, 'sub')), new WebSocket(url(here, 'pub'))]
    sub.binaryType = 'arraybuffer'
    await Promise.all([once(sub, 'open'), once(pub, 'open')])
    const heard: unknown[] = []
    const all = new Promise<void>(resolve => {
      sub.addEventListener('message', ({ data }) => {
        heard.push(typeof data === 'string' ? data : Buffer.from(data).toString('hex'))
        if (heard.length === 2) resolve()
      })
    })
    pub.send('κόσμε')
    pub.send(Buffer.of(0, 255))
    await all
    expect(heard).toEqual(['κόσμε', '00ff'])
    const closed = Promise.all([once(pub, 'close'), once(sub, 'close')])
    pub.close(3001, 'done')
    sub.close()
    const [[ofPub], [ofSub]] = await closed
    expect([ofPub.code, ofPub.wasClean, ofSub.wasClean]).toEqual([3001, true, true])
  })

  it('a subscriber resumes by id through another process, and nothing is missing or there twice', async () => {
    const t = newTopic()
    const pub = await publisher(t)
    for (const name of ['1', '2', '3']) pub.send(frame(text, name))
    await told(pub, 3)
    const { id } = JSON.parse(pub.payloads[0]?.toString() ?? '')
    const sub = await subscriber(`${t}?lastEventId=${id}`)
    pub.send(frame(text, '4'))
    expect(await told(sub, 3)).toEqual(['text 2', 'text 3', 'text 4'])
  })

  it('a process that stops closes its sockets with 1001', async () => {
    const broker = await startBrokerProcess()
    const { url, program } = await startFunctionsProcess(broker.requests)
    const wire = await WebsocketWire.open(`${url}/sub/a`)
    program.kill('SIGTERM')
    expect(await wire.closed()).toBe(1001)
    expect(await program.ended).toBe(0)
  })

  it('a process that stops closes those, too, whose handshake ends only then, and does not wait for them', async () => {
    const broker = await startBrokerProcess()
    const { url, program } = await startFunctionsProcess(broker.requests, { POSTERN_MODE: 'test' })
    const open = await WebsocketWire.open(`${url}/sub/a`)
    const routes = ['sub/a', 'pub/a', 'bus/a', 'push/a', 'pull/a', 'echo']
    const late = routes.map(route => {
      const wire = new WebsocketWire(url)
      const head = handshake(`${url}/${route}`)
      wire.send(head.slice(0, -2))
      return { wire, rest: head.slice(-2) }
    })
    // Answered after all that came before it on this machine's own network: the halves have been read.
    await fetch(`${url}/health/live`)
    program.kill('SIGTERM')
    expect(await open.closed()).toBe(1001)
    for (const { wire, rest } of late) wire.send(rest)
    for (const { wire } of late) {
      expect((await wire.answer()).status).toBe(101)
      expect(await wire.over()).toEqual(['close 1001 going away'])
    }
    expect(await program.ended).toBe(0)
  })

  it('a publisher is told when its broker has ended, and nothing is lost without a word', async () => {
    const broker = await startBrokerProcess()
    const { url } = await startFunctionsProcess(broker.requests)
    const pub = await WebsocketWire.open(`${url}/pub/a`)
    const answered = await WebsocketWire.open(`${url}/pub/a`, v1)
    answered.send(frame(text, 'x'))
    await told(answered, 1)
    await broker.stop('SIGKILL')
    pub.send(frame(text, 'x'))
    answered.send(frame(text, 'x'))
    expect(await pub.closed()).toBe(1013)
    await told(answered, 2)
    expect(JSON.parse(answered.payloads[1]?.toString() ?? '')).toHaveProperty('error.code')
  })
})

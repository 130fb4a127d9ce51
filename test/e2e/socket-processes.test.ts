import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type AtEnd, startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { closing, frame, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const { text, binary, continuation, close } = opcodes
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

const told = (wire: WebsocketWire, count: number) =>
  wire.until(() => wire.told.length >= count && wire.told, `${count} frames`)
/** A publisher that waits for its receipts. */
const publisher = (topic: string) => WebsocketWire.open(`${here}/pub/${topic}`, v1)
const subscriber = (path: string) => WebsocketWire.open(`${there}/sub/${path}`)
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
    const bus = (url: string, query = '') => WebsocketWire.open(`${url}/bus/${t}${query}`)
    const [one, two, echo] = [await bus(here), await bus(there), await bus(there, '?echo=1')]
    one.send(frame(opcode, of('one')))
    await told(two, 1)
    two.send(frame(opcode, of('two')))
    await told(echo, 2)
    echo.send(frame(opcode, of('echo')))
    expect(await told(one, 2)).toEqual(['two', 'echo'].map(shown))
    expect(await told(two, 2)).toEqual(['one', 'echo'].map(shown))
    expect(await told(echo, 3)).toEqual(['one', 'two', 'echo'].map(shown))
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
  it('a publisher hears nothing back, and a subscriber can publish nothing', async () => {
    const t = newTopic()
    const [sub, pub] = [await subscriber(t), await WebsocketWire.open(`${here}/pub/${t}`)]
    sub.send(frame(text, 'from a subscriber'))
    pub.send(frame(text, 'x'), frame(close, closing(1000)))
    expect(await told(sub, 1)).toEqual(['text x'])
    expect(await pub.over()).toEqual(['close 1000'])
  })

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

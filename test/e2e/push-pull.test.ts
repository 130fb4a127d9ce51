import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { watch } from '../support/broker-watch.ts'
import {
  type AtEnd,
  startBrokerProcess,
  startFunctionsProcess,
  temporaryFolder,
} from '../support/processes.ts'
import { frame, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const { text, binary, ping } = opcodes
const protocol = { headers: { 'Sec-WebSocket-Protocol': 'postern.v1' } }

/** A broker with settings, and two functions processes. */
async function started(settings: object = {}, atEnd: AtEnd = onTestFinished) {
  const config = join(await temporaryFolder(atEnd), 'broker.config.json')
  await writeFile(config, JSON.stringify(settings))
  const broker = await startBrokerProcess({ POSTERN_CONFIG: config }, undefined, atEnd)
  const hosts = [
    ['--host', 'node'],
    ['--host', 'listhen'],
  ]
  const [here, there] = await Promise.all(
    hosts.map(host => startFunctionsProcess(broker.requests, {}, host, atEnd)),
  )
  if (!here || !there) throw new Error('there are no functions')
  return { broker, here, there, ...watch(broker, atEnd) }
}

let topics = 0
/** A topic that no other test uses. */
const newTopic = () => `jobs/${++topics}`

const post = (url: string, topic: string, body: string | Uint8Array, type = 'text/plain') =>
  fetch(`${url}/push/${topic}`, {
    method: 'POST',
    body: Buffer.from(body),
    headers: { 'content-type': type },
  })
const pushed = async (url: string, topic: string, body: string) =>
  expect((await post(url, topic, body)).status).toBe(200)
const pulled = (wire: WebsocketWire, count: number) =>
  wire.until(() => wire.payloads.length >= count, `${count} messages`)
const texts = (wire: WebsocketWire) => wire.payloads.map(payload => payload.toString())

/** One topic alone may hold half of it: four of the largest messages. */
const maxUnpulledBytes = 2 * 1024 * 1024

describe('push and pull', () => {
  const ends: (() => unknown)[] = []
  let all: Awaited<ReturnType<typeof started>>
  beforeAll(async () => {
    all = await started({ maxUnpulledBytes }, end => void ends.push(end))
  })
  afterAll(async () => {
    for (const end of ends.toReversed()) await end()
  })

  /** Opens pullers, and waits until they take part. */
  async function pull(topic: string, ...urls: string[]) {
    const { pullers } = await all.status()
    const wires: WebsocketWire[] = []
    for (const [i, url] of urls.entries()) {
      wires.push(await WebsocketWire.open(`${url}/pull/${topic}`))
      await all.until(status => status.pullers === pullers + i + 1)
    }
    onTestFinished(async () => {
      for (const { socket } of wires) socket.destroy()
      await all.until(status => status.pullers <= pullers)
    })
    return wires
  }

  it('gives each message to exactly one puller, in turns, whatever process it is connected to', async () => {
    const { here, there } = all
    const topic = newTopic()
    const wires = await pull(topic, here.url, there.url, here.url)
    const pusher = await WebsocketWire.open(`${there.url}/push/${topic}`)
    for (let i = 0; i < 9; i++) pusher.send(frame(text, String(i)))
    await Promise.all(wires.map(wire => pulled(wire, 3)))
    expect(wires.map(texts)).toEqual([
      ['0', '3', '6'],
      ['1', '4', '7'],
      ['2', '5', '8'],
    ])
    expect(pusher.frames).toEqual([])
  })

  it('takes text as text and binary as binary, by socket and by POST, empty ones too', async () => {
    const { here, there } = all
    const topic = newTopic()
    const [wire] = await pull(topic, there.url)
    const pusher = await WebsocketWire.open(`${here.url}/push/${topic}`)
    const bytes = Uint8Array.of(0xff, 0, 13, 10)
    pusher.send(frame(text, 'grüße 😀'), frame(binary, bytes), frame(text), frame(binary))
    await wire?.until(() => wire.payloads.length === 4)
    const answer = await post(here.url, topic, 'grüße 😀')
    expect([answer.status, await answer.text()]).toEqual([200, ''])
    await post(here.url, topic, bytes, 'application/octet-stream')
    await wire?.until(() => wire.payloads.length === 6)
    const hex = Buffer.from(bytes).toString('hex')
    expect(wire?.told).toEqual([
      ...['text grüße 😀', `binary ${hex}`, 'text ', 'binary '],
      ...['text grüße 😀', `binary ${hex}`],
    ])
  })

  it('keeps what is pushed while nobody pulls, and gives it to whoever comes, in order', async () => {
    const { here, there } = all
    const topic = newTopic()
    for (const body of ['one', 'two', 'three']) await pushed(here.url, topic, body)
    const [wire] = await pull(topic, there.url)
    await wire?.until(() => wire.payloads.length === 3)
    expect(wire && texts(wire)).toEqual(['one', 'two', 'three'])
  })

  it('refuses what would be kept beyond the bound, by its name, and takes more when there is room', async () => {
    const { here, there } = all
    const topic = newTopic()
    const body = 'x'.repeat(256 * 1024)
    for (let i = 0; i < 4; i++) await pushed(here.url, topic, body)
    const refused = await post(here.url, topic, 'more')
    expect([refused.status, await refused.json()]).toMatchObject([
      503,
      { error: { code: 'BACKLOG_FULL', limit: maxUnpulledBytes, setting: 'maxUnpulledBytes' } },
    ])
    const told = await WebsocketWire.open(`${here.url}/push/${topic}`, protocol)
    told.send(frame(text, 'more'))
    await told.until(() => told.payloads.length === 1)
    expect(JSON.parse(String(told.payloads[0]))).toMatchObject({ error: { setting: 'maxUnpulledBytes' } })
    const bare = await WebsocketWire.open(`${there.url}/push/${topic}`)
    bare.send(frame(text, 'more'))
    expect(await bare.closed()).toBe(1013)

    const [wire] = await pull(topic, there.url)
    await wire?.until(() => wire.payloads.length === 4)
    await pushed(here.url, topic, 'more')
    await wire?.until(() => texts(wire).includes('more'))
    expect(wire?.payloads.length).toBe(5)
  })

  it('goes on with the others when a puller has left', async () => {
    const { here, there } = all
    const topic = newTopic()
    const [first, leaving, last] = await pull(topic, here.url, here.url, there.url)
    const { pullers } = await all.status()
    leaving?.send(frame(opcodes.close, Buffer.from([0x03, 0xe8])))
    expect(await leaving?.closed()).toBe(1000)
    await all.until(status => status.pullers === pullers - 1)
    for (const body of ['1', '2', '3', '4']) await pushed(there.url, topic, body)
    for (const wire of [first, last]) await wire?.until(() => wire.payloads.length === 2)
    expect([first, last].flatMap(wire => (wire ? texts(wire) : [])).toSorted()).toEqual(['1', '2', '3', '4'])
  })

  it('ignores what a puller sends, but answers its pings', async () => {
    const { here } = all
    const topic = newTopic()
    const [wire] = await pull(topic, here.url)
    wire?.send(frame(text, 'ignored'), frame(binary, 'ignored'), frame(ping, 'there?'))
    await wire?.until(() => wire.told.includes('pong there?'))
    await pushed(here.url, topic, 'one')
    await wire?.until(() => wire.payloads.length === 1)
    expect(wire && texts(wire)).toEqual(['one'])
  })

  it('is of exactly its topic, and shows nowhere else', async () => {
    const { here, there } = all
    const topic = newTopic()
    const [above, below] = await pull(topic, here.url)
    expect(below).toBeUndefined()
    const [exact] = await pull(`${topic}/below`, here.url)
    const others = await Promise.all(
      ['sub', 'bus'].map(route => WebsocketWire.open(`${there.url}/${route}/${topic}`)),
    )
    await pushed(here.url, `${topic}/below`, 'below')
    await exact?.until(() => exact.payloads.length === 1)
    await fetch(`${here.url}/pub/${topic}`, { method: 'POST', body: 'public' })
    await fetch(`${here.url}/bus/${topic}`, { method: 'POST', body: 'of the bus' })
    for (const wire of others) await wire.until(() => wire.payloads.length === 1)
    await pushed(here.url, topic, 'above')
    await above?.until(() => above.payloads.length === 1)
    expect([above, exact, ...others].map(wire => wire && texts(wire))).toEqual([
      ['above'],
      ['below'],
      ['public'],
      ['of the bus'],
    ])
    const { messages } = await (await fetch(`${here.url}/history/${topic}?history=9`)).json()
    expect(messages.map(({ data }: { data: string }) => data)).toEqual(['public'])
  })

  it('decodes topics, and leaves the query out of them', async () => {
    const { here } = all
    const [wire] = await pull('q%2Fr%20s.%C3%BC?x=1', here.url)
    await pushed(here.url, 'q/r%20s.ü', 'one')
    await wire?.until(() => wire.payloads.length === 1)
  })

  it('wraps messages in envelopes, and answers with receipts, for who speaks postern.v1', async () => {
    const { here } = all
    const topic = newTopic()
    const [bare] = await pull(`${topic}?envelope=1`, here.url)
    const pusher = await WebsocketWire.open(`${here.url}/push/${topic}`, protocol)
    pusher.send(frame(binary, Uint8Array.of(0xff)))
    await pusher.until(() => pusher.payloads.length === 1)
    await bare?.until(() => bare.payloads.length === 1)
    const receipt = JSON.parse(String(pusher.payloads[0]))
    expect(receipt).toEqual({ id: expect.any(String), topic })
    expect(JSON.parse(String(bare?.payloads[0]))).toEqual({
      ...receipt,
      type: '',
      time: expect.any(String),
      data: '/w==',
      encoding: 'base64',
    })
  })

  it.each([
    ['GET', '/push/a'],
    ['GET', '/pull/a'],
    ['POST', '/pull/a'],
    ['POST', '/push/'],
    ['POST', '/push'],
    ['GET', '/pull'],
  ])('has nothing for a plain %s %s', async (method, path) => {
    for (const { url } of [all.here, all.there])
      expect((await fetch(`${url}${path}`, { method })).status).toBe(404)
  })

  it.each(['$push/a', '%24a', 'a//b', 'x'.repeat(250)])('refuses the topic %s', async topic => {
    expect((await post(all.here.url, topic, 'one')).status).toBe(400)
  })
})

describe('a puller that does not read', () => {
  /**
   * Fills a puller until the broker keeps three messages that it could not take. Each is more than a window, so that
   * exactly one more is with the puller, and was not flushed.
   */
  async function stuck(settings: object) {
    const all = await started(settings)
    const wire = await WebsocketWire.open(`${all.here.url}/pull/jobs`)
    wire.socket.pause()
    await all.until(({ pullers }) => pullers === 1)
    let pushes = 0
    while ((await all.status()).pushMessages < 3)
      await pushed(all.there.url, 'jobs', `${++pushes} `.padEnd(200 * 1024, 'x'))
    const numbers = (of: WebsocketWire) => texts(of).map(payload => Number.parseInt(payload, 10) - pushes)
    return { ...all, wire, numbers }
  }

  it('gets no more than its window, and the others get the rest', async () => {
    const { there, wire, numbers, until } = await stuck({})
    const other = await WebsocketWire.open(`${there.url}/pull/jobs`)
    await pulled(other, 3)
    expect(numbers(other)).toEqual([-2, -1, 0])
    wire.socket.resume()
    await until(({ counters }) => counters['flushed'] === counters['published'])
    await wire.until(() => numbers(wire).includes(-3))
    expect(other.payloads).toHaveLength(3)
  })

  it('and goes leaves what it has not flushed to the next', async () => {
    const { there, wire, numbers } = await stuck({})
    const other = await WebsocketWire.open(`${there.url}/pull/jobs`)
    await pulled(other, 3)
    wire.socket.destroy()
    await pulled(other, 4)
    expect(numbers(other)).toEqual([-2, -1, 0, -3])
  })

  it('leaves it to the next also when its functions process is killed', async () => {
    // So that it is the connection that tells, and not the silence.
    const { here, there, numbers, until } = await stuck({ peerTimeoutMs: 86_400_000 })
    here.program.kill('SIGKILL')
    await until(({ pullers }) => pullers === 0)
    const other = await WebsocketWire.open(`${there.url}/pull/jobs`)
    await pulled(other, 4)
    expect(numbers(other)).toEqual([-3, -2, -1, 0])
  })
})

describe('a functions process that is stopped', { timeout: 40_000 }, () => {
  it('loses what it was handed to others, delivers none of it later, and takes part again', async () => {
    const { here, there, until } = await started({ peerTimeoutMs: 3000 })
    const lost = await WebsocketWire.open(`${here.url}/pull/jobs`)
    const healthy = await WebsocketWire.open(`${there.url}/pull/jobs`)
    await until(({ pullers }) => pullers === 2)
    here.program.kill('SIGSTOP')
    for (let i = 0; i < 10; i++) await pushed(there.url, 'jobs', String(i))
    await pulled(healthy, 10)
    expect(texts(healthy).toSorted()).toEqual(Array.from({ length: 10 }, (_, i) => String(i)))
    here.program.kill('SIGCONT')
    await until(({ pullers }) => pullers === 2)
    for (const body of ['a', 'b']) await pushed(there.url, 'jobs', body)
    await Promise.all([pulled(healthy, 11), pulled(lost, 1)])
    expect([...texts(healthy).slice(10), ...texts(lost)].toSorted()).toEqual(['a', 'b'])
  })
})

describe('a restart of the broker', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'by %s leaves the pullers, and nothing that waited',
    async signal => {
      const { broker, here, there, until } = await started()
      await pushed(here.url, 'waiting', 'lost')
      const wires = [
        await WebsocketWire.open(`${here.url}/pull/jobs`),
        await WebsocketWire.open(`${there.url}/pull/jobs`),
      ]
      await until(({ pullers }) => pullers === 2)
      await broker.stop(signal)
      await broker.restart()
      await until(({ pullers, pushMessages }) => pullers === 2 && pushMessages === 0)
      const pusher = await WebsocketWire.open(`${here.url}/push/jobs`)
      for (const body of ['1', '2', '3', '4']) pusher.send(frame(text, body))
      await Promise.all(wires.map(wire => pulled(wire, 2)))
      expect(wires.flatMap(texts).toSorted()).toEqual(['1', '2', '3', '4'])
      const late = await WebsocketWire.open(`${there.url}/pull/waiting`)
      await until(({ pullers }) => pullers === 3)
      await pushed(here.url, 'waiting', 'after')
      await pulled(late, 1)
      expect(texts(late)).toEqual(['after'])
    },
  )
})

import { expect, it } from 'vitest'
import { type FunctionsProcess, startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { ResidentWatch } from '../support/resident.ts'
import { closing, frame, handshake, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const { continuation, text, binary, close, ping } = opcodes

const megabyte = 1024 * 1024

/** The broker's own bound for a payload, and so that of a message. */
const maxPayloadBytes = 262_144

/** Of the functions process, which ends when it needs more. */
const maxHeapMegabytes = 96

/** What Node's garbage, its buffers and its sockets may add, whatever is sent. */
const slackBytes = 64 * megabyte

/** A subscriber and a publisher who behave, on the functions process that others attack. */
class HealthyPair {
  readonly #subscriber: WebsocketWire
  readonly #publisher: WebsocketWire
  #sent = 0

  private constructor(subscriber: WebsocketWire, publisher: WebsocketWire) {
    this.#subscriber = subscriber
    this.#publisher = publisher
  }

  static async of({ url }: FunctionsProcess): Promise<HealthyPair> {
    const subscriber = await WebsocketWire.open(`${url}/sub/healthy`)
    const pair = new HealthyPair(subscriber, await WebsocketWire.open(`${url}/pub/healthy`))
    await pair.exchange(1)
    return pair
  }

  /** Publishes so many messages, and waits until the subscriber has everything that was ever sent, in order. */
  async exchange(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.#publisher.send(frame(this.#sent % 2 ? text : binary, `${this.#sent}`))
      this.#sent++
    }
    await this.#subscriber.until(() => this.#subscriber.frames.length >= this.#sent, 'a message of the pair')
    expect(this.#subscriber.told).toEqual(
      Array.from({ length: this.#sent }, (_, i) => (i % 2 ? `text ${i}` : `binary ${hexOf(`${i}`)}`)),
    )
    expect(this.#publisher.frames).toEqual([])
    expect(this.#publisher.isOver).toBe(false)
  }
}

const hexOf = (digits: string) => Buffer.from(digits).toString('hex')

async function startServer(env: Readonly<Record<string, string>> = {}): Promise<FunctionsProcess> {
  const broker = await startBrokerProcess()
  return startFunctionsProcess(broker.requests, {
    // A ping of the server's own would be among what the pair hears.
    POSTERN_PING_MS: '600000',
    // What is garbage must not look like what is kept.
    NODE_OPTIONS: `--max-old-space-size=${maxHeapMegabytes}`,
    ...env,
  })
}

const many = <T>(count: number, make: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => make(i)))

it('cuts off 300 connections that begin a handshake and do not end it', async () => {
  const server = await startServer({ POSTERN_HEAD_MS: '1000' })
  const pair = await HealthyPair.of(server)
  const memory = await ResidentWatch.of(server.program.child.pid)
  const whole = handshake(`${server.url}/sub/healthy`)
  const halves = ['', 'GET /sub/healthy HTTP/1.1\r\n', whole.slice(0, -2)]
  const wires = await many(300, async i => {
    const wire = new WebsocketWire(server.url)
    wire.send(halves[i % 3] ?? '')
    return wire
  })
  await pair.exchange(100)
  await Promise.all(wires.map(wire => wire.over()))
  await pair.exchange(100)
  expect(wires.flatMap(({ told }) => told)).toEqual([])
  expect(await memory.grown()).toBeLessThan(slackBytes)
})

it('refuses a handshake without end', async () => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const wire = new WebsocketWire(server.url)
  wire.send('GET /sub/healthy HTTP/1.1\r\n', `Host: x\r\nX-Filling: ${'x'.repeat(megabyte)}`)
  expect((await wire.answer()).status).toBe(431)
  await wire.over()
  await pair.exchange(10)
})

it.each([
  ['a frame without a mask', 1002, frame(text, 'x', { mask: false })],
  ['a close without a mask', 1002, frame(close, closing(1000), { mask: false })],
  ['a reserved bit', 1002, frame(text, 'x', { reserved: 4 })],
  ['a reserved opcode', 1002, frame(3, 'x')],
  ['a ping of 126 bytes', 1002, frame(ping, 'x'.repeat(126))],
  ['a text that is no UTF-8', 1007, frame(text, Buffer.of(0xff))],
  ['a frame that claims 2^63 bytes', 1002, frame(binary, '', { claims: 2n ** 63n })],
  ['a frame that claims 2^62 bytes', 1009, frame(binary, '', { claims: 2n ** 62n })],
  [
    'a frame that claims one byte too many',
    1009,
    frame(binary, '', { claims: BigInt(maxPayloadBytes) + 1n }),
  ],
])('closes 100 connections that send %s, with %i', async (_, code, bytes) => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const memory = await ResidentWatch.of(server.program.child.pid)
  const codes = await many(100, async i => {
    const route = ['pub', 'sub', 'bus'][i % 3]
    const wire = await WebsocketWire.open(`${server.url}/${route}/hostile`)
    wire.send(bytes)
    const closed = await wire.closed()
    await wire.over()
    return closed
  })
  expect(new Set(codes)).toEqual(new Set([code]))
  await pair.exchange(100)
  expect(await memory.grown()).toBeLessThan(slackBytes)
})

it('takes a message of the largest size, whole or in fragments, and closes with 1009 one byte above', async () => {
  const server = await startServer()
  const listener = await WebsocketWire.open(`${server.url}/sub/large`)
  const largest = Buffer.alloc(maxPayloadBytes, 'x')
  const good = await WebsocketWire.open(`${server.url}/pub/large`)
  good.send(
    frame(binary, largest),
    frame(text, largest.subarray(1), { fin: false }),
    frame(continuation, 'x'),
  )
  await listener.until(() => listener.payloads.length === 2)
  expect(listener.payloads.every(payload => payload.equals(largest))).toBe(true)
  for (const bytes of [
    [frame(binary, Buffer.alloc(maxPayloadBytes + 1))],
    [frame(binary, largest, { fin: false }), frame(continuation, 'x')],
  ]) {
    const wire = await WebsocketWire.open(`${server.url}/pub/large`)
    wire.send(...bytes)
    expect(await wire.closed()).toBe(1009)
  }
  expect(listener.payloads).toHaveLength(2)
})

it('bounds what 64 connections with endless fragments hold by the largest message each', async () => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const memory = await ResidentWatch.of(server.program.child.pid)
  const piece = frame(continuation, Buffer.alloc(1024), { fin: false })
  const wires = await many(64, async () => {
    const wire = await WebsocketWire.open(`${server.url}/pub/hostile`)
    wire.send(frame(binary, '', { fin: false }))
    // All but the last byte that is allowed, in the smallest pieces for the last of them.
    wire.send(Buffer.concat(Array.from({ length: maxPayloadBytes / 1024 - 1 }, () => piece)))
    wire.send(Buffer.concat(Array.from({ length: 1023 }, () => frame(continuation, 'x', { fin: false }))))
    return wire
  })
  await pair.exchange(100)
  for (const wire of wires) wire.send(piece)
  expect(new Set(await Promise.all(wires.map(wire => wire.closed())))).toEqual(new Set([1009]))
  await pair.exchange(100)
  // Twice the largest message: a buffer that grows by doubling is at most that much larger than what is in it.
  expect(await memory.grown()).toBeLessThan(slackBytes + 64 * 2 * maxPayloadBytes)
})

it('holds nothing for empty fragments, however many', async () => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const listener = await WebsocketWire.open(`${server.url}/sub/empty`)
  const wire = await WebsocketWire.open(`${server.url}/pub/empty`)
  const memory = await ResidentWatch.of(server.program.child.pid)
  const thousand = Buffer.concat(Array.from({ length: 1000 }, () => frame(continuation, '', { fin: false })))
  wire.send(frame(text, '', { fin: false }))
  for (let i = 0; i < 500; i++) wire.send(thousand)
  await pair.exchange(100)
  wire.send(frame(continuation, 'done'))
  await listener.until(() => listener.payloads.length > 0)
  expect(listener.told).toEqual(['text done'])
  expect(await memory.grown()).toBeLessThan(slackBytes)
})

it('bounds what floods of pings take whose pongs nobody reads', async () => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const memory = await ResidentWatch.of(server.program.child.pid)
  const thousand = Buffer.concat(Array.from({ length: 1000 }, () => frame(ping, 'x'.repeat(125))))
  const wires = await many(4, async () => {
    const wire = await WebsocketWire.open(`${server.url}/sub/hostile`)
    wire.socket.pause()
    return wire
  })
  // 50 MB of pings: more than the system's own buffers hold of their pongs.
  const flood = wires.map(async wire => {
    for (let i = 0; i < 100; i++) await new Promise(resolve => wire.socket.write(thousand, resolve))
  })
  await pair.exchange(100)
  await Promise.all(flood)
  await pair.exchange(100)
  expect(await memory.grown()).toBeLessThan(slackBytes)
  for (const wire of wires) {
    wire.socket.resume()
    wire.send(frame(ping, 'last'), frame(close, closing(1000)))
    expect(await wire.closed()).toBe(1000)
  }
})

it('reads no further while a publisher does not read its receipts', async () => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const memory = await ResidentWatch.of(server.program.child.pid)
  const headers = { 'Sec-WebSocket-Protocol': 'postern.v1' }
  const wire = await WebsocketWire.open(`${server.url}/pub/hostile`, { headers })
  wire.socket.pause()
  const count = 100_000
  const thousand = Buffer.concat(Array.from({ length: 1000 }, () => frame(text, 'x')))
  for (let i = 0; i < count / 1000; i++) wire.send(thousand)
  await pair.exchange(100)
  wire.socket.resume()
  await wire.until(() => wire.frames.length >= count, 'all receipts')
  const ids = wire.told.map(line => JSON.parse(line.slice('text '.length)).id)
  expect(new Set(ids).size).toBe(count)
  await pair.exchange(100)
  expect(await memory.grown()).toBeLessThan(maxHeapMegabytes * megabyte)
}, 60_000)

it('lets 50 publishers wait who send faster than the broker takes it', async () => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const memory = await ResidentWatch.of(server.program.child.pid)
  const thousand = Buffer.concat(Array.from({ length: 1000 }, () => frame(text, 'x')))
  const wires = await many(50, async () => {
    const wire = await WebsocketWire.open(`${server.url}/pub/hostile`)
    // More than one read of the socket brings, in the smallest messages.
    for (let i = 0; i < 10; i++) wire.send(thousand)
    wire.send(frame(close, closing(1000)))
    return wire
  })
  await pair.exchange(100)
  expect(new Set(await Promise.all(wires.map(wire => wire.closed())))).toEqual(new Set([1000]))
  await pair.exchange(100)
  // Beside the heap: what has been read of each socket, and what of it is on its way to the broker and back.
  const perConnection = 8 * maxPayloadBytes
  expect(await memory.grown()).toBeLessThan(
    slackBytes + maxHeapMegabytes * megabyte + wires.length * perConnection,
  )
}, 120_000)

it('keeps 1,000 connections that never read from hurting others, and cuts off those that miss too much', async () => {
  const maxBufferedBytes = 64 * 1024
  const server = await startServer({ POSTERN_MAX_BUFFERED_BYTES: String(maxBufferedBytes) })
  const pair = await HealthyPair.of(server)
  const memory = await ResidentWatch.of(server.program.child.pid)
  // All of them get the light topic. The last get the heavy one too: more than the system's own buffers hold.
  const light = 975
  const wires = await many(1000, async i => {
    const more = i < light ? '' : '?topic=heavy'
    const wire = await WebsocketWire.open(`${server.url}/sub/light${more}`)
    wire.socket.pause()
    return wire
  })
  const headers = { 'Sec-WebSocket-Protocol': 'postern.v1' }
  const [lightly, heavily] = await Promise.all(
    ['light', 'heavy'].map(topic => WebsocketWire.open(`${server.url}/pub/${topic}`, { headers })),
  )
  if (!lightly || !heavily) throw new Error('There is no publisher.')
  const rounds = 64
  for (let i = 0; i < rounds; i++) {
    lightly.send(frame(text, `${i}`.padEnd(1024)))
    heavily.send(frame(binary, Buffer.alloc(maxPayloadBytes, i)))
    await pair.exchange(10)
  }
  await lightly.until(() => lightly.frames.length === rounds)
  await heavily.until(() => heavily.frames.length === rounds)
  await pair.exchange(100)

  // Each may hold its bound and what one turn has brought on top of it, and the head that it came with.
  const perConnection = maxBufferedBytes + 16 * 1024
  expect(await memory.grown()).toBeLessThan(slackBytes + wires.length * perConnection)

  for (const wire of wires) wire.socket.resume()
  for (const [i, wire] of wires.entries()) {
    if (i < light) {
      await wire.until(() => wire.payloads.length === rounds)
      expect(wire.payloads.map(payload => Number(payload))).toEqual(
        Array.from({ length: rounds }, (_, i) => i),
      )
      expect(wire.isOver).toBe(false)
    } else {
      await wire.over()
      expect(wire.payloads.length).toBeLessThan(2 * rounds)
    }
  }
  await pair.exchange(100)
}, 120_000)

it('lets go of 100 connections that hear a close and never end', async () => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const before = await server.openFiles()
  await many(100, async i => {
    const wire = await WebsocketWire.open(`${server.url}/sub/hostile`)
    wire.socket.allowHalfOpen = true
    wire.send(i % 2 ? frame(close, closing(1000)) : frame(15))
    await wire.over()
    expect(wire.frames.map(({ opcode }) => opcode)).toEqual([close])
  })
  await expect.poll(() => server.openFiles(), { timeout: 20_000 }).toBeLessThanOrEqual(before)
  await pair.exchange(100)
})

it('survives 500 connections that vanish in the middle of what they say', async () => {
  const server = await startServer()
  const pair = await HealthyPair.of(server)
  const before = await server.openFiles()
  await many(500, async i => {
    const wire = await WebsocketWire.open(`${server.url}/${i % 2 ? 'pub' : 'sub'}/hostile`)
    wire.send(frame(binary, Buffer.alloc(1000)).subarray(0, i))
    wire.socket.resetAndDestroy()
    await wire.over()
  })
  await pair.exchange(100)
  await expect.poll(() => server.openFiles(), { timeout: 20_000 }).toBeLessThanOrEqual(before)
  expect(server.program.output()).not.toContain('"error"')
}, 60_000)

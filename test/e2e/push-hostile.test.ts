import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Relay } from '../../broker/client/index.ts'
import type { BrokerStatus } from '../../broker/protocol/index.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'
import { ResidentWatch } from '../support/resident.ts'
import { closing, frame, handshake, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const { continuation, text, binary, close, ping } = opcodes
const protocol = { headers: { 'Sec-WebSocket-Protocol': 'postern.v1' } }

const megabyte = 1024 * 1024

/** The broker's own bound for a payload, and so that of a message. */
const maxPayloadBytes = 262_144

/** Of each process, which ends when it needs more: what is garbage must not look like what is kept. */
const NODE_OPTIONS = '--max-old-space-size=96'

/** What the garbage of Node and of its sockets may add, whatever is sent. */
const slackBytes = 96 * megabyte

/** A broker with settings, two functions processes, and a pair that behaves: a pusher on one, its puller on the other. */
async function started(settings: object = {}) {
  const config = join(await temporaryFolder(), 'broker.config.json')
  await writeFile(config, JSON.stringify(settings))
  const broker = await startBrokerProcess({ POSTERN_CONFIG: config, NODE_OPTIONS })
  const env = { POSTERN_PING_MS: '600000', NODE_OPTIONS }
  const [here, there] = await Promise.all([
    startFunctionsProcess(broker.requests, env),
    startFunctionsProcess(broker.requests, env, ['--host', 'listhen']),
  ])
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  const status = () => relay.status()
  const until = async (found: (status: BrokerStatus) => boolean) => {
    while (!found(await status())) await nextTurn()
  }
  const pair = await HealthyPair.of(there.url, here.url, until)
  const memory = await Promise.all(
    [broker, here, there].map(({ program }) => ResidentWatch.of(program.child.pid)),
  )
  /** What the largest of the three processes has grown by. */
  const grown = async () => Math.max(...(await Promise.all(memory.map(watch => watch.grown()))))
  return { broker, here, there, pair, status, until, grown }
}

/** A pusher and a puller who behave. */
class HealthyPair {
  readonly #puller: WebsocketWire
  readonly #pusher: WebsocketWire
  #sent = 0

  private constructor(puller: WebsocketWire, pusher: WebsocketWire) {
    this.#puller = puller
    this.#pusher = pusher
  }

  static async of(
    pullAt: string,
    pushAt: string,
    until: (found: (status: BrokerStatus) => boolean) => Promise<void>,
  ): Promise<HealthyPair> {
    const puller = await WebsocketWire.open(`${pullAt}/pull/healthy`)
    await until(({ pullers }) => pullers === 1)
    return new HealthyPair(puller, await WebsocketWire.open(`${pushAt}/push/healthy`, protocol))
  }

  /** Pushes so many messages at once. None is refused, and the puller gets everything that was ever sent, in order. */
  async exchange(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.#pusher.send(frame(this.#sent % 2 ? text : binary, `${this.#sent}`))
      this.#sent++
    }
    await this.#pusher.until(() => this.#pusher.frames.length >= this.#sent, 'an answer to the pair')
    expect(this.#pusher.payloads.filter(answer => answer.includes('"error"')).map(String)).toEqual([])
    await this.#puller.until(() => this.#puller.frames.length >= this.#sent, 'a message of the pair')
    expect(this.#puller.told).toEqual(
      Array.from({ length: this.#sent }, (_, i) => (i % 2 ? `text ${i}` : `binary ${hexOf(`${i}`)}`)),
    )
  }
}

const hexOf = (digits: string) => Buffer.from(digits).toString('hex')

const many = <T>(count: number, make: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => make(i)))

/** Pushes the same message until one is refused. @returns the setting that was hit, and how many were taken. */
async function fill(url: string, topic: string, payload: Uint8Array) {
  const pusher = await WebsocketWire.open(`${url}/push/${topic}`, protocol)
  let sent = 0
  for (;;) {
    const round = Math.max(1, Math.round(megabyte / (payload.length + 1024)))
    for (let i = 0; i < round; i++) pusher.send(frame(binary, payload))
    sent += round
    await pusher.until(() => pusher.frames.length === sent, 'an answer')
    const refused = pusher.payloads.filter(answer => answer.includes('"error"'))
    if (refused[0]) {
      pusher.socket.destroy()
      const { setting } = JSON.parse(String(refused[0])).error
      return { setting, taken: sent - refused.length }
    }
  }
}

describe('a topic that nobody pulls', () => {
  it('leaves a healthy pair its bursts, also when there are many of them', async () => {
    const { here, there, pair, status } = await started({
      maxPushBytes: 4 * megabyte,
      maxUnpulledBytes: megabyte,
    })
    expect((await fill(here.url, 'void', Buffer.alloc(250_000))).setting).toBe('maxUnpulledBytes')
    await pair.exchange(1000)
    await many(200, i => fetch(`${there.url}/push/void/${i}`, { method: 'POST', body: 'x'.repeat(10_000) }))
    expect((await fill(there.url, 'void/too', Buffer.alloc(1))).setting).toBe('maxUnpulledBytes')
    await pair.exchange(1000)
    expect((await status()).pushBytes).toBeLessThan(megabyte + 2 * maxPayloadBytes)
  })

  it('forgets what has waited for too long, counts it and says so', async () => {
    const { broker, here, pair, until, status } = await started({ pushAgeMs: 1000 })
    for (const body of ['one', 'two']) await fetch(`${here.url}/push/void`, { method: 'POST', body })
    await until(({ pushMessages }) => pushMessages === 0)
    expect((await status()).counters['pushExpired']).toBe(2)
    await expect.poll(() => broker.program.output()).toMatch(/"event":"push-expired".*"setting":"pushAgeMs"/)
    await pair.exchange(10)
  })
})

describe('pullers that never read', () => {
  it('cost no process more than the bound, and a healthy pair nothing', async () => {
    const maxPushBytes = 2 * megabyte
    const { here, there, pair, status, until, grown } = await started({ maxPushBytes })
    const count = 24
    const wires = await many(count, async () => {
      const wire = await WebsocketWire.open(`${here.url}/pull/heavy`)
      wire.socket.pause()
      return wire
    })
    await until(({ pullers }) => pullers === count + 1)
    // As much as the system's own buffers take, and then what is held: one message each would be three times the bound.
    do {
      expect((await fill(there.url, 'heavy', Buffer.alloc(maxPayloadBytes))).setting).toBe('maxPushBytes')
      await pair.exchange(100)
    } while ((await status()).unflushedBytes < maxPushBytes / 2 - maxPayloadBytes)
    const { pushBytes, unflushedBytes } = await status()
    expect(pushBytes + unflushedBytes).toBeLessThan(maxPushBytes / 2 + 2 * maxPayloadBytes)
    expect(await grown()).toBeLessThan(slackBytes + 4 * maxPushBytes)

    for (const { socket } of wires) socket.resetAndDestroy()
    await until(({ pullers }) => pullers === 1)
    const after = await status()
    expect(after.unflushedBytes).toBe(0)
    expect(after.pushBytes).toBeGreaterThan(0)
    expect(after.pushBytes).toBeLessThan(maxPushBytes / 2 + 2 * maxPayloadBytes)
    await pair.exchange(100)
    const late = await WebsocketWire.open(`${there.url}/pull/heavy`)
    await late.until(() => late.payloads.length === after.pushMessages, 'what they had not flushed')
    await until(({ pushBytes, unflushedBytes }) => pushBytes + unflushedBytes === 0)
    await pair.exchange(100)
  }, 120_000)

  it('and reset together, a thousand at a time over a full queue, lose nothing and stop nobody', async () => {
    const { here, there, pair, status, until, grown } = await started({
      maxPushBytes: 64 * megabyte,
      maxUnpulledBytes: 32 * megabyte,
    })
    const { taken } = await fill(there.url, 'jobs', Buffer.from('m'))
    expect(taken).toBeGreaterThan(20_000)
    for (let round = 0; round < 2; round++) {
      const wires = await many(1000, async () => {
        const wire = new WebsocketWire(here.url)
        wire.send(handshake(`${here.url}/pull/jobs`))
        await wire.answer()
        wire.socket.pause()
        return wire
      })
      for (const { socket } of wires) socket.resetAndDestroy()
      await pair.exchange(500)
    }
    await until(({ pullers, unflushedMessages }) => pullers === 1 && unflushedMessages === 0)
    const { pushMessages, counters } = await status()
    // 1,000 of them are the pair's.
    expect(pushMessages + (counters['flushed'] ?? 0)).toBe(taken + 1000)
    const late = await WebsocketWire.open(`${there.url}/pull/jobs`)
    await late.until(() => late.payloads.length >= pushMessages, 'what waits')
    await until(({ counters }) => counters['flushed'] === taken + 1000)
    await pair.exchange(100)
    expect(await grown()).toBeLessThan(slackBytes + 64 * megabyte)
  }, 120_000)
})

describe('a puller and a pusher', () => {
  it('on different processes name the same topic, whatever of it is escaped, for text and binary', async () => {
    const { here, there, until } = await started()
    const puller = await WebsocketWire.open(`${here.url}/pull/q%2Fr%20s.%C3%BC?topic=other&x=1`)
    await until(({ pullers }) => pullers === 2)
    const pusher = await WebsocketWire.open(`${there.url}/push/%71/r%20s%2E%c3%bc/?y=2`)
    pusher.send(frame(text, 'grüße'), frame(binary, Uint8Array.of(0xff, 0)))
    await puller.until(() => puller.payloads.length === 2)
    expect(puller.told).toEqual(['text grüße', 'binary ff00'])
  })

  it('take a message of the largest size as it came, whole or in fragments, text or binary', async () => {
    const { here, there, until } = await started()
    const puller = await WebsocketWire.open(`${here.url}/pull/large`)
    await until(({ pullers }) => pullers === 2)
    const pusher = await WebsocketWire.open(`${there.url}/push/large`)
    const largest = Buffer.alloc(maxPayloadBytes, 'x')
    pusher.send(
      ...[frame(binary, largest), frame(text, largest)],
      ...[frame(text, largest.subarray(1), { fin: false }), frame(continuation, 'x')],
    )
    await puller.until(() => puller.payloads.length === 3)
    expect(puller.frames.map(({ opcode }) => opcode)).toEqual([binary, text, text])
    expect(puller.payloads.every(payload => payload.equals(largest))).toBe(true)
    for (const opcode of [text, binary]) {
      const wire = await WebsocketWire.open(`${there.url}/push/large`)
      wire.send(frame(opcode, Buffer.alloc(maxPayloadBytes + 1, 'x')))
      expect(await wire.closed()).toBe(1009)
    }
    expect(puller.payloads).toHaveLength(3)
  })

  it('are not moved by what the puller sends: texts, bytes, fragments, all of it is thrown away', async () => {
    const { here, there, pair, until, grown } = await started()
    const puller = await WebsocketWire.open(`${here.url}/pull/jobs`)
    const listener = await WebsocketWire.open(`${there.url}/sub/jobs`)
    await until(({ pullers }) => pullers === 2)
    const largest = Buffer.alloc(maxPayloadBytes, 'x')
    for (let i = 0; i < 100; i++)
      puller.send(
        ...[frame(text, 'ignored'), frame(binary, largest)],
        ...[frame(text, 'ig', { fin: false }), frame(ping, `${i}`), frame(continuation, 'nored')],
      )
    await puller.until(() => puller.frames.length === 100, 'all pongs')
    const pusher = await WebsocketWire.open(`${there.url}/push/jobs`)
    pusher.send(frame(text, 'one'), frame(binary, 'two'))
    await puller.until(() => puller.payloads.length === 2)
    expect(puller.told.slice(100)).toEqual(['text one', `binary ${hexOf('two')}`])
    await pair.exchange(100)
    expect([pusher.frames, listener.frames]).toEqual([[], []])
    expect(await grown()).toBeLessThan(slackBytes)
  })

  it.each([
    ['a frame without a mask', 1002, frame(text, 'x', { mask: false })],
    ['a reserved bit', 1002, frame(text, 'x', { reserved: 4 })],
    ['a ping of 126 bytes', 1002, frame(ping, 'x'.repeat(126))],
    ['a text that is no UTF-8', 1007, frame(text, Buffer.of(0xff))],
    ['a frame that claims 2^62 bytes', 1009, frame(binary, '', { claims: 2n ** 62n })],
    ['a close', 1000, frame(close, closing(1000))],
  ])('that send %s are closed with %i, and the pullers among them are forgotten', async (_, code, bytes) => {
    const { here, there, pair, until } = await started()
    const codes = await many(100, async i => {
      const wire = await WebsocketWire.open(
        `${(i % 4 < 2 ? here : there).url}/${i % 2 ? 'push' : 'pull'}/jobs`,
      )
      wire.send(bytes)
      return wire.closed()
    })
    expect(new Set(codes)).toEqual(new Set([code]))
    await until(({ pullers }) => pullers === 1)
    await pair.exchange(100)
  })
})

import { expect, it, onTestFinished } from 'vitest'
import { type CurveKeys, type PosternError, Relay, type Sink } from '../../broker/client/index.ts'
import { reload, TestKeys } from '../support/curve-keys.ts'
import { knock } from '../support/curve-knock.ts'
import { startBrokerProcess } from '../support/processes.ts'
import { Watchers } from '../support/watchers.ts'

/** Told when any relay comes up or goes away. */
const states = new Watchers()

function connect(broker: string, curve: CurveKeys): Relay {
  const relay = new Relay({ broker, curve, onState: () => states.tell() })
  onTestFinished(() => relay.close())
  return relay
}

/** Takes everything below a topic, and notes what is told of a gap. */
class Follower implements Sink {
  readonly texts: string[] = []
  readonly ids: string[] = []
  gaps = 0
  hasStarted = false
  readonly watchers = new Watchers()

  constructor(relay: Relay) {
    relay.subscribe({ topics: ['load'], exact: false }, {}, this)
  }

  start(): void {
    this.hasStarted = true
    this.watchers.tell()
  }

  gap(): void {
    this.gaps++
  }

  deliver(messages: readonly { readonly id: string; readonly payload: Uint8Array }[]): boolean {
    for (const { id, payload } of messages) {
      this.ids.push(id)
      this.texts.push(Buffer.from(payload).toString())
    }
    this.watchers.tell()
    return true
  }

  end(): void {}
}

/** Publishes one message after the other, each until it has a receipt, as long as it is let. */
class Load {
  readonly receipts: string[] = []
  readonly texts: string[] = []
  readonly #name: string
  readonly #relay: Relay
  readonly #watchers = new Watchers()
  #isOver = false
  readonly #running: Promise<void>

  constructor(name: string, relay: Relay) {
    this.#name = name
    this.#relay = relay
    this.#running = this.#run()
  }

  /** Resolves when so many more are published from now on. */
  more(count: number): Promise<void> {
    const enough = this.receipts.length + count
    return this.#watchers.until(() => this.receipts.length >= enough)
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const text = `${this.#name} ${this.receipts.length}`
      this.receipts.push(await this.#publish(text))
      this.texts.push(text)
      this.#watchers.tell()
    }
  }

  async #publish(text: string): Promise<string> {
    const publication = { topic: 'load', type: '', binary: false, payload: Buffer.from(text) }
    for (;;) {
      try {
        return (await this.#relay.publish(publication, { idempotencyKey: text })).id
      } catch (error) {
        const { code } = error as PosternError
        if (code !== 'BROKER_UNAVAILABLE' && code !== 'RECEIPT_UNKNOWN') throw error
        await states.until(() => this.#relay.state === 'up')
      }
    }
  }
}

/** Everything that has a receipt came once, in the order of the log, and each publisher's in its own order. */
async function expectAll(follower: Follower, ...loads: Load[]): Promise<void> {
  const receipts = loads.flatMap(load => load.receipts)
  await follower.watchers.until(() => follower.ids.length >= receipts.length)
  expect(follower.gaps).toBe(0)
  expect(follower.ids.toSorted()).toEqual(receipts.toSorted())
  for (const load of loads) {
    const own = new Set(load.texts)
    expect(follower.texts.filter(text => own.has(text))).toEqual(load.texts)
  }
}

it('changes the key of a client under load without losing a message', async () => {
  const keys = await TestKeys.make()
  const [reader, old] = [keys.add('reader', 'functions'), keys.add('web', 'functions')]
  const broker = await startBrokerProcess(keys.env)
  const follower = new Follower(connect(broker.requests, reader))
  await follower.watchers.until(() => follower.hasStarted)
  const before = new Load('before', connect(broker.requests, old))
  await before.more(100)

  const fresh = keys.add('web')
  await reload(broker.program)
  // Both are let in: the client is started anew with its new key while the old one still works.
  const after = new Load('after', connect(broker.requests, fresh))
  await Promise.all([before.more(100), after.more(100)])
  await before.stop()
  keys.retire('web')
  await reload(broker.program)

  expect(await knock('requests', broker.requests, old)).toBe('refused')
  expect(await knock('requests', broker.requests, fresh)).toBe('in')
  await after.more(100)
  await after.stop()
  await expectAll(follower, before, after)
})

it('changes the key of the broker under load without losing a message, client by client', async () => {
  const keys = await TestKeys.make()
  const old = { reader: keys.add('reader', 'functions'), web: keys.add('web', 'functions') }
  const broker = await startBrokerProcess(keys.env)
  const follower = new Follower(connect(broker.requests, old.reader))
  await follower.watchers.until(() => follower.hasStarted)
  const before = new Load('before', connect(broker.requests, old.web))
  await before.more(50)

  keys.addServer()
  const fresh = { late: keys.add('late', 'functions'), site: keys.add('site', 'functions') }
  const withSecond = (type: string, address: string) =>
    `zmq-bind://${type}@${address.slice('tcp://'.length)};127.0.0.1:0`
  await broker.stop()
  await broker.restart({
    POSTERN_INGEST: withSecond('PULL', broker.ingest),
    POSTERN_PLAIN: withSecond('PUB', broker.plain),
    POSTERN_REQUESTS: withSecond('ROUTER', broker.requests),
    POSTERN_STREAM: withSecond('PUB', broker.stream),
  })
  const second = Object.fromEntries(
    Object.entries(broker.program.told).map(([name, told]) => [name, String(told).split(';')[1] ?? '']),
  )
  const { requests = '' } = second
  const moved = new Follower(connect(requests, fresh.late))
  await moved.watchers.until(() => moved.hasStarted)
  const site = connect(requests, fresh.site)
  const after = new Load('after', site)
  // Who has moved and who has not hear each other.
  await Promise.all([before.more(50), after.more(50)])
  // Each was told where the stream has the key that it knows, and no other place.
  expect((await site.status()).counters['curveRefusedStream']).toBe(0)
  await before.stop()
  await follower.watchers.until(() => follower.texts.includes(after.texts.at(-1) ?? ''))
  const [last = ''] = before.texts.slice(-1)
  await moved.watchers.until(() => moved.texts.includes(last))

  keys.retire('broker')
  await broker.stop()
  const alone = (type: string, address: string) => `zmq-bind://${type}@${address.slice('tcp://'.length)}`
  await broker.restart({
    POSTERN_INGEST: alone('PULL', second['ingest'] ?? ''),
    POSTERN_PLAIN: alone('PUB', second['plain'] ?? ''),
    POSTERN_REQUESTS: alone('ROUTER', requests),
    POSTERN_STREAM: alone('PUB', second['stream'] ?? ''),
  })
  expect(await knock('requests', requests, fresh.site)).toBe('in')
  expect(await knock('requests', requests, old.web)).toBe('cut')
  await after.more(50)
  await after.stop()

  expect(moved.gaps).toBe(0)
  await moved.watchers.until(() => moved.ids.includes(after.receipts.at(-1) ?? ''))
  const since = follower.ids.indexOf(moved.ids[0] ?? '')
  expect(since).toBeGreaterThan(0)
  // What the one saw before the old endpoint was closed, the other one saw as well, in the same order.
  expect(moved.ids.slice(0, follower.ids.length - since)).toEqual(follower.ids.slice(since))
  expect(new Set(follower.ids.concat(moved.ids))).toEqual(new Set([...before.receipts, ...after.receipts]))
  expect(moved.texts.filter(text => text.startsWith('after'))).toEqual(after.texts)
})

import { describe, expect, it, onTestFinished } from 'vitest'
import { type Backbone, type EndReason, Relay, type Sink, type Start } from '../../broker/client/index.ts'
import {
  formatId,
  type Message,
  type Position,
  PosternError,
  probeTopic,
} from '../../broker/protocol/index.ts'
import { TestKeys } from '../support/curve-keys.ts'
import { MemoryBackbone } from '../support/memory-backbone.ts'
import { startBrokerProcess } from '../support/processes.ts'
import { Watchers } from '../support/watchers.ts'

/** A sink that remembers what it was told, and takes no more than it is let. */
class Recorder implements Sink {
  readonly told: string[] = []
  readonly messages: Message[] = []
  startedAt: Position | undefined
  /** Deliveries that it takes before it is full. */
  room = Number.POSITIVE_INFINITY
  readonly #watchers = new Watchers()

  start(position: Position): void {
    this.startedAt = position
    this.#tell('start')
  }

  gap(): void {
    this.#tell('gap')
  }

  deliver(messages: readonly Message[]): boolean {
    this.messages.push(...messages)
    this.room--
    for (const message of messages) this.#tell(text(message))
    return this.room > 0
  }

  end(reason: EndReason): void {
    this.#tell(`end ${reason}`)
  }

  until(condition: () => boolean): Promise<void> {
    return this.#watchers.until(condition)
  }

  #tell(what: string): void {
    this.told.push(what)
    this.#watchers.tell()
  }
}

function text(message: Message): string {
  return Buffer.from(message.payload).toString()
}

async function relay(): Promise<Backbone> {
  const broker = await startBrokerProcess()
  const backbone = new Relay({ broker: broker.requests, maxBufferedBytes: 64 * 1024 })
  onTestFinished(() => backbone.close())
  return backbone
}

async function relayWithKeys(): Promise<Backbone> {
  const keys = await TestKeys.make()
  const curve = keys.add('here', 'functions')
  const broker = await startBrokerProcess(keys.env)
  const backbone = new Relay({ broker: broker.requests, curve, maxBufferedBytes: 64 * 1024 })
  onTestFinished(() => backbone.close())
  return backbone
}

async function memory(): Promise<Backbone> {
  const backbone = new MemoryBackbone({ maxBufferedBytes: 64 * 1024 })
  onTestFinished(() => backbone.close())
  return backbone
}

describe.each([
  { name: 'the built-in broker', open: relay },
  { name: 'the built-in broker with keys', open: relayWithKeys },
  { name: 'memory', open: memory },
])('a backbone over $name', ({ open }) => {
  async function opened() {
    const backbone = await open()
    await backbone.ready()
    const publish = (topic: string, payload: string, idempotencyKey?: string) =>
      backbone.publish(
        { topic, type: '', binary: false, payload: Buffer.from(payload) },
        idempotencyKey === undefined ? {} : { idempotencyKey },
      )
    const subscribe = (topics: string[], start: Start = {}, exact = false) => {
      const sink = new Recorder()
      const subscription = backbone.subscribe({ topics, exact }, start, sink)
      return { sink, subscription }
    }
    return { backbone, publish, subscribe }
  }

  it('tells its default topic and its limit once it is up', async () => {
    const { backbone } = await opened()
    expect(backbone.state).toBe('up')
    expect(backbone.defaultTopic).toBe('chat')
    expect(backbone.maxPayloadBytes).toBe(256 * 1024)
  })

  it('gives each message an id of its own, and delivers in the order of the log', async () => {
    const { publish, subscribe } = await opened()
    const { sink } = subscribe(['a'])
    await sink.until(() => sink.startedAt !== undefined)
    const receipts = await Promise.all([publish('a', 'one'), publish('a', 'two'), publish('a', 'three')])
    await sink.until(() => sink.messages.length === 3)
    expect(sink.told).toEqual(['start', 'one', 'two', 'three'])
    expect(sink.messages.map(({ id }) => id)).toEqual(receipts.map(({ id }) => id))
  })

  it('delivers the bytes as they came, an empty payload too', async () => {
    const { backbone, subscribe } = await opened()
    const { sink } = subscribe(['a'])
    await sink.until(() => sink.startedAt !== undefined)
    const payloads = [Buffer.from([0, 255, 13, 10]), Buffer.alloc(0), Buffer.alloc(256 * 1024, 7)]
    for (const payload of payloads) await backbone.publish({ topic: 'a', type: 't', binary: true, payload })
    await sink.until(() => sink.messages.length === payloads.length)
    expect(sink.messages.map(({ payload }) => Buffer.from(payload))).toEqual(payloads)
    expect(sink.messages.map(({ binary, type }) => [binary, type])).toEqual(payloads.map(() => [true, 't']))
  })

  it('gives a subscriber its topics and what is below them, each message once', async () => {
    const { publish, subscribe } = await opened()
    const { sink } = subscribe(['a', 'a/b'])
    const exact = subscribe(['a'], {}, true)
    await Promise.all([sink, exact.sink].map(one => one.until(() => one.startedAt !== undefined)))
    for (const topic of ['ab', 'A', 'a/b/c', 'a/b', 'b', 'a']) await publish(topic, topic)
    await sink.until(() => sink.messages.length === 3)
    await exact.sink.until(() => exact.sink.messages.length === 1)
    expect(sink.told).toEqual(['start', 'a/b/c', 'a/b', 'a'])
    expect(exact.sink.told).toEqual(['start', 'a'])
  })

  it('resumes after the last id with what was missed, then goes on live', async () => {
    const { publish, subscribe } = await opened()
    const first = await publish('a', 'one')
    await publish('b', 'not this')
    await publish('a', 'two')
    const { sink, subscription } = subscribe(['a'], { since: first.id })
    await sink.until(() => sink.messages.length === 1)
    await publish('a', 'three')
    await sink.until(() => sink.messages.length === 2)
    expect(sink.told).toEqual(['start', 'two', 'three'])
    expect(subscription.caughtUp).toBe(true)
  })

  it('begins with the last messages that are asked for, and an id beats that', async () => {
    const { publish, subscribe } = await opened()
    const first = await publish('a', 'one')
    for (const payload of ['two', 'three']) await publish('a/b', payload)
    const { sink } = subscribe(['a'], { history: 2 })
    await sink.until(() => sink.messages.length === 2)
    expect(sink.told).toEqual(['start', 'two', 'three'])
    const both = subscribe(['a'], { history: 1, since: first.id })
    await both.sink.until(() => both.sink.messages.length === 2)
    expect(both.sink.told).toEqual(['start', 'two', 'three'])
  })

  it('resumes from the place where a subscription began, before its first message', async () => {
    const { publish, subscribe } = await opened()
    for (const payload of ['one', 'two']) await publish('a', payload)
    const { sink } = subscribe(['a'], { history: 2 })
    await sink.until(() => sink.startedAt !== undefined)
    const again = subscribe(['a'], { since: formatId(sink.startedAt ?? { epoch: '', offset: 0 }) })
    await again.sink.until(() => again.sink.messages.length === 2)
    expect(again.sink.told).toEqual(['start', 'one', 'two'])
  })

  it('tells of a gap once, before anything else, when it does not know an id', async () => {
    const { publish, subscribe } = await opened()
    await publish('a', 'one')
    for (const since of ['0123456789ab-7', 'nonsense']) {
      const { sink } = subscribe(['a'], { since })
      await sink.until(() => sink.messages.length === 1)
      expect(sink.told).toEqual(['start', 'gap', 'one'])
    }
  })

  it('gives a repeat under the same key the first id, and refuses another payload under it', async () => {
    const { publish, subscribe } = await opened()
    const { sink } = subscribe(['a'])
    await sink.until(() => sink.startedAt !== undefined)
    const [first, meanwhile] = await Promise.all([publish('a', 'one', 'key'), publish('a', 'one', 'key')])
    expect(meanwhile).toEqual(first)
    expect(await publish('a', 'one', 'key')).toEqual(first)
    await expect(publish('a', 'two', 'key')).rejects.toMatchObject({ code: 'KEY_CONFLICT' })
    await publish('a', 'last')
    await sink.until(() => sink.told.includes('last'))
    expect(sink.told).toEqual(['start', 'one', 'last'])
  })

  it.each([
    ['a little', 256 * 1024 + 1],
    ['far', 3 * 1024 * 1024],
  ])('refuses a payload that is %s too large with the limit and its setting', async (_, bytes) => {
    const { backbone } = await opened()
    const payload = Buffer.alloc(bytes)
    await expect(backbone.publish({ topic: 'a', type: '', binary: true, payload })).rejects.toMatchObject({
      code: 'PAYLOAD_TOO_LARGE',
      bound: { limit: 256 * 1024, setting: 'maxPayloadBytes' },
    })
  })

  it('refuses the topics of the system, except the one that proves the path', async () => {
    const { publish } = await opened()
    await expect(publish('$other', 'one')).rejects.toMatchObject({ code: 'RESERVED_TOPIC' })
    await expect(publish(probeTopic, 'one')).resolves.toHaveProperty('id')
  })

  it('keeps the place of a sink that is full, and goes on from there', async () => {
    const { publish, subscribe } = await opened()
    const { sink, subscription } = subscribe(['a'])
    await sink.until(() => sink.startedAt !== undefined)
    sink.room = 1
    for (const payload of ['one', 'two', 'three']) await publish('a', payload)
    await sink.until(() => sink.messages.length === 1)
    expect(subscription.caughtUp).toBe(false)
    sink.room = Number.POSITIVE_INFINITY
    subscription.resume()
    await sink.until(() => sink.messages.length === 3)
    expect(sink.told).toEqual(['start', 'one', 'two', 'three'])
  })

  it('ends a subscription whose sink stays full as slow, beyond its bound', async () => {
    const { backbone, publish, subscribe } = await opened()
    const { sink } = subscribe(['a'])
    const healthy = subscribe(['a'])
    await Promise.all([sink, healthy.sink].map(one => one.until(() => one.startedAt !== undefined)))
    sink.room = 1
    await publish('a', 'one')
    for (let i = 0; i < 5; i++) {
      await backbone.publish({ topic: 'a', type: '', binary: true, payload: Buffer.alloc(32 * 1024) })
    }
    await sink.until(() => sink.told.includes('end slow'))
    await healthy.sink.until(() => healthy.sink.messages.length === 6)
    expect(sink.told).toEqual(['start', 'one', 'end slow'])
  })

  it('delivers nothing to a subscription that is closed', async () => {
    const { publish, subscribe } = await opened()
    const { sink, subscription } = subscribe(['a'])
    const other = subscribe(['a'])
    await Promise.all([sink, other.sink].map(one => one.until(() => one.startedAt !== undefined)))
    subscription.close()
    subscription.close()
    await publish('a', 'one')
    await other.sink.until(() => other.sink.messages.length === 1)
    expect(sink.told).toEqual(['start'])
  })

  it('takes a snapshot from which a subscription misses nothing and repeats nothing', async () => {
    const { backbone, publish, subscribe } = await opened()
    for (const payload of ['one', 'two', 'three']) await publish('a', payload)
    const snapshot = await backbone.history({ topics: ['a'], exact: false }, 2)
    expect(snapshot.messages.map(text)).toEqual(['two', 'three'])
    await publish('a', 'four')
    const { sink } = subscribe(['a'], { since: formatId(snapshot.position) })
    await sink.until(() => sink.messages.length === 1)
    expect(sink.told).toEqual(['start', 'four'])
  })

  it('ends its subscriptions and refuses publishers when it is closed', async () => {
    const { backbone, publish, subscribe } = await opened()
    const { sink } = subscribe(['a'])
    await sink.until(() => sink.startedAt !== undefined)
    await backbone.close()
    await backbone.close()
    expect(sink.told).toEqual(['start', 'end shutdown'])
    await expect(publish('a', 'late')).rejects.toBeInstanceOf(PosternError)
  })
})

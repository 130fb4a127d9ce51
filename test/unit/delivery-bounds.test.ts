import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Delivery } from '../../broker/delivery.ts'
import { type Message, PosternError, type PullSteps, spaceTopic } from '../../broker/protocol/index.ts'
import { DeliveryModel, defaultBounds } from '../support/delivery-model.ts'
import { messageOf } from '../support/messages.ts'

/** What a publisher to this topic is refused with: the setting, or nothing. */
function refusal(model: DeliveryModel, topic: string): string | undefined {
  try {
    model.delivery.assertRoom(spaceTopic('push', topic))
    return undefined
  } catch (error) {
    if (!(error instanceof PosternError) || error.code !== 'BACKLOG_FULL') throw error
    return error.bound?.setting
  }
}

/** Pushes messages of a thousand bytes until one is refused. @returns why, and what the topic holds then. */
function fill(model: DeliveryModel, topic: string) {
  const { waiting, unflushed } = model.delivery.holdings
  const before = waiting.bytes + unflushed.bytes
  for (;;) {
    const setting = refusal(model, topic)
    if (setting) return { setting, bytes: waiting.bytes + unflushed.bytes - before }
    model.add(topic, 1, 'x'.repeat(1000))
  }
}

const maxPushBytes = 1_000_000
const maxUnpulledBytes = 400_000
/** A message of `fill`, with what is around it. */
const messageBytes = 2000

describe('what is pushed', () => {
  it('is refused with the bound that was hit, and its setting', () => {
    const model = new DeliveryModel({ maxUnpulledBytes: 0 })
    expect(() => model.delivery.assertRoom('$push/jobs')).toThrow('The limit is 0 (maxUnpulledBytes).')
    model.open('p', 'jobs')
    expect(refusal(model, 'jobs')).toBeUndefined()
    model.delivery.bounds = { ...model.delivery.bounds, maxPushBytes: 0 }
    expect(() => model.delivery.assertRoom('$push/jobs')).toThrow('The limit is 0 (maxPushBytes).')
  })

  it('may take as much of the bound as is free beside it: alone, half', () => {
    const model = new DeliveryModel({ maxPushBytes, maxUnpulledBytes })
    model.open('p', 'jobs')
    const { setting, bytes } = fill(model, 'jobs')
    expect(setting).toBe('maxPushBytes')
    expect(bytes).toBeGreaterThanOrEqual(maxPushBytes / 2)
    expect(bytes).toBeLessThan(maxPushBytes / 2 + messageBytes)
  })

  it('finds room for as much again on another topic as is free, whatever the first has gathered', () => {
    const model = new DeliveryModel({ maxPushBytes, maxUnpulledBytes })
    for (const topic of ['jobs', 'other', 'third']) model.open('p', topic)
    const held = ['jobs', 'other', 'third'].map(topic => fill(model, topic).bytes)
    for (const [i, bytes] of held.entries()) {
      expect(bytes).toBeGreaterThanOrEqual(maxPushBytes / 2 ** (i + 1) - messageBytes)
      expect(bytes).toBeLessThan(maxPushBytes / 2 ** (i + 1) + messageBytes)
    }
  })

  it('on topics that nobody pulls leaves the rest of the bound to the others, however many topics those are', () => {
    const model = new DeliveryModel({ maxPushBytes, maxUnpulledBytes })
    expect(fill(model, 'void').setting).toBe('maxUnpulledBytes')
    for (let i = 0; i < 1000; i++) {
      const topic = `void/${i}`
      if (!refusal(model, topic)) model.add(topic, 1, 'x'.repeat(1000))
    }
    expect(refusal(model, 'one/more')).toBe('maxUnpulledBytes')
    expect(model.delivery.holdings.unpulledBytes).toBeLessThan(maxUnpulledBytes + messageBytes)
    model.open('p', 'jobs')
    expect(fill(model, 'jobs').bytes).toBeGreaterThanOrEqual(
      (maxPushBytes - maxUnpulledBytes) / 2 - messageBytes,
    )
  })

  it('counts against the topics that nobody pulls only while nobody does', () => {
    const model = new DeliveryModel({ maxPushBytes, maxUnpulledBytes })
    fill(model, 'jobs')
    expect(refusal(model, 'other')).toBeUndefined()
    const pulls = [model.open('p', 'jobs'), model.open('p', 'jobs')]
    expect(model.delivery.holdings.unpulledBytes).toBe(0)
    expect(refusal(model, 'jobs')).toBeUndefined()
    for (const pull of pulls) model.close(pull)
    expect(model.delivery.holdings.unpulledBytes).toBe(model.delivery.holdings.waiting.bytes)
    expect(refusal(model, 'jobs')).toBe('maxUnpulledBytes')
  })

  it('counts until it is flushed: a thousand pullers that never do hold no more than the bound', () => {
    const model = new DeliveryModel({ maxPushBytes, pullWindowBytes: 1 })
    const pulls = Array.from({ length: 1000 }, () => model.open('p', 'jobs'))
    expect(fill(model, 'jobs').bytes).toBeLessThan(maxPushBytes / 2 + messageBytes)
    expect(model.delivery.holdings.waiting.messages).toBe(0)
    const held = { ...model.delivery.holdings.unflushed }
    for (const pull of pulls) model.close(pull)
    expect(model.delivery.holdings).toEqual({
      waiting: held,
      unflushed: { messages: 0, bytes: 0 },
      unpulledBytes: held.bytes,
    })
  })

  it('counts empty messages too', () => {
    const model = new DeliveryModel({ maxPushBytes, maxUnpulledBytes })
    model.add('jobs', 500)
    expect(refusal(model, 'jobs')).toBe('maxUnpulledBytes')
  })

  it('is counted as what is there, whatever has happened', () => {
    const steps = fc.array(fc.record({ what: fc.nat(5), which: fc.nat(5) }), { maxLength: 80 })
    fc.assert(
      fc.property(steps, all => {
        const model = new DeliveryModel()
        const topics = ['a', 'b']
        for (const { what, which } of all) {
          const topic = topics[which % 2] ?? 'a'
          const pull = [...model.pullers.keys()][which]
          if (what < 2) model.add(topic)
          else if (what === 2) model.open('p', topic)
          else if (pull === undefined) continue
          else if (what === 3) model.flush(pull)
          else if (what === 4) model.giveBack(pull)
          else model.close(pull)
          const pullers = [...model.pullers.values()]
          const unpulled = topics.filter(one => !pullers.some(puller => puller.topic === one))
          const { waiting, unflushed, unpulledBytes } = model.delivery.holdings
          const messages = model.added.length - model.flushed.size
          const each = messages === 0 ? 0 : (waiting.bytes + unflushed.bytes) / messages
          expect(waiting.messages).toBe(topics.flatMap(one => model.waiting(one)).length)
          expect(unflushed.messages).toBe(pullers.reduce((sum, { held }) => sum + held.size, 0))
          expect(unpulledBytes).toBe(each * unpulled.flatMap(one => model.waiting(one)).length)
        }
      }),
    )
  })
})

describe('a message that nobody pulls', () => {
  it('goes when its time is over, and is counted', () => {
    const model = new DeliveryModel({ pushAgeMs: 1000 })
    model.add('jobs', 3)
    expect([model.delivery.expire(0, 1000), model.delivery.expire(0, 1001)]).toEqual([0, 3])
    expect(model.delivery.counters.pushExpired).toBe(3)
    expect(model.delivery.holdings.waiting).toEqual({ messages: 0, bytes: 0 })
    expect(model.delivery.holdings.unpulledBytes).toBe(0)
  })

  it('stays when a puller has it', () => {
    const model = new DeliveryModel({ pushAgeMs: 1000 })
    const pull = model.open('p', 'jobs')
    model.add('jobs', 4)
    expect(model.delivery.expire(0, 5000)).toBe(1)
    model.flush(pull, 3)
    expect(model.handedTo(pull)).toEqual([1, 2, 3])
    expect(model.delivery.counters).toEqual({ flushed: 3, returned: 0, pushExpired: 1 })
  })

  it('goes to whoever has room, and not away, when it comes back after its time', () => {
    const model = new DeliveryModel({ pushAgeMs: 1000 })
    model.open('silent', 'jobs')
    model.add('jobs')
    const healthy = model.open('q', 'jobs')
    model.pass(1001, ['silent'])
    expect(model.handedTo(healthy)).toEqual([1])
    expect(model.delivery.counters.pushExpired).toBe(0)
  })
})

/** Many pullers with full windows, over messages that count how often they are compared. */
function crowd(pullers: number, each: number) {
  let reads = 0
  let fail: ((why: 'full' | 'gone') => void) | undefined
  const bounds = { ...defaultBounds, pullWindowMessages: each, pullWindowBytes: 1e9 }
  const delivery = new Delivery(bounds, {
    hand: (_peer, _handovers, _untilMs, onFailed) => (fail = onFailed),
  })
  const nothing: PullSteps = { open: [], flushed: [], returned: [], close: [] }
  const tell = (steps: Partial<PullSteps>) => delivery.take('p', { ...nothing, ...steps }, 0)
  const names = Array.from({ length: pullers }, (_, i) => i)
  tell({ open: names.map(pull => ({ pull, topic: '$push/jobs' })) })
  delivery.add(Array.from({ length: pullers * each }, (_, offset) => counting(offset, () => reads++)))
  reads = 0
  return { delivery, names, tell, fail: (why: 'full' | 'gone') => fail?.(why), reads: () => reads }
}

function counting(offset: number, onRead: () => void): Message {
  const message = messageOf({ topic: '$push/jobs', offset })
  return Object.defineProperty(message, 'offset', {
    get() {
      onRead()
      return offset
    },
  })
}

describe('2,000 pullers with full windows that go together', () => {
  const messages = 2000 * 64
  /** Sorted anew for each puller it would be ten thousand times as many. */
  const enough = 10 * messages

  it.each([
    ['told at once', 2000],
    ['told a hundred at a time', 100],
    ['told one by one', 1],
  ])('cost no more than a few looks at each message, %s', (_, atOnce) => {
    const { delivery, names, tell, reads } = crowd(2000, 64)
    for (let i = 0; i < names.length; i += atOnce) tell({ close: names.slice(i, i + atOnce) })
    expect(delivery.holdings.waiting.messages).toBe(messages)
    expect(reads()).toBeLessThan(enough)
  })

  it.each(['full', 'gone'] as const)('cost as little when their process is found %s', why => {
    const { delivery, fail, reads } = crowd(2000, 64)
    fail(why)
    expect(delivery.holdings.waiting.messages).toBe(messages)
    expect(reads()).toBeLessThan(enough)
  })
})

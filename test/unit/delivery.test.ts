import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Delivery } from '../../broker/delivery.ts'
import { type Message, spaceTopic } from '../../broker/protocol/index.ts'
import { DeliveryModel, defaultBounds } from '../support/delivery-model.ts'
import { batchOf, publication, textOf } from '../support/publications.ts'

const jobs = spaceTopic('push', 'jobs')
const nothingHeld = {
  waiting: { messages: 0, bytes: 0 },
  unflushed: { messages: 0, bytes: 0 },
  unpulledBytes: 0,
}

describe('each message', () => {
  it('goes to one puller, in turns, whatever functions process they are of', () => {
    const model = new DeliveryModel()
    const pulls = [model.open('p', 'jobs'), model.open('q', 'jobs'), model.open('p', 'jobs')]
    model.add('jobs', 6)
    expect(pulls.map(pull => model.handedTo(pull))).toEqual([
      [1, 4],
      [2, 5],
      [3, 6],
    ])
  })

  it('goes to pullers of exactly its topic', () => {
    const model = new DeliveryModel()
    const [above, below] = [model.open('p', 'jobs'), model.open('p', 'jobs/below')]
    model.add('jobs/below')
    expect([model.handedTo(above), model.handedTo(below)]).toEqual([[], [1]])
  })

  it('waits, in order, until a puller comes', () => {
    const model = new DeliveryModel()
    model.add('jobs', 2)
    expect(model.delivery.holdings.waiting.messages).toBe(2)
    expect(model.handedTo(model.open('p', 'jobs'))).toEqual([1, 2])
    expect(model.delivery.holdings.waiting).toEqual({ messages: 0, bytes: 0 })
  })

  it('keeps nothing of the batch that it came in', () => {
    const got: Message[] = []
    const delivery = new Delivery(defaultBounds, {
      hand: (_peer, handovers) => got.push(...handovers.map(({ message }) => message)),
    })
    const [message] = batchOf([publication({ topic: jobs, payload: 'abc' }), publication()]).messages
    if (!message) throw new Error('the batch is empty')
    delivery.add([message])
    delivery.take('p', { open: [{ pull: 1, topic: jobs }], flushed: [], returned: [], close: [] }, 0)
    expect(got.map(textOf)).toEqual(['abc'])
    expect(got[0]?.payload.buffer.byteLength).toBe(3)
  })
})

describe('a puller', () => {
  it('gets no more than its window of messages, and one for each that it flushes', () => {
    const model = new DeliveryModel({ pullWindowMessages: 2 })
    const pull = model.open('p', 'jobs')
    model.add('jobs', 5)
    expect(model.handedTo(pull)).toEqual([1, 2])
    model.flush(pull)
    expect(model.handedTo(pull)).toEqual([1, 2, 3])
    model.flush(pull, 2)
    expect(model.handedTo(pull)).toEqual([1, 2, 3, 4, 5])
    expect(model.delivery.counters.flushed).toBe(3)
  })

  it('gets no more than its window of bytes, but one message whatever its size', () => {
    const model = new DeliveryModel({ pullWindowBytes: 1000, pullWindowMessages: 100 })
    const pull = model.open('p', 'jobs')
    model.add('jobs', 1, 'x'.repeat(5000))
    model.add('jobs')
    expect(model.handedTo(pull)).toEqual([1])
    model.flush(pull)
    expect(model.handedTo(pull)).toEqual([1, 2])
  })

  it('that is stuck holds up nobody else', () => {
    const model = new DeliveryModel({ pullWindowMessages: 2 })
    const [stuck, other] = [model.open('p', 'jobs'), model.open('p', 'jobs')]
    for (let i = 0; i < 20; i++) {
      model.add('jobs')
      if (model.puller(other).held.size > 0) model.flush(other)
    }
    expect([model.handedTo(stuck).length, model.handedTo(other).length]).toEqual([2, 18])
  })

  it('that leaves hands on what it has not flushed, to the next and before everything newer', () => {
    const model = new DeliveryModel({ pullWindowMessages: 2 })
    const leaving = model.open('p', 'jobs')
    model.add('jobs', 4)
    model.flush(leaving)
    model.close(leaving)
    expect(model.delivery.counters.returned).toBe(2)
    const next = model.open('q', 'jobs')
    model.flush(next, 2)
    expect(model.handedTo(next)).toEqual([2, 3, 4])
  })

  it('that comes and goes leaves nothing behind', () => {
    const model = new DeliveryModel()
    model.close(model.open('p', 'jobs'))
    model.add('jobs')
    const pull = model.open('p', 'jobs')
    model.flush(pull)
    model.close(pull)
    expect([model.delivery.pullers, model.delivery.holdings]).toEqual([0, nothingHeld])
    expect(model.tell('p')).toBe(0)
  })

  it('that is told of again goes on as it is', () => {
    const model = new DeliveryModel()
    const pull = model.open('p', 'jobs')
    model.add('jobs', 2)
    expect(model.tell('p', { open: [{ pull, topic: jobs }] })).toBe(1)
    expect(model.handedTo(pull)).toEqual([1, 2])
  })

  it('may give messages back, and gets them again when nobody else is there', () => {
    const model = new DeliveryModel()
    const pull = model.open('p', 'jobs')
    model.add('jobs', 2)
    model.giveBack(pull)
    expect(model.handedTo(pull)).toEqual([1, 2, 1, 2])
  })

  it('changes nothing by what it does not have, and by what is not there', () => {
    const model = new DeliveryModel()
    const pull = model.open('p', 'jobs')
    model.add('jobs')
    const nonsense = [
      { pull, offsets: [7] },
      { pull: 99, offsets: [1] },
    ]
    expect(model.tell('p', { flushed: nonsense, returned: nonsense, close: [99] })).toBe(1)
    expect(model.tell('q', { flushed: [{ pull, offsets: [1] }], close: [pull] })).toBe(0)
    expect([...model.puller(pull).held]).toEqual([1])
    expect(model.delivery.counters).toEqual({ flushed: 0, returned: 0, pushExpired: 0 })
  })
})

describe('a functions process', () => {
  it('whose connection has ended loses its pullers at once, and only it', () => {
    const model = new DeliveryModel()
    model.open('p', 'jobs')
    const healthy = model.open('q', 'jobs')
    model.add('jobs', 4)
    model.lose('p')
    expect(model.probed).toEqual(['p', 'q'])
    expect(model.handedTo(healthy)).toEqual([2, 4, 1])
    model.flush(healthy, 3)
    expect(model.handedTo(healthy)).toEqual([2, 4, 1, 3])
    expect(model.delivery.pullers).toBe(1)
  })

  it('that is found gone when a message is for it loses its pullers too', () => {
    const model = new DeliveryModel()
    const gone = model.open('p', 'jobs')
    const healthy = model.open('q', 'jobs')
    model.broken.set('p', 'gone')
    model.add('jobs', 2)
    expect([model.handedTo(gone), model.handedTo(healthy)]).toEqual([[], [2, 1]])
  })

  it('that is silent for longer than its time loses its pullers, and learns it from the next answer', () => {
    const model = new DeliveryModel()
    model.open('silent', 'jobs')
    const healthy = model.open('q', 'jobs')
    model.add('jobs', 2)
    expect(model.untilMs).toBe(1000)
    model.pass(1001, ['silent'])
    expect(model.handedTo(healthy)).toEqual([2, 1])
    expect(model.tell('silent')).toBe(0)
  })

  it('that comes back after its time has lost its pullers, though nobody has looked meanwhile', () => {
    const model = new DeliveryModel()
    model.open('silent', 'jobs')
    model.add('jobs')
    model.nowMs = 1001
    model.pullers.clear()
    expect(model.tell('silent')).toBe(0)
    expect(model.handedTo(model.open('q', 'jobs'))).toEqual([1])
  })

  it('that comes back after its time can still tell what it had flushed', () => {
    const model = new DeliveryModel()
    const pull = model.open('silent', 'jobs')
    model.add('jobs', 2)
    model.nowMs = 1001
    const flushed = [{ pull, offsets: [1] }]
    model.pullers.clear()
    expect(model.tell('silent', { flushed })).toBe(0)
    expect(model.handedTo(model.open('q', 'jobs'))).toEqual([2])
  })

  it('keeps its pullers while it is heard', () => {
    const model = new DeliveryModel()
    model.open('p', 'jobs')
    for (let i = 0; i < 5; i++) model.pass(900, [])
    expect([model.tell('p'), model.delivery.pullers]).toEqual([1, 1])
  })

  it('that cannot take more gets nothing until it is heard; meanwhile the others do', () => {
    const model = new DeliveryModel()
    const full = model.open('p', 'jobs')
    model.add('jobs')
    const other = model.open('q', 'jobs')
    model.broken.set('p', 'full')
    model.add('jobs', 2)
    model.broken.clear()
    model.add('jobs')
    expect([model.handedTo(full), model.handedTo(other)]).toEqual([[1], [3, 2, 4]])
    model.add('jobs')
    model.tell('p')
    expect(model.handedTo(full)).toEqual([1, 5])
  })
})

/** Something that happens, and to which of those that are there. */
const event = fc.record({
  what: fc.constantFrom(
    ...(['add', 'add', 'add', 'open', 'open', 'flush', 'flush', 'flush', 'close'] as const),
    ...(['giveBack', 'lose', 'full', 'heard', 'silence', 'moment'] as const),
  ),
  which: fc.nat(7),
  count: fc.integer({ min: 1, max: 5 }),
})
type Event = typeof event extends fc.Arbitrary<infer E> ? E : never

const topics = ['a', 'b']
const peers = ['p', 'q', 'r']

function happen(model: DeliveryModel, { what, which, count }: Event): void {
  const peer = peers[which % peers.length] ?? 'p'
  const topic = topics[which % topics.length] ?? 'a'
  const pull = [...model.pullers.keys()][which % Math.max(1, model.pullers.size)]
  if (what === 'add') model.add(topic, count)
  else if (what === 'lose') model.lose(peer)
  else if (what === 'full' && !model.broken.has(peer)) model.broken.set(peer, 'full')
  else if (what === 'silence') model.pass(1001, [peer])
  else if (what === 'moment') model.pass(400, [])
  else if (what === 'open' || what === 'heard') {
    model.broken.delete(peer)
    if (what === 'open') model.open(peer, topic)
    else model.tell(peer)
  } else if (pull !== undefined) {
    if (what === 'flush') model.flush(pull, count)
    else if (what === 'close') model.close(pull)
    else if (what === 'giveBack') model.giveBack(pull)
  }
}

/** The model itself fails when a message is with two, comes after its flush, or beyond a window. */
describe('whatever happens', () => {
  it('no message is lost, and none is with two pullers', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), events => {
        const model = new DeliveryModel()
        for (const one of events) happen(model, one)
        model.broken.clear()
        for (const pull of [...model.pullers.keys()]) model.close(pull)
        for (const topic of topics) {
          const left = model.waiting(topic)
          const last = model.open('last', topic)
          while (model.puller(last).held.size > 0) model.flush(last)
          expect(model.handedTo(last)).toEqual(left)
        }
        expect(model.flushed.size).toBe(model.added.length)
        expect(model.delivery.holdings).toEqual(nothingHeld)
      }),
      { numRuns: 500 },
    )
  })

  it('each puller gets what comes to it for the first time in the order of the log', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), events => {
        const model = new DeliveryModel()
        const seen = new Set<number>()
        for (const one of events) {
          const before = new Map([...model.pullers].map(([pull, { handed }]) => [pull, handed.length]))
          happen(model, one)
          for (const [pull, { handed }] of model.pullers) {
            const fresh = handed.slice(before.get(pull) ?? 0).filter(offset => !seen.has(offset))
            expect(fresh).toEqual(fresh.toSorted((a, b) => a - b))
          }
          for (const { handed } of model.pullers.values()) for (const offset of handed) seen.add(offset)
        }
      }),
    )
  })

  it('nothing waits while a puller that can be reached has room', () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), events => {
        const model = new DeliveryModel()
        for (const one of events.filter(({ what }) => what !== 'full')) {
          happen(model, one)
          for (const { topic, held } of model.pullers.values())
            if (held.size < 3) expect(model.waiting(topic)).toEqual([])
        }
      }),
    )
  })

  it('pullers that all have room get as much as each other', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.array(fc.integer({ min: 1, max: 9 })), (count, adds) => {
        const model = new DeliveryModel({ pullWindowMessages: 1000, pullWindowBytes: 10_000_000 })
        const pulls = Array.from({ length: count }, (_, i) => model.open(peers[i % 3] ?? 'p', 'jobs'))
        for (const messages of adds) model.add('jobs', messages)
        const counts = pulls.map(pull => model.handedTo(pull).length)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isSystemTopic, type Message, type Selection, selector } from '#protocol'
import {
  type HistoryBounds,
  messageOverheadBytes,
  Retained,
  segmentOverheadBytes,
} from '../../broker/retained.ts'
import { TestLog } from '../support/log.ts'

const wide: HistoryBounds = {
  messages: 1000,
  bytes: 1024 * 1024,
  ageMs: 60_000,
  totalBytes: 16 * 1024 * 1024,
}
const all = (topic: string): Selection => ({ topics: [topic], exact: false })
const exact = (...topics: string[]): Selection => ({ topics, exact: true })
const offsets = (messages: readonly Message[]) => messages.map(({ offset }) => offset)

function fill(retained: Retained, topics: readonly string[], log = new TestLog()): TestLog {
  for (const topic of topics) retained.add(log.next(topic))
  return log
}

describe('batches', () => {
  it('come to the same as their messages one by one, whenever somebody asks', () => {
    const runs = fc.array(
      fc.record({ topic: fc.constantFrom('a', 'a/b', 'c'), count: fc.integer({ min: 1, max: 30 }) }),
      { minLength: 1, maxLength: 6 },
    )
    const steps = fc.array(fc.record({ runs, isAsked: fc.boolean() }), { maxLength: 6 })
    const bounds = fc.record({
      messages: fc.constantFrom(0, 1, 5, 25, 1000),
      bytes: fc.constantFrom(0, 3 * messageOverheadBytes, 1024 * 1024),
    })
    fc.assert(
      fc.property(steps, bounds, (steps, bounds) => {
        const together = new Retained({ ...wide, ...bounds })
        const oneByOne = new Retained({ ...wide, ...bounds })
        const log = new TestLog()
        for (const { runs, isAsked } of steps) {
          const batch = log.whole(runs.flatMap(({ topic, count }) => Array(count).fill({ topic })))
          together.addBatch(batch)
          for (const message of batch.messages) oneByOne.add(message)
          if (isAsked) expect(together.size).toEqual(oneByOne.size)
        }
        for (const topic of ['a', 'a/b', 'c']) {
          for (let after = 0; after <= log.last; after += 7) {
            expect(together.since(all(topic), after)).toEqual(oneByOne.since(all(topic), after))
          }
          expect(together.last(exact(topic), 10)).toEqual(oneByOne.last(exact(topic), 10))
        }
        expect(together.size).toEqual(oneByOne.size)
      }),
    )
  })

  it('are let go of when the tail lets go of them', () => {
    const retained = new Retained(wide)
    const log = new TestLog()
    const batch = log.whole([
      { topic: 'a', payload: 'one' },
      { topic: 'a', payload: 'two' },
    ])
    retained.addBatch(batch)
    retained.detachThrough(1)
    const [first, second] = retained.last(all('a'), 2)
    expect(first?.payload.buffer).not.toBe(batch.bytes.buffer)
    expect(second?.payload.buffer).toBe(batch.bytes.buffer)
  })
})

describe('what a selection gets', () => {
  it('is what comes after an offset, of the topics and all below them, in the order of the log', () => {
    const retained = new Retained(wide)
    fill(retained, ['a', 'a/b', 'ab', 'a/b/c', 'A', 'a'])

    expect(offsets(retained.since(all('a'), 0).messages)).toEqual([1, 2, 4, 6])
    expect(offsets(retained.since(all('a/b'), 2).messages)).toEqual([4])
    expect(offsets(retained.since(all('c'), 0).messages)).toEqual([])
  })

  it('is without what is below the topics when it is exact', () => {
    const retained = new Retained(wide)
    fill(retained, ['a', 'a/b', 'a', 'a/b/c'])

    expect(offsets(retained.since(exact('a', 'a/b/c'), 0).messages)).toEqual([1, 3, 4])
  })

  it('has each message once, also when its topics overlap', () => {
    const retained = new Retained(wide)
    fill(retained, ['a', 'a/b', 'a/b/c', 'd', 'd'])

    const overlapping: Selection = { topics: ['a', 'a/b', 'a'], exact: false }
    expect(offsets(retained.since(overlapping, 0).messages)).toEqual([1, 2, 3])
    expect(offsets(retained.last(overlapping, 2))).toEqual([2, 3])
  })

  it('is the last so many over all its topics', () => {
    const retained = new Retained(wide)
    fill(retained, ['a', 'b', 'a', 'a', 'b', 'c', 'c', 'c'])

    const selection: Selection = { topics: ['a', 'b'], exact: false }
    expect(offsets(retained.last(selection, 3))).toEqual([3, 4, 5])
    expect(offsets(retained.last(selection, 99))).toEqual([1, 2, 3, 4, 5])
    expect(retained.last(selection, 0)).toEqual([])
  })

  it('is never what belongs to the system', () => {
    const retained = new Retained(wide)
    fill(retained, ['$probe', 'a'])

    expect(retained.since(all('$probe'), 0)).toEqual({ messages: [], complete: true })
    expect(retained.size.messages).toBe(1)
  })

  it('takes a message once, however often it is added', () => {
    const retained = new Retained(wide)
    const message = new TestLog().next('a')
    retained.add(message)
    retained.add(message)

    expect(retained.last(all('a'), 9)).toEqual([message])
  })
})

describe('bounds', () => {
  it('keep the newest messages of a topic, and tell who asks for more that it is not complete', () => {
    const retained = new Retained({ ...wide, messages: 2 })
    fill(retained, ['a', 'a', 'b', 'a'])

    expect(offsets(retained.since(all('a'), 1).messages)).toEqual([2, 4])
    expect(retained.since(all('a'), 0).complete).toBe(false)
    expect(retained.since(all('a'), 1).complete).toBe(true)
    expect(retained.since(all('b'), 0).complete).toBe(true)
  })

  it('in bytes count what a message takes beside its payload', () => {
    const retained = new Retained({ ...wide, bytes: 3 * messageOverheadBytes })
    fill(retained, ['a', 'a', 'a', 'b'])

    expect(offsets(retained.last(all('a'), 9))).toEqual([2, 3])
  })

  it('in bytes leave a topic its newest message, however large', () => {
    const retained = new Retained({ ...wide, bytes: 10_000 })
    const log = fill(retained, ['a', 'a'])
    retained.add(log.next('a', 'x'.repeat(20_000)))

    expect(offsets(retained.last(all('a'), 9))).toEqual([3])
  })

  it('of nothing keep nothing', () => {
    for (const bounds of [
      { ...wide, messages: 0 },
      { ...wide, bytes: 0 },
      { ...wide, totalBytes: 0 },
    ]) {
      const retained = new Retained(bounds)
      fill(retained, ['a', 'b', 'a'])

      expect(retained.size).toEqual({ topics: 0, messages: 0, bytes: 0 })
      expect(retained.since(all('a'), 2)).toEqual({ messages: [], complete: false })
      expect(retained.since(all('a'), 3)).toEqual({ messages: [], complete: true })
    }
  })

  it('in total let the oldest messages of all topics go first', () => {
    const retained = new Retained({
      ...wide,
      totalBytes: 3.5 * (messageOverheadBytes + segmentOverheadBytes),
    })
    fill(retained, ['a', 'b', 'b', 'c', 'd'])

    expect(offsets(retained.since({ topics: ['a', 'b', 'c', 'd'], exact: false }, 0).messages)).toEqual([
      3, 4, 5,
    ])
    expect(retained.since(all('b'), 2).complete).toBe(true)
  })

  it('in total count every segment of every topic, so that deep topics are not free', () => {
    const retained = new Retained({ ...wide, totalBytes: 1_000_000 })
    const log = new TestLog()
    for (let i = 0; i < 1000; i++) retained.add(log.next(`${i}/${'a/'.repeat(100)}z`))

    expect(retained.size.topics).toBeLessThan(1_000_000 / (100 * segmentOverheadBytes))
    expect(retained.size.topics).toBeGreaterThan(10)
  })

  it('hold at once when they are changed', () => {
    const retained = new Retained(wide)
    fill(retained, ['a', 'b', 'a', 'b', 'a'])

    retained.bounds = { ...wide, messages: 1 }
    expect(offsets(retained.last({ topics: ['a', 'b'], exact: true }, 9))).toEqual([4, 5])
    retained.bounds = { ...wide, totalBytes: 0 }
    expect(retained.size.messages).toBe(0)
  })

  it('of age hold when time passes', () => {
    const retained = new Retained({ ...wide, ageMs: 1000 })
    const log = fill(retained, ['a', 'b'])
    log.timeMs += 500
    fill(retained, ['a'], log)

    retained.expire(log.timeMs + 500)
    expect(retained.size.messages).toBe(3)
    retained.expire(log.timeMs + 501)
    expect(offsets(retained.last(all('a'), 9))).toEqual([3])
    expect(retained.since(all('b'), 0)).toEqual({ messages: [], complete: false })
  })

  it('leave nothing of a topic that has gone', () => {
    const retained = new Retained({ ...wide, ageMs: 1 })
    const log = new TestLog()
    for (let i = 0; i < 1000; i++) retained.add(log.next(`room/${i}/x`))
    retained.expire(log.timeMs + 2)

    expect(retained.size).toEqual({ topics: 0, messages: 0, bytes: 0 })
  })
})

describe('detaching', () => {
  it('copies messages through an offset out of their batches, and those after it later', () => {
    const retained = new Retained(wide)
    const log = new TestLog()
    for (let i = 0; i < 3; i++) {
      for (const message of log.batch([
        { topic: 'a', payload: 'one' },
        { topic: 'b', payload: 'two' },
      ]))
        retained.add(message)
    }
    const alone = () => {
      const { messages } = retained.since({ topics: ['a', 'b'], exact: true }, 0)
      return messages.map(({ payload }) => payload.buffer.byteLength === 3)
    }

    retained.detachThrough(3)
    expect(alone()).toEqual([true, true, true, false, false, false])
    retained.detachThrough(3)
    retained.detachThrough(99)
    expect(alone()).toEqual([true, true, true, true, true, true])
    expect(retained.last(all('b'), 1).map(({ payload }) => Buffer.from(payload).toString())).toEqual(['two'])
  })
})

describe('forgetting', () => {
  it('tells whoever resumes from before it that something is missing', () => {
    const retained = new Retained(wide)
    retained.forgetThrough(10)
    const log = new TestLog()
    log.last = 10
    fill(retained, ['a'], log)

    expect(retained.since(all('a'), 9)).toMatchObject({ complete: false })
    expect(retained.since(all('a'), 10)).toMatchObject({ complete: true })
    expect(retained.since(all('b'), 9)).toMatchObject({ complete: false })
  })
})

const topics = ['a', 'a/b', 'a/b/c', 'a/d', 'ab', 'A', 'b', 'b/x', '$probe'] as const

type Step =
  | { readonly kind: 'add'; readonly topic: string; readonly bytes: number; readonly waitMs: number }
  | { readonly kind: 'expire' }
  | { readonly kind: 'detach' }
  | { readonly kind: 'bounds'; readonly bounds: HistoryBounds }

const anyBounds = fc.record({
  messages: fc.integer({ min: 0, max: 6 }),
  bytes: fc.constantFrom(0, 1000, 3000, 100_000),
  ageMs: fc.constantFrom(50, 1_000_000),
  totalBytes: fc.constantFrom(0, 3000, 8000, 20_000, 1_000_000),
})

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constant('add' as const),
      topic: fc.constantFrom(...topics),
      bytes: fc.constantFrom(0, 3, 400, 3000),
      waitMs: fc.integer({ min: 0, max: 20 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'expire' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'detach' as const }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('bounds' as const), bounds: anyBounds }) },
)

const anySelection: fc.Arbitrary<Selection> = fc.record({
  topics: fc.array(fc.constantFrom(...topics, 'none', 'a/b/c/d'), { minLength: 1, maxLength: 4 }),
  exact: fc.boolean(),
})

/** The same rules over one list. */
class Model {
  readonly added: Message[] = []
  kept: Message[] = []
  forgottenThrough = 0
  readonly #dropped = new Map<string, number>()
  bounds: HistoryBounds

  constructor(bounds: HistoryBounds) {
    this.bounds = bounds
  }

  add(message: Message): void {
    if (isSystemTopic(message.topic)) return
    this.added.push(message)
    this.kept.push(message)
    this.trim()
  }

  trim(): void {
    for (const topic of new Set(this.kept.map(message => message.topic))) {
      for (let own = this.#of(topic); this.#isTooMuch(own); own = this.#of(topic)) this.#drop(own[0])
    }
    while (this.bytes > this.bounds.totalBytes && this.kept.length > 0) this.#drop(this.kept[0])
  }

  expire(nowMs: number): void {
    for (const message of [...this.kept]) if (message.timeMs < nowMs - this.bounds.ageMs) this.#drop(message)
  }

  get bytes(): number {
    const nodes = new Set<string>()
    for (const { topic } of this.kept) {
      const segments = topic.split('/')
      for (let i = 1; i <= segments.length; i++) nodes.add(segments.slice(0, i).join('/'))
    }
    return nodes.size * segmentOverheadBytes + weigh(this.kept)
  }

  since(selection: Selection, offset: number) {
    const selects = selector(selection)
    const messages = this.kept.filter(message => message.offset > offset && selects(message.topic))
    const complete =
      this.forgottenThrough <= offset &&
      [...this.#dropped].every(([topic, dropped]) => dropped <= offset || !selects(topic))
    return { messages, complete }
  }

  /** Whether a message is missing, by all that ever was. */
  misses(selection: Selection, offset: number): boolean {
    const selects = selector(selection)
    return this.added.some(
      message => message.offset > offset && selects(message.topic) && !this.kept.includes(message),
    )
  }

  #of(topic: string): Message[] {
    return this.kept.filter(message => message.topic === topic)
  }

  #isTooMuch(own: readonly Message[]): boolean {
    if (own.length === 0) return false
    if (this.bounds.messages === 0 || this.bounds.bytes === 0) return true
    return own.length > 1 && (own.length > this.bounds.messages || weigh(own) > this.bounds.bytes)
  }

  #drop(message: Message | undefined): void {
    if (!message) return
    this.kept = this.kept.filter(other => other !== message)
    this.#dropped.set(message.topic, message.offset)
    if (this.#of(message.topic).length > 0) return
    this.#dropped.delete(message.topic)
    this.forgottenThrough = Math.max(this.forgottenThrough, message.offset)
  }
}

function weigh(messages: readonly Message[]): number {
  return messages.reduce((sum, message) => sum + message.weight + messageOverheadBytes, 0)
}

describe('whatever happens', () => {
  it('the answers are those of the same rules over one list of all messages', () => {
    fc.assert(
      fc.property(
        anyBounds,
        fc.array(anyStep, { maxLength: 120, size: 'max' }),
        fc.array(fc.record({ selection: anySelection, back: fc.nat(60), count: fc.nat(12) }), {
          minLength: 5,
        }),
        (bounds, steps, questions) => {
          const retained = new Retained(bounds)
          const model = new Model(bounds)
          const log = new TestLog()
          for (const step of steps) run(step, retained, model, log)

          const held = new Set(model.kept.map(({ topic }) => topic))
          expect(retained.size).toEqual({
            topics: held.size,
            messages: model.kept.length,
            bytes: model.bytes,
          })
          for (const { selection, back, count } of questions) {
            const offset = Math.max(0, log.last - back)
            const answer = retained.since(selection, offset)
            expect(answer).toEqual(model.since(selection, offset))
            if (answer.complete) expect(model.misses(selection, offset)).toBe(false)
            const { messages } = model.since(selection, 0)
            expect(retained.last(selection, count)).toEqual(
              messages.slice(Math.max(0, messages.length - count)),
            )
          }
        },
      ),
    )
  })
})

function run(step: Step, retained: Retained, model: Model, log: TestLog): void {
  switch (step.kind) {
    case 'add': {
      log.timeMs += step.waitMs
      const message = log.next(step.topic, 'x'.repeat(step.bytes))
      retained.add(message)
      model.add(message)
      return
    }
    case 'expire':
      retained.expire(log.timeMs)
      model.expire(log.timeMs)
      return
    case 'detach':
      retained.detachThrough(log.last)
      return
    case 'bounds':
      retained.bounds = step.bounds
      model.bounds = step.bounds
      model.trim()
  }
}

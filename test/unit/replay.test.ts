import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatId,
  type Message,
  maxOffset,
  type Position,
  type Selection,
  selector,
  spaceTopic,
} from '#protocol'
import type { ReplayPage, ReplayQuery } from '../../broker/replay.ts'
import { publication, textOf } from '../support/publications.ts'
import { messagesOf, TestBroker } from '../support/test-broker.ts'

const below = (...topics: string[]): Selection => ({ topics, exact: false })
const exactly = (...topics: string[]): Selection => ({ topics, exact: true })
const at = (offset: number, epoch = 'aaaaaaaaaaaa') => formatId({ epoch, offset })
const offsets = ({ batches }: Pick<ReplayPage, 'batches'>) => messagesOf(batches).map(({ offset }) => offset)
const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)

/** One batch for each message. */
function fill(test: TestBroker, topics: readonly string[], payload: string | Uint8Array = ''): void {
  for (const topic of topics) test.publish(publication({ topic, payload }))
}

/** The tail holds the last batch alone. */
const shortTail = { tailBytes: 1 }

/** Reads on from page to page, as a reader does; `between` happens after each page. */
function follow(
  test: TestBroker,
  query: ReplayQuery,
  between: (page: ReplayPage) => void = () => {},
): ReplayPage[] {
  const pages: ReplayPage[] = []
  let page = test.broker.replay(query)
  for (;;) {
    pages.push(page)
    between(page)
    if (!page.more) return pages
    expect(page.through.offset).toBeGreaterThan(page.from.offset)
    page = test.broker.replay({ selection: query.selection, since: formatId(page.through) })
  }
}

describe.each([
  ['the tail', {}],
  ['the history', shortTail],
])('a replay out of %s', (_, settings) => {
  it('gives what came after an id, of the selected topics, in the order of the log', () => {
    const test = new TestBroker(settings)
    fill(test, ['a', 'a/b', 'ab', 'a/b/c', 'b', 'a'])
    const found = (selection: Selection, since: number) =>
      follow(test, { selection, since: at(since) }).flatMap(page => {
        expect(page.gap).toBe(false)
        return offsets(page)
      })
    expect(found(below('a'), 0)).toEqual([1, 2, 4, 6])
    expect(found(below('a'), 2)).toEqual([4, 6])
    expect(found(below('a/b', 'ab'), 0)).toEqual([2, 3, 4])
    expect(found(exactly('a'), 0)).toEqual([1, 6])
    expect(found(exactly('a', 'a/b/c'), 0)).toEqual([1, 4, 6])
    expect(found(below('a', 'a/b', 'a'), 0)).toEqual([1, 2, 4, 6])
    expect(found(below('x'), 0)).toEqual([])
    expect(found(below(), 0)).toEqual([])
    expect(found(below('a'), 6)).toEqual([])
  })

  it('gives the last so many over all the topics, and where they begin', () => {
    const test = new TestBroker(settings)
    fill(test, ['a', 'b', 'c', 'a/b', 'b', 'c'])
    const page = test.broker.replay({ selection: below('a', 'b'), last: 3 })
    expect(page).toMatchObject({ gap: false, more: false, from: { offset: 1 }, through: { offset: 6 } })
    expect(offsets(page)).toEqual([2, 4, 5])
    expect(offsets(test.broker.replay({ selection: below('a', 'b'), last: 99 }))).toEqual([1, 2, 4, 5])
    expect(offsets(test.broker.replay({ selection: exactly('a'), last: 2 }))).toEqual([1])
  })

  it('leaves every message as it is', () => {
    const test = new TestBroker(settings)
    test.nowMs = 12_345
    const payload = new Uint8Array([0xff, 0x00])
    test.publish(
      publication({ topic: 'a', type: 'msg', binary: true, payload }),
      publication({ topic: 'a', payload: '' }),
    )
    test.nowMs = 12_346
    test.publish(publication({ topic: 'end' }))

    const [first, second] = messagesOf(test.broker.replay({ selection: below('a'), since: at(0) }).batches)
    expect(first).toMatchObject({ id: at(1), topic: 'a', type: 'msg', binary: true, timeMs: 12_345 })
    expect(Buffer.from(first?.payload ?? [])).toEqual(Buffer.from(payload))
    expect(second).toMatchObject({ id: at(2), type: '', binary: false, timeMs: 12_345 })
    expect(second?.payload).toHaveLength(0)
  })
})

describe('a replay', () => {
  it('of a topic that no history keeps tells of a gap where the tail does not reach back', () => {
    const bus = spaceTopic('bus', 'a')
    const test = new TestBroker(shortTail)
    fill(test, [bus, 'b', bus])
    const replay = (since: number) => test.broker.replay({ selection: exactly(bus), since: at(since) })
    expect(replay(0)).toMatchObject({ gap: true, from: { offset: 0 } })
    expect(replay(2)).toMatchObject({ gap: false, through: { offset: 3 } })
    expect(offsets(replay(2))).toEqual([3])
  })

  it('that asks for nothing of the past begins at the end', () => {
    const test = new TestBroker()
    fill(test, ['a', 'a'])
    const end = { epoch: test.epoch, offset: 2 }
    const nothing = { gap: false, from: end, through: end, more: false, batches: [] }
    expect(test.broker.replay({ selection: below('a') })).toEqual(nothing)
    expect(test.broker.replay({ selection: below('a'), last: 0 })).toEqual(nothing)
    expect(test.broker.replay({ selection: null })).toEqual(nothing)
    expect(test.broker.replay({ selection: below('x'), last: 5 })).toEqual(nothing)
  })

  it('by an id takes no notice of how many', () => {
    const test = new TestBroker()
    fill(test, ['a', 'a', 'a'])
    expect(offsets(test.broker.replay({ selection: below('a'), since: at(1), last: 1 }))).toEqual([2, 3])
  })

  it('does not tell what is not in the log yet', () => {
    const test = new TestBroker()
    test.broker.accept(publication({ topic: 'a' }))
    expect(offsets(test.broker.replay({ selection: below('a'), since: at(0) }))).toEqual([])
    test.turn()
    expect(offsets(test.broker.replay({ selection: below('a'), since: at(0) }))).toEqual([1])
  })

  it('begins within a batch where the id says so', () => {
    const test = new TestBroker()
    test.publish(...range(1, 5).map(i => publication({ topic: 'a', payload: String(i) })))
    const page = test.broker.replay({ selection: below('a'), since: at(3) })
    expect(messagesOf(page.batches).map(textOf)).toEqual(['4', '5'])
  })

  it('is counted, and its gaps', () => {
    const test = new TestBroker()
    test.broker.replay({ selection: below('a'), since: at(0) })
    test.broker.replay({ selection: below('a'), since: 'nonsense' })
    expect(test.broker.counters).toMatchObject({ replays: 2, gaps: 1 })
  })
})

describe('a replay comes in pages', () => {
  const payload = new Uint8Array(50_000)

  it('of about 256 KiB, each of which tells where the next begins', () => {
    for (const settings of [{ tailBytes: 10_000_000 }, shortTail]) {
      const test = new TestBroker(settings)
      fill(
        test,
        Array.from({ length: 20 }, () => 'a'),
        payload,
      )
      const pages = follow(test, { selection: below('a'), since: at(0) })
      expect(pages.length).toBeGreaterThanOrEqual(4)
      expect(pages.flatMap(offsets)).toEqual(range(1, 20))
      for (const { batches } of pages) {
        expect(batches.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(320 * 1024)
      }
      expect(pages.slice(1).map(({ from }) => from)).toEqual(pages.slice(0, -1).map(({ through }) => through))
      expect(pages.map(({ gap }) => gap)).not.toContain(true)
    }
  })

  it('of which one may be a single message, however large', () => {
    const test = new TestBroker({ maxPayloadBytes: 2_000_000, tailBytes: 10_000_000 })
    fill(test, ['a', 'a'], new Uint8Array(1_000_000))
    fill(test, ['b'])
    expect(follow(test, { selection: below('a'), since: at(0) }).map(offsets)).toEqual([[1], [2], []])
  })

  it('but not when the last so many are asked for: what follows a cut would be more than those', () => {
    const test = new TestBroker(shortTail)
    fill(
      test,
      Array.from({ length: 30 }, () => 'a'),
      payload,
    )
    const pages = follow(test, { selection: below('a'), last: 20 })
    expect(pages[0]?.from.offset).toBe(10)
    expect(pages.map(offsets)).toEqual([range(11, 30)])
  })

  it('and jumps over what is not selected', () => {
    const test = new TestBroker({ tailBytes: 10_000_000 })
    fill(test, ['a', ...Array.from({ length: 20 }, () => 'other'), 'a'], payload)
    expect(follow(test, { selection: below('a'), since: at(0) }).map(offsets)).toEqual([[1, 22]])
  })
})

describe('a gap', () => {
  it('is none for an id of this epoch that the history reaches back to', () => {
    const test = new TestBroker(shortTail)
    fill(test, ['a', 'b', 'a'])
    expect(test.broker.replay({ selection: below('a'), since: at(0) }).gap).toBe(false)
  })

  it('is told when messages of the selection are gone, and the rest is given', () => {
    const test = new TestBroker({ ...shortTail, history: { messages: 2 } })
    fill(test, ['a', 'b', 'a', 'a', 'a', 'end'])
    const page = test.broker.replay({ selection: below('a'), since: at(1) })
    expect(page).toMatchObject({ gap: true, from: { offset: 1 } })
    expect(offsets(page)).toEqual([4, 5])
    expect(test.broker.replay({ selection: below('a'), since: at(3) }).gap).toBe(false)
    expect(test.broker.replay({ selection: below('b'), since: at(0) }).gap).toBe(false)
  })

  it('is none where the tail still has what the history has dropped', () => {
    const test = new TestBroker({ history: { messages: 1 } })
    fill(test, ['a', 'a', 'a'])
    const page = test.broker.replay({ selection: below('a'), since: at(0) })
    expect([page.gap, offsets(page)]).toEqual([false, [1, 2, 3]])
  })

  it('is told for an id from the future, which is taken for the end', () => {
    const test = new TestBroker()
    fill(test, ['a', 'a'])
    for (const offset of [3, maxOffset]) {
      const page = test.broker.replay({ selection: below('a'), since: at(offset) })
      expect(page).toMatchObject({ gap: true, more: false, from: { offset: 2 }, through: { offset: 2 } })
      expect(offsets(page)).toEqual([])
    }
    expect(test.broker.replay({ selection: below('a'), since: at(2) }).gap).toBe(false)
  })

  it.each(['', 'nonsense', at(1, 'ffffffffffff'), `${at(1)} `])(
    'is told for the id %j that nobody knows, with all there is',
    since => {
      for (const settings of [{}, shortTail]) {
        const test = new TestBroker(settings)
        fill(test, ['a', 'b', 'a'])
        const pages = follow(test, { selection: below('a'), since })
        expect(pages[0]?.gap).toBe(true)
        expect(pages.slice(1).map(({ gap }) => gap)).not.toContain(true)
        expect(pages.flatMap(offsets)).toEqual([1, 3])
      }
    },
  )
})

describe('an id of a past epoch', () => {
  /** Three messages of the past epoch, and then three of today's. */
  function begin(settings = {}): TestBroker {
    const old = new TestBroker(settings, undefined, 'bbbbbbbbbbbb')
    fill(old, ['a', 'a', 'b'])
    const test = old.afterPowerLoss('aaaaaaaaaaaa')
    fill(test, ['a', 'b', 'a'])
    return test
  }

  it.each([{}, shortTail])('gets a gap and then all that came after it, of both epochs', settings => {
    const test = begin(settings)
    const pages = follow(test, { selection: below('a'), since: at(1, 'bbbbbbbbbbbb') })
    expect(pages.map(({ gap }) => gap)).toEqual([true, ...pages.slice(1).map(() => false)])
    expect(pages.flatMap(({ batches }) => messagesOf(batches)).map(({ id }) => id)).toEqual([
      at(2, 'bbbbbbbbbbbb'),
      at(4),
      at(6),
    ])
  })

  it('past its known end is taken for that end', () => {
    const page = begin().broker.replay({ selection: below('a'), since: at(5, 'bbbbbbbbbbbb') })
    expect(page).toMatchObject({ gap: true, from: { epoch: 'aaaaaaaaaaaa', offset: 3 } })
    expect(offsets(page)).toEqual([4, 6])
  })

  it('still gets a gap when nothing is new', () => {
    const test = new TestBroker({}, undefined, 'bbbbbbbbbbbb')
    fill(test, ['a'])
    const page = test
      .afterPowerLoss('aaaaaaaaaaaa')
      .broker.replay({ selection: below('a'), since: at(1, 'bbbbbbbbbbbb') })
    expect(page).toMatchObject({ gap: true, more: false, batches: [] })
  })

  it('is no matter for the last so many', () => {
    const page = begin().broker.replay({ selection: below('a'), last: 3 })
    expect(page.gap).toBe(false)
    expect(offsets(page)).toEqual([2, 4, 6])
  })
})

describe('a replay of the whole log', () => {
  it('gives the batches as they were streamed, the topics of the system included', () => {
    const test = new TestBroker()
    fill(test, ['a', '$probe', 'b'])
    const { batches, through, gap } = test.broker.replay({ selection: null, since: at(1) })
    expect(batches.map(bytes => Buffer.from(bytes))).toEqual(
      test.streamed.slice(1).map(({ bytes }) => Buffer.from(bytes)),
    )
    expect([through.offset, gap]).toEqual([3, false])
  })

  it('comes in pages too', () => {
    const test = new TestBroker({ tailBytes: 10_000_000 })
    fill(
      test,
      Array.from({ length: 20 }, () => 'a'),
      new Uint8Array(50_000),
    )
    const pages = follow(test, { selection: null, since: at(0) })
    expect(pages.length).toBeGreaterThanOrEqual(3)
    expect(pages.flatMap(offsets)).toEqual(range(1, 20))
  })

  it('reaches no further back than the tail: before it there is a gap, and it goes on at the end', () => {
    const test = new TestBroker(shortTail)
    fill(test, ['a', 'a', 'a'])
    const end = { epoch: test.epoch, offset: 3 }
    expect(test.broker.replay({ selection: null, since: at(1) })).toEqual({
      gap: true,
      from: end,
      through: end,
      more: false,
      batches: [],
    })
    expect(test.broker.replay({ selection: null, since: at(2) }).gap).toBe(false)
  })
})

describe('a reader that goes from page to page while messages are published', () => {
  const words = fc.constantFrom('a', 'a/b', 'ab', 'b', 'b/c', '$probe')
  const messages = fc.record({ topic: words, bytes: fc.constantFrom(0, 10, 30_000, 120_000) })
  /** Batches, each of some messages. */
  const turns = fc.array(fc.array(messages, { minLength: 1, maxLength: 4 }), { maxLength: 10 })
  const selections = fc.record({
    topics: fc.array(fc.constantFrom('a', 'a/b', 'b', 'x'), { maxLength: 3 }),
    exact: fc.boolean(),
  })

  interface Run {
    readonly test: TestBroker
    readonly pages: readonly ReplayPage[]
    /** The whole log in the end. */
    readonly log: readonly Message[]
  }

  function run(
    test: TestBroker,
    before: readonly (readonly { topic: string; bytes: number }[])[],
    between: readonly (readonly { topic: string; bytes: number }[])[],
    query: (end: Position) => ReplayQuery,
  ): Run {
    const publish = (turn: readonly { topic: string; bytes: number }[]) => {
      test.publish(...turn.map(({ topic, bytes }) => publication({ topic, payload: new Uint8Array(bytes) })))
    }
    before.forEach(publish)
    const waiting = [...between]
    const pages = follow(test, query(test.broker.position), () => {
      const next = waiting.shift()
      if (next) publish(next)
    })
    // What came after the last page.
    const { through } = pages.at(-1) ?? { through: test.broker.position }
    const { selection } = query(test.broker.position)
    pages.push(...follow(test, { selection, since: formatId(through) }))
    return { test, pages, log: test.streamed.flatMap(batch => batch.messages) }
  }

  it('gets everything after its id once and in order, when the history has it all', () => {
    fc.assert(
      fc.property(turns, turns, selections, fc.nat(), (before, between, selection, start) => {
        const test = new TestBroker({ tailBytes: 100_000 })
        const from = (end: Position) => start % (end.offset + 1)
        let began = 0
        const { pages, log } = run(test, before, between, end => {
          began = from(end)
          return { selection, since: at(began) }
        })
        const selects = selector(selection)
        const first = pages[0]?.from.offset ?? 0
        expect(pages.map(({ gap }) => gap)).not.toContain(true)
        expect(pages.flatMap(offsets)).toEqual(
          log
            .filter(({ topic, offset }) => offset > first && selects(topic) && topic !== '$probe')
            .map(({ offset }) => offset),
        )
      }),
      { numRuns: 60 },
    )
  })

  it('gets the last so many and then everything once and in order', () => {
    fc.assert(
      fc.property(turns, turns, selections, fc.nat(12), (before, between, selection, last) => {
        const test = new TestBroker({ tailBytes: 100_000 })
        const { pages, log } = run(test, before, between, () => ({ selection, last }))
        const selects = selector(selection)
        const selected = log.filter(({ topic }) => selects(topic)).map(({ offset }) => offset)
        const begunAt = before.flat().length
        const past = selected.filter(offset => offset <= begunAt)
        expect(pages.flatMap(offsets)).toEqual([
          ...past.slice(Math.max(0, past.length - last)),
          ...selected.filter(offset => offset > begunAt),
        ])
      }),
      { numRuns: 60 },
    )
  })

  it('misses nothing on a page without a gap, and gets nothing twice, when the history forgets', () => {
    fc.assert(
      fc.property(
        turns,
        turns,
        selections,
        fc.nat(),
        fc.integer({ min: 0, max: 3 }),
        (before, between, selection, start, kept) => {
          const test = new TestBroker({ tailBytes: 100_000, history: { messages: kept } })
          const { pages, log } = run(test, before, between, end => ({
            selection,
            since: at(start % (end.offset + 1)),
          }))
          const selects = selector(selection)
          for (const page of pages) {
            const whole = log
              .filter(
                ({ topic, offset }) =>
                  selects(topic) && offset > page.from.offset && offset <= page.through.offset,
              )
              .map(({ offset }) => offset)
            if (page.gap) expect(whole).toEqual(expect.arrayContaining(offsets(page)))
            else expect(offsets(page)).toEqual(whole)
          }
          const found = pages.flatMap(offsets)
          expect(found).toEqual([...new Set(found)].toSorted((a, b) => a - b))
        },
      ),
      { numRuns: 60 },
    )
  })

  it('of the whole log gets every batch once, or a gap', () => {
    fc.assert(
      fc.property(turns, turns, fc.nat(), (before, between, start) => {
        const test = new TestBroker({ tailBytes: 200_000 })
        const ends = [0]
        for (const turn of before) ends.push((ends.at(-1) ?? 0) + turn.length)
        const { pages } = run(test, before, between, () => ({
          selection: null,
          since: at(ends[start % ends.length] ?? 0),
        }))
        for (const page of pages) {
          if (page.gap) expect([page.batches, page.from]).toEqual([[], page.through])
          else expect(offsets(page)).toEqual(range(page.from.offset + 1, page.through.offset))
        }
      }),
      { numRuns: 60 },
    )
  })
})

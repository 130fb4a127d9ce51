import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { maxOffset } from '#protocol'
import { neighboursToMerge } from '../../broker/history/compaction.ts'
import { decodeSegment, encodeSegment, formatRange, parseRange } from '../../broker/history/segment.ts'
import type { Section } from '../../broker/retained.ts'
import { seen, TestLog } from '../support/log.ts'

const anyTopic = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
const anyOffset = fc.integer({ min: 0, max: maxOffset })

const anyLine = fc.record({
  topic: anyTopic,
  payload: fc.string({ unit: 'binary', maxLength: 300 }),
  type: fc.constantFrom('', 'msg', 'ä'),
  binary: fc.boolean(),
})

const anySection = fc
  .record({
    first: fc.integer({ min: 1, max: 2 ** 47 }),
    lines: fc.array(fc.tuple(anyLine, fc.nat(2), fc.constantFrom('00000000000a', 'ffffffffffff')), {
      maxLength: 30,
    }),
    forgottenThrough: anyOffset,
    dropped: fc.array(fc.tuple(anyTopic, anyOffset)),
  })
  .map(({ first, lines, forgottenThrough, dropped }): Section => {
    const log = new TestLog()
    log.last = first - 1
    const messages = lines.flatMap(([line, skipped, epoch]) => {
      log.epoch = epoch
      log.last += skipped
      log.timeMs += skipped
      return log.batch([line])
    })
    return {
      from: first,
      through: Math.max(first, log.last),
      forgottenThrough,
      dropped: new Map(dropped),
      messages,
    }
  })

/** Where a segment says which version it has. */
const versionAt = 3

describe('a segment', () => {
  it('gives back the section that was put in, of any epochs', () => {
    fc.assert(
      fc.property(anySection, section => {
        const decoded = decodeSegment(encodeSegment(section))

        expect({ ...decoded, messages: decoded?.messages.map(seen) }).toEqual({
          ...section,
          messages: section.messages.map(seen),
        })
      }),
    )
  })

  it('holds more messages than fit one batch', () => {
    const log = new TestLog()
    const messages = Array.from({ length: 70_000 }, () => log.next('a', ''))
    const section: Section = { from: 1, through: log.last, forgottenThrough: 0, dropped: new Map(), messages }

    expect(decodeSegment(encodeSegment(section))?.messages.at(-1)?.offset).toBe(70_000)
  })

  it('is recognised as torn wherever it was cut', () => {
    const log = new TestLog()
    const messages = [log.next('a'), log.next('b/c')]
    const bytes = encodeSegment({
      from: 1,
      through: 2,
      forgottenThrough: 0,
      dropped: new Map([['a', 1]]),
      messages,
    })

    for (let length = 0; length < bytes.length; length++) {
      expect(decodeSegment(bytes.subarray(0, length))).toBeUndefined()
    }
    expect(decodeSegment(Buffer.concat([bytes, Buffer.alloc(1)]))).toBeUndefined()
  })

  it('of another version is refused with a sentence, not taken for a broken one', () => {
    const bytes = encodeSegment({
      from: 1,
      through: 1,
      forgottenThrough: 0,
      dropped: new Map(),
      messages: [],
    })
    bytes[versionAt] = 1
    expect(() => decodeSegment(bytes)).toThrow(/history\.store.*has version 1.*reads 2/)
  })

  it('is recognised as broken when any byte of it is another one', () => {
    fc.assert(
      fc.property(anySection, fc.nat(), fc.integer({ min: 1, max: 255 }), (section, at, change) => {
        const bytes = encodeSegment(section)
        // All but the version: a whole segment of another one is no broken one.
        const index = at % bytes.length === versionAt ? versionAt + 1 : at % bytes.length
        bytes[index] = (bytes[index] ?? 0) ^ change

        expect(decodeSegment(bytes)).toBeUndefined()
      }),
    )
  })

  it('is told from any other bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
        expect(decodeSegment(bytes)).toBeUndefined()
      }),
    )
  })

  it('lets each message be copied out of it', () => {
    const log = new TestLog()
    const bytes = encodeSegment({
      from: 1,
      through: 1,
      forgottenThrough: 0,
      dropped: new Map(),
      messages: [log.next('a', 'payload')],
    })
    const [message] = decodeSegment(Buffer.from(bytes))?.messages ?? []
    message?.detach()

    expect(message?.payload.buffer.byteLength).toBe('payload'.length)
  })
})

describe('the name of a segment', () => {
  it('gives its range back, of digits and a dash alone', () => {
    expect(formatRange({ from: 123, through: 456 })).toBe('000000000000123-000000000000456')
    fc.assert(
      fc.property(fc.integer({ min: 1, max: maxOffset }), fc.nat(1000), (from, more) => {
        const range = { from, through: Math.min(from + more, maxOffset) }
        expect(parseRange(formatRange(range))).toEqual(range)
      }),
    )
  })

  it.each([
    '',
    'journal',
    '1-2',
    '000000000000123-000000000000122',
    '000000000000000-000000000000001',
    '000000000000001-000000000000002$',
    '000000000000001-000000000000002:x',
  ])('is none: %j', name => {
    expect(parseRange(name)).toBeUndefined()
  })
})

describe('neighbours', () => {
  const segment = (from: number) => ({ name: `${from}`, from, through: from + 9, byteLength: 100 })
  const segments = [segment(1), segment(11), segment(21), segment(31), segment(41)]

  it('are merged as far as what is kept of them fits one segment', () => {
    const merged = neighboursToMerge(segments, [40, 60, 90, 0, 5], 100)
    expect(merged.map(group => group.map(({ from }) => from))).toEqual([
      [1, 11],
      [21, 31, 41],
    ])
  })

  it('are merged when nothing is kept of them', () => {
    const merged = neighboursToMerge(segments, [0, 0, 0, 0, 0], 100)
    expect(merged.map(group => group.length)).toEqual([5])
  })

  it('stay when they are full, and a lone one is never written over itself', () => {
    expect(neighboursToMerge(segments, [90, 90, 20, 90, 90], 100)).toEqual([])
    expect(neighboursToMerge([], [], 100)).toEqual([])
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChatMessage } from '../../site/message.ts'
import { Timeline } from '../../site/timeline.ts'

describe('the timeline of a room', () => {
  it('shows the history, then what the stream brings, each once', () => {
    const timeline = new Timeline()
    timeline.arrive([message(1), message(2)], true)
    expect(timeline.add(message(2))).toBe('known')
    expect(timeline.add(message(3))).toBe('end')
    expect(shown(timeline)).toBe('1 2 3')
  })

  it('keeps the order of the stream, whatever the clock of the broker does', () => {
    const timeline = new Timeline()
    timeline.arrive([message(1)], true)
    timeline.add(message(2, 5))
    timeline.add(message(3, 1))
    expect(shown(timeline)).toBe('1 2 3')
  })

  it('puts messages that are older than its history in front of it while the stream catches up', () => {
    const timeline = new Timeline()
    timeline.arrive([message(3), message(4)], false)
    expect([message(1), message(2), message(3), message(4)].map(next => timeline.add(next))).toEqual([
      'inside',
      'inside',
      'known',
      'known',
    ])
    // It has caught up: from here on the order of the stream counts.
    timeline.add(message(5, 0))
    expect(shown(timeline)).toBe('1 2 3 4 5')
  })

  it('marks a place where messages are missing, once', () => {
    const timeline = new Timeline()
    timeline.arrive([message(1)], true)
    expect([timeline.gap(), timeline.gap()]).toEqual([true, false])
    timeline.add(message(9))
    expect(shown(timeline)).toBe('1 gap 9')
  })

  it('closes with a later history what it missed', () => {
    const timeline = new Timeline()
    timeline.arrive([message(1), message(2)], true)
    timeline.arrive([message(2), message(3), message(4)], true)
    expect(shown(timeline)).toBe('1 2 3 4')
  })

  it('has a gap when a later history does not reach back to what it has', () => {
    const timeline = new Timeline()
    timeline.arrive([message(1)], true)
    timeline.arrive([message(8), message(9)], true)
    expect(shown(timeline)).toBe('1 gap 8 9')
  })

  it('puts any two overlapping stretches of one log together in its order', () => {
    const stretch = fc.tuple(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 30 }))
    fc.assert(
      fc.property(stretch, stretch, ([a, lengthA], [b, lengthB]) => {
        const first = range(a, a + lengthA)
        const second = range(b, b + lengthB)
        fc.pre(first.some(number => second.includes(number)))
        const timeline = new Timeline()
        timeline.arrive(
          first.map(number => message(number)),
          true,
        )
        timeline.arrive(
          second.map(number => message(number)),
          true,
        )
        const all = [...new Set([...first, ...second])].sort((x, y) => x - y)
        expect(shown(timeline)).toBe(all.join(' '))
      }),
    )
  })

  it('drops the oldest lines beyond its bound', () => {
    const timeline = new Timeline({ maxLines: 4 })
    for (const number of range(1, 6)) timeline.add(message(number))
    expect(timeline.trim()).toBe(false)
    timeline.add(message(6))
    expect(timeline.trim()).toBe(true)
    expect(shown(timeline)).toBe('3 4 5 6')
    expect(timeline.has('e-2')).toBe(false)
  })
})

function message(number: number, timeMs = number): ChatMessage {
  return { id: `e-${number}`, topic: 'chat', timeMs, content: { kind: 'text', text: `${number}` } }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

function shown(timeline: Timeline): string {
  return timeline.lines.map(line => (line.kind === 'gap' ? 'gap' : line.message.id.slice(2))).join(' ')
}

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { OpenStreams } from '../../functions/open-streams.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const streamOf = () => ({ beat: vi.fn(), shutDown: vi.fn() })

describe('the open streams', () => {
  it('each have a heartbeat once in its time', () => {
    const streams = new OpenStreams(15_000, Math.random)
    const all = Array.from({ length: 100 }, streamOf)
    for (const stream of all) streams.add(stream)
    vi.advanceTimersByTime(15_000)
    expect(all.map(stream => stream.beat.mock.calls.length)).toEqual(all.map(() => 1))
    vi.advanceTimersByTime(30_000)
    expect(all.map(stream => stream.beat.mock.calls.length)).toEqual(all.map(() => 3))
  })

  it('do not have it all at once', () => {
    const streams = new OpenStreams(15_000, Math.random)
    const all = Array.from({ length: 3000 }, streamOf)
    for (const stream of all) streams.add(stream)
    vi.advanceTimersByTime(1000)
    const beats = all.filter(stream => stream.beat.mock.calls.length > 0).length
    expect(beats).toBeGreaterThan(30)
    expect(beats).toBeLessThan(300)
  })

  it('share one timer that wakes at most twice a second, and none when there are no streams', () => {
    const streams = new OpenStreams(15_000, Math.random)
    const [a, b] = [streamOf(), streamOf()]
    expect(vi.getTimerCount()).toBe(0)
    streams.add(a)
    streams.add(b)
    expect(vi.getTimerCount()).toBe(1)
    streams.remove(a)
    streams.remove(b)
    streams.remove(b)
    expect(vi.getTimerCount()).toBe(0)
    streams.add(a)
    expect(vi.getTimerCount()).toBe(1)
  })

  it('are all ended, also where each leaves as it ends', () => {
    const streams = new OpenStreams(15_000, Math.random)
    const all = Array.from({ length: 5 }, () => {
      const stream = { beat() {}, shutDown: vi.fn(() => streams.remove(stream)) }
      streams.add(stream)
      return stream
    })
    streams.shutDown()
    expect(all.every(stream => stream.shutDown.mock.calls.length === 1)).toBe(true)
    expect(streams.size).toBe(0)
  })
})

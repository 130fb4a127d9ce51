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

  it('have a clock that turns while they are there, and never tells too early that a time has gone by', () => {
    const streams = new OpenStreams(5000, Math.random)
    streams.add(streamOf())
    vi.advanceTimersByTime(999)
    const { turn } = streams
    vi.advanceTimersByTime(1500)
    expect(streams.turn - turn).toBeLessThan(streams.turnsOf(1501))
    vi.advanceTimersByTime(1000)
    expect(streams.turn - turn).toBe(streams.turnsOf(1501))
  })

  it('are ended at once when they come after all others were', () => {
    const streams = new OpenStreams(15_000, Math.random)
    streams.shutDown()
    const late = streamOf()
    streams.add(late)
    expect(late.shutDown).toHaveBeenCalledOnce()
    expect([streams.size, vi.getTimerCount()]).toEqual([0, 0])
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

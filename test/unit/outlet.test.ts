import { EventEmitter } from 'node:events'
import { H3Event, type HTTPResponse } from 'h3'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Outlet, streamAnswer } from '../../functions/outlet.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const owner = () => ({ drained: vi.fn(), gone: vi.fn() })

const bytes = (length: number) => new Uint8Array(length)

describe('a stream over a web stream', () => {
  const open = () => {
    const mine = owner()
    let outlet: Outlet | undefined
    const answer = streamAnswer(new H3Event(new Request('http://x/')), {}, opened => {
      outlet = opened
      return mine
    })
    if (!outlet || !(answer.body instanceof ReadableStream)) throw new Error('No stream was opened.')
    return { mine, outlet, reader: answer.body.getReader() }
  }

  it('is full beyond 64 KiB, and tells when it has drained', async () => {
    const { mine, outlet, reader } = open()
    await vi.advanceTimersByTimeAsync(0)
    expect(outlet.write(bytes(60_000))).toBe(true)
    expect(outlet.write(bytes(60_000))).toBe(false)
    mine.drained.mockClear()
    await reader.read()
    expect(mine.drained).toHaveBeenCalled()
  })

  it('lets what is waiting flow out before it ends', async () => {
    const { outlet, reader } = open()
    outlet.write(bytes(3))
    outlet.end()
    expect(await reader.read()).toEqual({ done: false, value: bytes(3) })
    expect(await reader.read()).toEqual({ done: true, value: undefined })
    await vi.runAllTimersAsync()
  })

  it('drops what is waiting for a peer that does not read', async () => {
    const { outlet, reader } = open()
    outlet.write(bytes(3))
    outlet.end()
    await vi.runAllTimersAsync()
    await expect(reader.read()).rejects.toThrow('did not read')
  })

  it('tells when its peer goes', async () => {
    const { mine, reader } = open()
    await reader.cancel()
    expect(mine.gone).toHaveBeenCalledOnce()
  })
})

describe('a stream over a response of Node', () => {
  class FakeResponse extends EventEmitter {
    write = vi.fn(() => false)
    end = vi.fn()
    destroy = vi.fn()
    flushHeaders = vi.fn()
  }

  const open = () => {
    const mine = owner()
    const res = new FakeResponse()
    let outlet: Outlet | undefined
    const request = Object.assign(new Request('http://x/'), { runtime: { name: 'node', node: { res } } })
    const answer: HTTPResponse = streamAnswer(new H3Event(request as never), {}, opened => {
      outlet = opened
      return mine
    })
    ;(answer.body as unknown as { pipe(to: FakeResponse): void }).pipe(res)
    if (!outlet) throw new Error('No stream was opened.')
    return { mine, outlet, res }
  }

  it('sends its head at once', () => {
    expect(open().res.flushHeaders).toHaveBeenCalledOnce()
  })

  it('is as full as the response says, and tells when it has drained or gone', () => {
    const { mine, outlet, res } = open()
    expect(outlet.write(bytes(1))).toBe(false)
    res.emit('drain')
    expect(mine.drained).toHaveBeenCalledOnce()
    res.emit('error', new Error('gone'))
    res.emit('close')
    expect(mine.gone).toHaveBeenCalledOnce()
  })

  it('cuts off a peer that does not read the end', () => {
    const { outlet, res } = open()
    outlet.end()
    expect(res.end).toHaveBeenCalledOnce()
    expect(res.destroy).not.toHaveBeenCalled()
    vi.runAllTimers()
    expect(res.destroy).toHaveBeenCalledOnce()
  })

  it('leaves no timer when the peer has read the end', () => {
    const { outlet, res } = open()
    outlet.end()
    res.emit('close')
    expect(vi.getTimerCount()).toBe(0)
  })
})

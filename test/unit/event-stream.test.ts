import { describe, expect, it, vi } from 'vitest'
import type { Backbone, Sink } from '#client'
import { encoderOf } from '../../functions/event-encoding.ts'
import { EventStream } from '../../functions/event-stream.ts'
import { OpenStreams } from '../../functions/open-streams.ts'
import { Tally } from '../../functions/tally.ts'
import { MemoryBackbone } from '../support/memory-backbone.ts'
import { messageOf } from '../support/messages.ts'

const encoder = encoderOf({ base64: false, envelope: false, name: undefined })
const position = { epoch: '00000000000a', offset: 7 }

/** A backbone whose subscriptions do nothing by themselves. */
const quietBackbone = () => {
  const subscription = {
    caughtUp: false,
    position: undefined as typeof position | undefined,
    resume: vi.fn(),
    close: vi.fn(),
  }
  const backbone: Backbone = Object.assign(new MemoryBackbone(), {
    subscribe: vi.fn((): typeof subscription => subscription),
  })
  return { backbone, subscription }
}

const open = (backbone: Backbone, takes = () => true) => {
  const written: Uint8Array[] = []
  const outlet = {
    write: vi.fn((bytes: Uint8Array) => {
      written.push(bytes)
      return takes()
    }),
    end: vi.fn(),
  }
  const streams = new OpenStreams(15_000, Math.random)
  const tally = new Tally()
  const options = { backbone, streams, encoder, retryMs: 1000, random: () => 0.5, tally }
  const stream = new EventStream(outlet, options)
  written.length = 0
  return { stream, outlet, streams, tally, written, text: () => Buffer.concat(written).toString() }
}

describe('an event stream', () => {
  it('writes once for each delivery, and the same bytes for every stream', () => {
    const { backbone } = quietBackbone()
    const [a, b] = [open(backbone), open(backbone)]
    const messages = [messageOf({ payload: '1', offset: 1 }), messageOf({ payload: '2', offset: 2 })]
    expect(a.stream.deliver(messages)).toBe(true)
    expect(b.stream.deliver(messages)).toBe(true)
    expect(a.written.length).toBe(1)
    expect(a.written[0]).toBe(b.written[0])
  })

  it('takes no more while what it wrote is waiting, and asks for more when it has gone', () => {
    const { backbone, subscription } = quietBackbone()
    const { stream } = open(backbone, () => false)
    stream.subscribe({ topics: ['a'], exact: false }, {})
    expect(stream.deliver([messageOf()])).toBe(false)
    expect(subscription.resume).not.toHaveBeenCalled()
    stream.drained()
    stream.drained()
    expect(subscription.resume).toHaveBeenCalledOnce()
  })

  it('beats with its place when it has caught up, and with a comment else', () => {
    const { backbone, subscription } = quietBackbone()
    const { stream, text } = open(backbone)
    stream.subscribe({ topics: ['a'], exact: false }, {})
    stream.beat()
    expect(text()).toBe(':\n\n')
    Object.assign(subscription, { position })
    stream.beat()
    expect(text()).toBe(':\n\n:\n\n')
    Object.assign(subscription, { caughtUp: true })
    stream.beat()
    expect(text()).toBe(':\n\n:\n\nid: 00000000000a-7\n\n')
  })

  it('does not beat while its peer does not read', () => {
    const { backbone } = quietBackbone()
    const { stream, written } = open(backbone, () => false)
    stream.deliver([messageOf()])
    stream.beat()
    expect(written.length).toBe(1)
  })

  it.each([
    [1, 2000],
    [500, 2000],
    [1000, 3000],
    [10_000, 21_000],
  ])('asks to come again after longer where %i end together', (count, middleMs) => {
    const { stream, text } = open(quietBackbone().backbone)
    stream.shutDown(count)
    expect(text()).toBe(`retry: ${middleMs}\n\n`)
  })

  it('ends a slow peer without a word, and asks others to come again', () => {
    const { backbone, subscription } = quietBackbone()
    const [slow, stopped] = [open(backbone), open(backbone)]
    for (const { stream } of [slow, stopped]) stream.subscribe({ topics: ['a'], exact: false }, {})
    slow.stream.end('slow')
    stopped.stream.end('shutdown')
    expect(slow.text()).toBe('')
    expect(stopped.text()).toBe('retry: 2000\n\n')
    for (const { outlet, streams } of [slow, stopped]) {
      expect(outlet.end).toHaveBeenCalledOnce()
      expect(streams.size).toBe(0)
    }
    expect(subscription.close).toHaveBeenCalledTimes(2)
  })

  it('writes nothing after its peer has gone', () => {
    const { backbone } = quietBackbone()
    const { stream, written, outlet } = open(backbone)
    stream.gone()
    stream.deliver([messageOf()])
    stream.beat()
    stream.end('shutdown')
    expect(written).toEqual([])
    expect(outlet.end).not.toHaveBeenCalled()
  })

  it('does not subscribe for a peer that has gone before', () => {
    const { backbone } = quietBackbone()
    const { stream } = open(backbone)
    stream.gone()
    stream.subscribe({ topics: ['a'], exact: false }, {})
    expect(backbone.subscribe).not.toHaveBeenCalled()
  })

  it('lets go of a subscription that has ended while it began', () => {
    const { backbone, subscription } = quietBackbone()
    Object.assign(backbone, {
      subscribe: (_selection: unknown, _start: unknown, sink: Sink) => {
        sink.end('slow')
        return subscription
      },
    })
    const { stream } = open(backbone)
    stream.subscribe({ topics: ['a'], exact: false }, {})
    expect(subscription.close).toHaveBeenCalledOnce()
  })
})

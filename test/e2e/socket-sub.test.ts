import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { socketHostKinds } from '../support/function-hosts.ts'
import { type SocketHost, startSocketHost, told, v1 } from '../support/socket-host.ts'
import { closing, frame, opcodes } from '../support/websocket-wire.ts'

const { text, close, ping } = opcodes

/** A subscriber that does not read until it is too slow, beside one that has everything. */
async function stall(host: SocketHost) {
  const slow = await host.open('/sub/a')
  const other = await host.open('/sub/a')
  slow.socket.pause()
  const payload = Buffer.alloc(100_000)
  let published = 0
  while (host.context.backbone.subscriptions === 2) {
    await host.publish('a', payload, true)
    published++
    await other.until(() => other.frames.length === published)
  }
  return { slow, published }
}

/** No bound of time ends until the test says so. */
function stopTime() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
}

describe.each(socketHostKinds)('/sub on %s', kind => {
  it('sends bare payloads: text as text, binary as binary, empty ones too', async () => {
    const host = await startSocketHost(kind)
    const wire = await host.open('/sub/a')
    await host.publish('a', 'κόσμε')
    await host.publish('a/b', Buffer.of(0, 255), true)
    await host.publish('a', '')
    expect(await told(wire, 3)).toEqual(['text κόσμε', 'binary 00ff', 'text '])
  })

  it.each(['?envelope=1', ''])('sends envelopes: %s', async query => {
    const host = await startSocketHost(kind)
    const wire = await host.open(`/sub/a${query}`, query ? {} : v1)
    const { id } = await host.publish('a/b', 'x')
    await host.publish('a', Buffer.of(255), true)
    await told(wire, 2)
    const [first, second] = wire.payloads.map(payload => JSON.parse(payload.toString()))
    expect(first).toEqual({ id, topic: 'a/b', type: '', time: expect.any(String), data: 'x' })
    expect(second).toMatchObject({ topic: 'a', data: '/w==', encoding: 'base64' })
  })

  it('begins with the last N of all its topics, or after an id, and goes on live', async () => {
    const host = await startSocketHost(kind)
    const ids = []
    for (const topic of ['a', 'b', 'c', 'a']) ids.push((await host.publish(topic, topic)).id)
    const last = await host.open('/sub/a?topic=b&history=2')
    const since = await host.open(`/sub/a?topic=c&history=1&lastEventId=${ids[0]}`)
    const exact = await host.open('/sub/a?exact=1')
    await host.publish('a/x', 'below')
    await host.publish('a', 'live')
    expect(await told(last, 4)).toEqual(['text b', 'text a', 'text below', 'text live'])
    expect(await told(since, 4)).toEqual(['text c', 'text a', 'text below', 'text live'])
    expect(await told(exact, 1)).toEqual(['text live'])
  })

  it('tells of a gap in envelopes, and closes where it cannot tell', async () => {
    const host = await startSocketHost(kind, { maxRetainedMessages: 1 })
    const { id } = await host.publish('a', 'seen')
    for (const payload of ['missed', 'kept']) await host.publish('a', payload)
    const enveloped = await host.open(`/sub/a?envelope=1&lastEventId=${id}`)
    await told(enveloped, 2)
    const [gap, kept] = enveloped.payloads.map(payload => JSON.parse(payload.toString()))
    expect(gap).toEqual({ id: expect.any(String), type: 'gap' })
    expect(kept).toMatchObject({ data: 'kept' })
    const bare = await host.open(`/sub/a?lastEventId=${id}`)
    expect(await bare.closed()).toBe(4000)
    expect(bare.told).toEqual(['close 4000 gap'])
  })

  it('ignores what a subscriber sends', async () => {
    const host = await startSocketHost(kind)
    const wire = await host.open('/sub/a')
    wire.send(frame(text, 'ignored'), frame(ping, 'p'))
    await told(wire, 1)
    await host.publish('a', 'x')
    expect(await told(wire, 2)).toEqual(['pong p', 'text x'])
    expect(host.context.backbone.position.offset).toBe(1)
  })

  it('disconnects a subscriber that does not read, which others do not notice', async () => {
    const host = await startSocketHost(kind, { maxBufferedBytes: 1024 * 1024 })
    const { slow, published } = await stall(host)
    slow.socket.resume()
    await slow.over()
    expect(slow.frames.length).toBeLessThan(published)
  })

  it('tells a slow subscriber why, where it reads what is left within a second', async () => {
    const host = await startSocketHost(kind, { maxBufferedBytes: 64 * 1024 })
    stopTime()
    const { slow } = await stall(host)
    slow.socket.resume()
    expect(await slow.closed()).toBe(1013)
    expect(slow.told.at(-1)).toBe('close 1013 slow')
  })

  it('cuts off a slow subscriber that does not', async () => {
    const host = await startSocketHost(kind, { maxBufferedBytes: 64 * 1024 })
    stopTime()
    const { slow } = await stall(host)
    vi.advanceTimersByTime(1000)
    slow.socket.resume()
    await slow.over()
    expect(slow.frames.map(({ opcode }) => opcode)).not.toContain(close)
  })

  it('lets go of a subscriber that has gone, however it went', async () => {
    const host = await startSocketHost(kind)
    const [polite, rude, gone] = [
      await host.open('/sub/a'),
      await host.open('/sub/a'),
      await host.open('/sub/b'),
    ]
    expect(host.context.backbone.subscriptions).toBe(3)
    polite.send(frame(close, closing(1000)))
    rude.socket.destroy()
    gone.socket.end()
    await polite.over()
    await host.allGone()
  })
})

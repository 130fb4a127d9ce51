import { describe, expect, it } from 'vitest'
import { socketHostKinds } from '../support/function-hosts.ts'
import { startSocketHost, told } from '../support/socket-host.ts'
import { closing, frame, opcodes } from '../support/websocket-wire.ts'

const { close, pong } = opcodes

describe.each(socketHostKinds)('a WebSocket on %s', kind => {
  it.each([1000, 1001, 3000, 4999])('that is closed with %i hears the same code', async code => {
    const host = await startSocketHost(kind)
    for (const path of ['/sub/a', '/pub/a', '/bus/a']) {
      const wire = await host.open(path)
      wire.send(frame(close, closing(code, 'bye')))
      expect(await wire.over()).toEqual([`close ${code}`])
    }
  })

  it('is pinged, and stays when it answers', async () => {
    const host = await startSocketHost(kind, { pingMs: 500 })
    const wire = await host.open('/sub/a')
    for (let pings = 1; pings <= 3; pings++) {
      await wire.until(() => wire.frames.length === pings)
      wire.send(frame(pong))
    }
    await host.publish('a', 'x')
    expect(await told(wire, 4)).toEqual(['ping ', 'ping ', 'ping ', 'text x'])
  })

  it('is gone by the second ping when it does not answer the first', async () => {
    const host = await startSocketHost(kind, { pingMs: 500 })
    const wire = await host.open('/sub/a')
    expect(await wire.over()).toEqual(['ping '])
    await host.allGone()
  })

  it('is closed when nothing comes or goes for the time that is set, pings aside', async () => {
    const host = await startSocketHost(kind, { pingMs: 500, idleMs: 1000 })
    const wire = await host.open('/sub/a')
    for (let pings = 1; pings <= 2; pings++) {
      await wire.until(() => wire.frames.length === pings)
      wire.send(frame(pong))
    }
    await wire.closed()
    expect(await wire.over()).toEqual(['ping ', 'ping ', 'close 1000 idle'])
  })

  it('is closed at its first ping when that comes after the time that is set', async () => {
    const host = await startSocketHost(kind, { pingMs: 2000, idleMs: 500 })
    const wire = await host.open('/sub/a')
    await wire.closed()
    expect(await wire.over()).toEqual(['close 1000 idle'])
  })

  it('is closed with 1001 as the process stops, and a peer that does not answer is not waited for', async () => {
    const host = await startSocketHost(kind)
    const [polite, deaf] = [await host.open('/sub/a'), await host.open('/pub/a')]
    deaf.socket.pause()
    const closed = host.close()
    expect(await polite.closed()).toBe(1001)
    expect(await polite.over()).toEqual(['close 1001 going away'])
    await closed
  })
})

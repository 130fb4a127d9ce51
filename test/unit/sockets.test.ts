import { describe, expect, it, onTestFinished } from 'vitest'
import { openPublisher, openPull, openRouter } from '../../broker/listeners/sockets.ts'

describe('a peer whose machine is gone', () => {
  it.each([
    { name: 'PULL', open: () => openPull(1024) },
    { name: 'ROUTER', open: () => openRouter(1024) },
  ])('is let go of by TCP at the $name: a heartbeat there can abort the process', ({ open }) => {
    const socket = open()
    onTestFinished(() => socket.close())
    expect(socket.heartbeatInterval).toBe(0)
    expect([socket.tcpKeepalive, socket.tcpKeepaliveIdle, socket.tcpMaxRetransmitTimeout]).toEqual([
      1, 10, 30_000,
    ])
  })

  it('is let go of by heartbeats at the PUB, as is one that is stopped', () => {
    const socket = openPublisher(64)
    onTestFinished(() => socket.close())
    expect([socket.heartbeatInterval, socket.heartbeatTimeout]).toEqual([10_000, 30_000])
  })
})

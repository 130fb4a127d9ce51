import { once } from 'node:events'
import { connect, createServer, Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, it, onTestFinished, vi } from 'vitest'
import { OpenStreams } from '../../functions/open-streams.ts'
import { uncounted } from '../../functions/source.ts'
import { DoorTally } from '../../functions/tally.ts'
import { type SocketOwner, WebSocketConnection } from '../../functions/websocket.ts'

const megabyte = 1024 * 1024

/** A connection after its handshake, and the socket of its peer, which reads nothing by itself. */
async function open() {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const peer = connect(address.port, '127.0.0.1')
  const [socket] = await once(server, 'connection')
  if (!(socket instanceof Socket)) throw new Error('no socket')
  socket.on('error', () => {})
  onTestFinished(() => {
    peer.destroy()
    socket.destroy()
  })
  return { socket, peer }
}

function connected(socket: Socket, sockets = new OpenStreams(30_000, () => 0.5)) {
  const owner = { drained: vi.fn(), gone: vi.fn() } satisfies SocketOwner
  const options = { sockets, idleTurns: 0, door: new DoorTally(), maxMessageBytes: () => megabyte }
  return {
    connection: new WebSocketConnection(socket, new Uint8Array(), () => owner, uncounted, options),
    owner,
  }
}

/** Reads so much, and then no more. */
async function read(peer: Socket, bytes: number): Promise<void> {
  let left = bytes
  await new Promise<void>(resolve => {
    const take = (chunk: Uint8Array) => {
      left -= chunk.length
      if (left > 0) return
      peer.pause().off('data', take)
      resolve()
    }
    peer.on('data', take).resume()
  })
}

it('stays while its peer reads what is waiting, however slowly, and goes when it reads no more', async () => {
  const { socket, peer } = await open()
  const { connection, owner } = connected(socket)
  connection.write(Buffer.alloc(64 * megabyte))
  for (let beats = 1; beats <= 3; beats++) {
    connection.beat()
    // More than the system's own buffers hold: some of it must have left the process.
    await read(peer, 16 * megabyte)
  }
  for (let beats = 1; beats <= 4; beats++) connection.beat()
  expect(socket.destroyed).toBe(false)
  expect(owner.drained).not.toHaveBeenCalled()
  while (!socket.destroyed) {
    connection.beat()
    await nextTurn()
  }
})

it.each([
  { bytes: 0, pings: 1 },
  { bytes: 16 * 1024, pings: 1 },
  { bytes: 64 * 1024, pings: 4 },
])(
  'lets a peer that has $bytes bytes to read first answer none of $pings pings',
  async ({ bytes, pings }) => {
    const { socket, peer } = await open()
    const { connection } = connected(socket)
    connection.write(Buffer.alloc(1024 * 1024))
    await read(peer, 1024 * 1024)
    peer.write(Buffer.of(0x8a, 0x80, 0, 0, 0, 0))
    await once(socket, 'data')
    // Nothing of what it had read before counts.
    connection.write(Buffer.alloc(bytes))
    await nextTurn()
    for (let beats = 1; beats <= pings; beats++) connection.beat()
    expect(socket.destroyed).toBe(false)
    connection.beat()
    expect(socket.destroyed).toBe(true)
  },
)

it('does not take its peer for dead while it does not read from it', async () => {
  const { socket } = await open()
  const { connection } = connected(socket)
  connection.pause()
  for (let beats = 1; beats <= 3; beats++) connection.beat()
  connection.resume()
  connection.beat()
  expect(socket.destroyed).toBe(false)
  connection.beat()
  expect(socket.destroyed).toBe(true)
})

it('is closed at once when it opens after all others were', async () => {
  const { socket, peer } = await open()
  const sockets = new OpenStreams(30_000, () => 0.5)
  sockets.shutDown()
  const { owner } = connected(socket, sockets)
  const [close] = await once(peer, 'data')
  expect(close).toEqual(Buffer.from('\x88\x0c\x03\xe9going away', 'latin1'))
  expect(owner.gone).toHaveBeenCalledOnce()
  expect(sockets.size).toBe(0)
})

import { connect } from 'node:net'
import { onTestFinished } from 'vitest'
import { Dealer, Push, type Socket, Subscriber } from 'zeromq'
import type { CurveSocket } from '../../broker/auth/curve-access.ts'
import type { CurveKeys } from '../../broker/client/index.ts'

/** A client's socket for each of the broker's. */
const kinds = {
  ingest: Push,
  plain: Subscriber,
  requests: Dealer,
  stream: Subscriber,
} as const satisfies Record<CurveSocket, unknown>

/** A socket as any program in any language opens it, with keys or without. */
export function openClient(name: CurveSocket, keys?: CurveKeys): Socket {
  const options = {
    linger: 0,
    ...(keys && {
      curveServerKey: keys.serverKey,
      curvePublicKey: keys.publicKey,
      curveSecretKey: keys.secretKey,
    }),
  }
  const socket = new kinds[name](options)
  onTestFinished(() => socket.close())
  return socket
}

/** What becomes of a client that connects: `in`, `refused` when it is told so, `cut` when it is not. */
export async function knock(
  name: CurveSocket,
  address: string,
  keys?: CurveKeys,
): Promise<'in' | 'refused' | 'cut'> {
  const socket = openClient(name, keys)
  const outcome = new Promise<'in' | 'refused' | 'cut'>(resolve => {
    socket.events.on('handshake', () => resolve('in'))
    socket.events.on('handshake:error:auth', () => resolve('refused'))
    socket.events.on('handshake:error:protocol', () => resolve('cut'))
    socket.events.on('handshake:error:other', () => resolve('cut'))
  })
  socket.connect(address)
  const what = await outcome
  socket.close()
  return what
}

/** Writes bytes to a socket, whatever is answered. Resolves when the other side has ended the connection. */
export async function writeRaw(address: string, bytes: Uint8Array): Promise<void> {
  const { hostname, port } = new URL(address.replace('tcp:', 'http:'))
  const socket = connect(Number(port), hostname)
  onTestFinished(() => void socket.destroy())
  socket.resume()
  // It is ended by a reset where something of it was not read.
  socket.on('error', () => {})
  socket.write(bytes)
  await new Promise(resolve => socket.on('close', resolve))
}

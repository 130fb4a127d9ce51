import type { Socket } from 'zeromq'
import { curveKeyMark } from '../protocol/index.ts'
import type { CurveKeys } from './curve.ts'

/** libzmq gives up a connection that was refused. The broker may learn the key, or get keys of its own, meanwhile. */
const retryMs = 1000

export interface RefusalOptions {
  /** Where the socket is connected. */
  readonly addresses: () => readonly string[]
  readonly curve?: CurveKeys | undefined
  /** Told each time, about once a second. The text is for whoever runs the program. */
  readonly onRefused?: ((reason: string) => void) | undefined
}

/** Connects a socket again that the broker has refused, until it is let in or closed. */
export function retryRefused(socket: Socket, { addresses, curve, onRefused }: RefusalOptions): void {
  let timer: NodeJS.Timeout | undefined
  const retry = (reason: string) => {
    onRefused?.(reason)
    timer ??= setTimeout(() => {
      timer = undefined
      if (socket.closed) return
      for (const address of addresses()) {
        socket.disconnect(address)
        socket.connect(address)
      }
    }, retryMs)
    // A program that has nothing else to do may end.
    timer.unref()
  }
  socket.events.on('handshake:error:auth', () =>
    retry(curve ? `the key ${curveKeyMark(curve.publicKey)}… is not let in` : 'a key is asked for'),
  )
  socket.events.on('handshake:error:protocol', ({ error }) => {
    if (error.code !== 'ERR_ZMTP_MECHANISM_MISMATCH') retry(error.code)
    else
      retry(
        curve
          ? 'no keys are taken there: it is not set up for CURVE'
          : 'keys are asked for, and there are none here',
      )
  })
  // Here libzmq connects again by itself.
  socket.events.on('handshake:error:other', () => {
    if (curve)
      onRefused?.('the handshake was broken off: the broker may have another key than the serverKey here')
  })
}

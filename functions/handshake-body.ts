import type { IncomingHttpHeaders } from 'node:http'
import type { Duplex } from 'node:stream'

/** The longest body of a handshake that is read past. */
export const maxHandshakeBodyBytes = 16_384

/**
 * How many bytes stand between the head of a handshake and its first frame. RFC 6455 gives a body no meaning and does
 * not forbid it: Mojo::UserAgent sends one when it is given a text after the address. Node 24 leaves it to whoever takes
 * the upgrade.
 *
 * @returns 0 for one that is to be refused anyway, by `refusalOf`.
 */
export function bodyLengthOf(headers: IncomingHttpHeaders): number {
  const length = Number(headers['content-length'] ?? 0)
  return length <= maxHandshakeBodyBytes && headers['transfer-encoding'] === undefined ? length : 0
}

/**
 * Throws the body of a handshake away. A peer that has not sent all of it in time is cut off.
 *
 * Threat: a body that is taken for frames lets whoever can choose it speak in the name of the client.
 *
 * @param head what has come with the head of the request.
 * @param past gets what has come after the body. Never called when the peer ends before that.
 */
export function readPastBody(
  socket: Duplex,
  head: Buffer,
  length: number,
  withinMs: number,
  past: (head: Buffer) => void,
): void {
  if (head.length >= length) {
    past(head.subarray(length))
    return
  }
  const timer = setTimeout(() => socket.destroy(), withinMs)
  const look = () => {
    const body: Buffer | null = socket.read(length)
    if (body === null) return
    stop()
    // Shorter only at the end of what the peer sends.
    if (body.length < length) socket.destroy()
    else past(Buffer.alloc(0))
  }
  const stop = () => {
    clearTimeout(timer)
    socket.off('readable', look).off('close', stop)
  }
  if (head.length > 0) socket.unshift(head)
  socket.on('readable', look).on('close', stop)
}

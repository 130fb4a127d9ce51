import type { Duplex } from 'node:stream'

/**
 * How much of what was written to a socket the system has taken; 0 where that cannot be told.
 *
 * Node's public counter moves when a write is done, and one write can be megabytes: too coarse to see whether a slow
 * peer reads. The one of its handle, which is no public API, moves with each piece.
 */
export function sentBytes(socket: Duplex): number {
  const handle: unknown = Reflect.get(socket, '_handle')
  return isHandle(handle) ? handle.bytesWritten - handle.writeQueueSize : 0
}

interface Handle {
  readonly bytesWritten: number
  readonly writeQueueSize: number
}

function isHandle(value: unknown): value is Handle {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['bytesWritten', 'writeQueueSize'].every(name => typeof Reflect.get(value, name) === 'number')
  )
}

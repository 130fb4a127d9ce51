import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'

/**
 * Cuts off whoever connects and does not send the head of a request in time. Node looks only twice a minute, and takes
 * a minute and a half.
 */
export function limitHeads(server: Server, withinMs: number): void {
  const timers = new WeakMap<Socket, NodeJS.Timeout>()
  server.on('connection', (socket: Socket) => {
    timers.set(socket, setTimeout(() => socket.destroy(), withinMs).unref())
  })
  const arrived = ({ socket }: IncomingMessage) => {
    clearTimeout(timers.get(socket))
    timers.delete(socket)
  }
  server.prependListener('request', arrived).prependListener('upgrade', arrived)
}

import { type IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'

/** Listeners that stay when HTTP lets go of a socket. */
const outlasting = new WeakSet<object>()

/** @returns the same listener, which {@link takeSocket} leaves where it is. */
export function outlastHttp<Listener extends object>(listener: Listener): Listener {
  outlasting.add(listener)
  return listener
}

/** The newest request of a connection, on its socket. */
const newest = Symbol('newest request')

type NotedSocket = Socket & { [newest]?: IncomingMessage | undefined }

/** A request has come: {@link takeSocket} has to know whether it was the last. */
export function noteRequest(request: IncomingMessage): void {
  const socket: NotedSocket = request.socket
  socket[newest] = request
}

/**
 * Takes the socket from a response whose head has just been written, so that the HTTP objects can be let go of:
 * measured at ten thousand open streams, each then holds 6 KB instead of 16, and a write costs half. The socket can be
 * written to at once; what the peer still sends is thrown away.
 *
 * Freeing the parser is no public API of Node. Where it is not as expected nothing is taken, and the response can be
 * used as before.
 */
export function takeSocket(res: ServerResponse): Socket | undefined {
  const { socket }: { socket: NotedSocket | null } = res
  const parser = socket && parserOf(socket)
  if (!parser) return undefined
  res.flushHeaders()
  const listeners = allListeners(socket).map(({ listener }) => listener)
  const ofHttp = new Set(listeners.filter(listener => !outlasting.has(listener)))
  res.detachSocket(socket)
  // A request that came while this one was looked at waits for an end that never comes, and all after it.
  if (socket[newest] && socket[newest] !== res.req) socket.destroy()
  socket[newest] = undefined
  // Threat: a request sent along with this one would be answered into the stream, and end the process when its answer
  // meets a socket that has no response any more.
  parser.onIncoming = () => {
    socket.destroy()
    return 0
  }
  // The parser is still busy with this very request: freed before it returns, it takes the process with it.
  setImmediate(letGo, socket, parser, res, ofHttp)
  return socket
}

/** Takes from a socket what HTTP has put on it. A function of its own: a closure would keep all of it alive. */
function letGo(socket: Socket, parser: Parser, res: ServerResponse, ofHttp: ReadonlySet<unknown>): void {
  const ours = allListeners(socket).filter(({ listener }) => !ofHttp.has(listener))
  // All at once: removed one by one they would leave a table of listeners behind that is four times as large.
  socket.removeAllListeners()
  for (const name of ['on', 'addListener', 'prependListener'] as const) socket[name] = Socket.prototype[name]
  for (const { name, listener } of ours) socket.on(name, listener)
  // A host that ends the response once more must not make Node detach its socket a second time: it would throw.
  res.removeAllListeners('finish')
  // The host of the request waits for this before it lets go of it.
  res.emit('close')
  if (socket.destroyed) return
  parser.unconsume()
  parser.remove()
  parser.close()
  Reflect.set(socket, 'parser', null)
  socket.setTimeout(0)
  socket.on('end', destroy)
  socket.resume()
}

function destroy(this: Socket): void {
  this.destroy()
}

function allListeners(socket: Socket): { name: string; listener: () => void }[] {
  const names = socket.eventNames().filter(name => typeof name === 'string')
  return names.flatMap(name =>
    // The types of `rawListeners` say less than those of `on`, of the same thing.
    socket.rawListeners(name).map(listener => ({ name, listener: listener as () => void })),
  )
}

/**
 * Whether the socket of a request can be taken. To be asked before the head is written: without chunks, which
 * `takeSocket` leaves to nobody, the end of the connection is the end of the body.
 */
export function canTakeSocket(res: unknown): res is ServerResponse {
  return res instanceof ServerResponse && res.socket !== null && parserOf(res.socket) !== undefined
}

interface Parser {
  /** Called with each request, once its head is read. */
  onIncoming: () => number
  /** Gives the reading of the socket back to Node. */
  unconsume(): void
  /** Takes the connection from those that the server times out and closes. */
  remove(): void
  close(): void
}

function parserOf(socket: Socket): Parser | undefined {
  const parser: unknown = Reflect.get(socket, 'parser')
  return isParser(parser) ? parser : undefined
}

function isParser(value: unknown): value is Parser {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['onIncoming', 'unconsume', 'remove', 'close'].every(
      name => typeof Reflect.get(value, name) === 'function',
    )
  )
}

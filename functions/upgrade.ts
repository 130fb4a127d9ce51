import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { getWebSocketHooks, type Hooks } from 'crossws'
import nodeAdapter from 'crossws/adapters/node'
import type { H3 } from 'h3'
import { addressOf, isHandshake } from './handshake.ts'
import { bodyLengthOf, readPastBody } from './handshake-body.ts'

/**
 * Lets routes for WebSockets be opened on a server. What is none of them is 404.
 *
 * @param bodyMs how long the body of a handshake may take, where it has one.
 */
export function acceptSockets(server: Server, routes: H3, bodyMs: number): void {
  // Its own pings are off: ours cost one timer for all connections, and see what goes past crossws.
  const adapter = nodeAdapter({ resolve: request => hooksOf(routes, request), idleTimeout: 0 })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!isHandshake(request.headers.upgrade)) {
      readWithoutUpgrade(server, request, socket, head)
      return
    }
    socket.on('error', ignore)
    readPastBody(socket, head, bodyLengthOf(request.headers), bodyMs, rest => {
      const asked = toRequest(request, socket, rest)
      if (asked) adapter.handleUpgrade(request, socket, rest, asked).catch(() => socket.destroy())
      else socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', () => socket.destroy())
    })
  })
}

/**
 * Declines any other upgrade that is offered, as curl offers HTTP/2: the request is answered as if it were not (RFC
 * 9110, section 7.8). By now Node has let go of its parser, so that it is read once more, with its body.
 */
function readWithoutUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let at = 0; at < rawHeaders.length; at += 2)
    if (rawHeaders[at]?.toLowerCase() !== 'upgrade') lines.push(`${rawHeaders[at]}: ${rawHeaders[at + 1]}`)
  const again = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  socket.unshift(Buffer.concat([again, head]))
  server.emit('connection', socket)
}

// Writing to a peer that has just gone is an error like any other; `close` follows it and says all there is to say.
function ignore(): void {}

/** What the routes have for a request. Without hooks crossws would open a connection to nobody. */
async function hooksOf(routes: H3, request: Request): Promise<Partial<Hooks>> {
  const response = await routes.fetch(request)
  const hooks = getWebSocketHooks(request)
  if (hooks) return hooks
  const headers = new Headers(response.headers)
  headers.set('connection', 'close')
  return { upgrade: () => new Response(response.body, { status: response.status, headers }) }
}

/**
 * The request as the routes and crossws know it, with the socket where crossws looks for it; undefined when it is none.
 *
 * Only what they ask for: a whole Request with its Headers leaves so much behind that ten thousand handshakes at once
 * cost 1.5 KB each for good.
 */
function toRequest(request: IncomingMessage, socket: Duplex, head: Buffer): Request | undefined {
  const { headers, method = 'GET' } = request
  const address = addressOf(request)
  if (!address) return undefined
  return Object.create(Request.prototype, {
    url: { value: address },
    method: { value: method },
    headers: { value: { get: (name: string) => headers[name.toLowerCase()] ?? null } },
    body: { value: null },
    runtime: { value: { name: 'node', node: { req: request, upgrade: { socket, head } } } },
  })
}

import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { getWebSocketHooks, type Hooks } from 'crossws'
import nodeAdapter from 'crossws/adapters/node'
import type { H3 } from 'h3'
import { isHandshake } from './handshake.ts'

/** Lets routes for WebSockets be opened on a server. What is none of them is 404. */
export function acceptSockets(server: Server, routes: H3): void {
  // Its own pings are off: ours cost one timer for all connections, and see what goes past crossws.
  const adapter = nodeAdapter({ resolve: request => hooksOf(routes, request), idleTimeout: 0 })
  // Any other upgrade that is offered, as curl offers HTTP/2, is declined by an ordinary answer.
  Reflect.set(server, 'shouldUpgradeCallback', ({ headers }: IncomingMessage) => isHandshake(headers.upgrade))
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', ignore)
    const asked = toRequest(request, socket, head)
    if (!asked) {
      socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n', () => socket.destroy())
      return
    }
    adapter.handleUpgrade(request, socket, head, asked).catch(() => socket.destroy())
  })
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
  const { headers, method = 'GET', url = '' } = request
  const address = `http://${headers.host ?? ''}${url}`
  if (!headers.host || !url.startsWith('/') || !URL.canParse(address)) return undefined
  return Object.create(Request.prototype, {
    url: { value: address },
    method: { value: method },
    headers: { value: { get: (name: string) => headers[name.toLowerCase()] ?? null } },
    body: { value: null },
    runtime: { value: { name: 'node', node: { req: request, upgrade: { socket, head } } } },
  })
}

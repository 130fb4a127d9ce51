import { createServer, type Server as HttpServer, type RequestListener } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import { createServer as createSocketServer, type Server as SocketServer } from 'node:net'
import { toNodeHandler } from 'h3/node'
import { createApp } from './app.ts'
import { Arrivals } from './arrivals.ts'
import type { Context } from './context.ts'
import { isLoopback } from './exposure.ts'
import { refuseWrongHosts } from './host-header.ts'
import { socketRoutes } from './socket.ts'
import { acceptSockets } from './upgrade.ts'

/** The address cannot be had: the message names the setting, and is all that the operator needs. */
export class AddressError extends Error {
  override readonly name = 'AddressError'
}

type Server = HttpServer | HttpsServer

/** What listens: listhen, or Node's own server. */
export type HostKind = 'listhen' | 'node'

export interface ServeOptions {
  readonly host: HostKind
  readonly hostname: string
  /** 0 takes any free one. */
  readonly port: number
  readonly context: Context
  /** What answers requests. Default: every route. */
  readonly handler?: RequestListener
}

export interface RunningServer {
  readonly url: string
  /**
   * Takes no more connections, ends the streams and the sockets, lets requests that are under way come to their end for up to
   * `graceMs`, and lets go of the backbone. May be called twice.
   */
  close(): Promise<void>
}

/** How long requests that are under way may take when the server closes. */
const graceMs = 1500

/**
 * Listens until it is closed.
 *
 * @throws AddressError when the address cannot be had, naming the setting.
 */
export async function serve({
  host,
  hostname,
  port,
  context,
  handler = toNodeHandler(createApp(context)),
}: ServeOptions): Promise<RunningServer> {
  const listenOn = host === 'node' ? listenWithNode : listenWithListhen
  const server = await listenOn(refuseWrongHosts(handler), hostname, port)
  const { headMs, trustProxy, tally, limits } = context
  new Arrivals(server, { ...limits, headMs, trustProxy, refused: tally.refused })
  acceptSockets(server, socketRoutes(context), headMs)
  let closed: Promise<void> | undefined
  return {
    url: urlOf(server, hostname),
    close() {
      closed ??= closeServer(server, context)
      return closed
    },
  }
}

async function listenWithNode(handler: RequestListener, hostname: string, port: number): Promise<Server> {
  const server = createServer(handler)
  await bind(server, hostname, port)
  return server
}

/**
 * listhen turns a port that is busy, 0 or one that browsers refuse into another one. So the port is tried first,
 * and what came of it is looked at.
 */
async function listenWithListhen(handler: RequestListener, hostname: string, port: number): Promise<Server> {
  const probe = createSocketServer()
  await bind(probe, hostname, port)
  const wanted = portOf(probe)
  await new Promise(resolve => probe.close(resolve))
  // Only here: it weighs more than all the rest, and production runs without it.
  const { listen } = await import('listhen')
  const listener = await listen(handler, {
    hostname,
    port: wanted,
    public: !isLoopback(hostname),
    // Together: neither another port than this one, nor a word about it.
    isProd: true,
    isTest: true,
    autoClose: false,
  }).catch(() => undefined)
  if (listener?.address.port === wanted) return listener.server
  await listener?.close()
  throw new AddressError(`PORT is ${wanted}: listhen does not listen there. Set PORT to another one.`)
}

async function bind(server: SocketServer, hostname: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const refuse = (error: Error) => reject(toAddressError(error, hostname, port))
  server.once('error', refuse)
  server.listen(port, hostname, resolve)
  await promise
  server.off('error', refuse)
}

function toAddressError(error: NodeJS.ErrnoException, hostname: string, port: number): Error {
  switch (error.code) {
    case 'EADDRINUSE':
      return new AddressError(
        `PORT is ${port}: another program listens on ${hostname}:${port}. Set PORT to a free one.`,
      )
    case 'EACCES':
      return new AddressError(`PORT is ${port}: this user may not listen there. Set PORT to 1024 or more.`)
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new AddressError(
        `HOST is "${hostname}": this machine has no such address. Set HOST to one that it has.`,
      )
    default:
      return error
  }
}

async function closeServer(server: Server, { streams, sockets, backbone }: Context): Promise<void> {
  const closed = new Promise(resolve => server.close(resolve))
  streams.shutDown()
  sockets.shutDown()
  // A connection that was kept alive becomes idle when its last request ends, and nobody else closes it then.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const { promise: graceOver, resolve } = Promise.withResolvers<void>()
  const grace = setTimeout(resolve, graceMs)
  await Promise.race([closed, graceOver])
  clearTimeout(grace)
  clearInterval(sweep)
  await backbone.close()
  server.closeAllConnections()
  await closed
}

function urlOf(server: Server, hostname: string): string {
  const name = hostname === '0.0.0.0' ? '127.0.0.1' : hostname === '::' ? '::1' : hostname
  return `http://${name.includes(':') ? `[${name}]` : name}:${portOf(server)}`
}

function portOf(server: SocketServer): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The server has no port.')
  return address.port
}

import { setWebSocketHooks } from 'crossws'
import { fromNodeUpgradeHandler } from 'crossws/adapters/node'
import { type H3, type H3Event, HTTPResponse } from 'h3'
import { PosternError } from '#protocol'
import { topicOfPath } from './address.ts'
import type { Context } from './context.ts'
import { acceptance, isHandshake, offers, refusalOf } from './handshake.ts'
import { allowsOrigin } from './origin.ts'
import { type SocketConnect, WebSocketConnection, type WebSocketOptions } from './websocket.ts'

/** How a WebSocket is opened. */
export interface SocketPlan {
  /** The subprotocol that is agreed on. */
  readonly protocol?: string | undefined
  readonly connect: SocketConnect
}

/** What a route does with a topic. A PosternError that it throws is the answer. */
export interface SocketRoute {
  /** Asked before the upgrade. */
  readonly socket?: (event: H3Event, topic: string) => SocketPlan
  readonly POST?: (event: H3Event, topic: string) => Promise<HTTPResponse>
  /** Which topics the path may name. Default: those that anybody may publish on. */
  readonly topicOf?: typeof topicOfPath
}

/** The subprotocol in which messages are envelopes, publications have receipts, and gaps are told. */
export const posternProtocol = 'postern.v1'

/** The subprotocol of a plan: ours, where the client offers it. */
export function protocolOf(event: H3Event): string | undefined {
  return offers(event.req.headers, posternProtocol) ? posternProtocol : undefined
}

/** The largest payload while the broker was never reached: its own default. */
const defaultPayloadBytes = 262_144

/**
 * Adds `<route>/*topic`. Without a topic, by another method and by a GET that asks for no WebSocket there is nothing.
 * Whoever comes from a page that is not allowed is refused by either way.
 *
 * @param route without a trailing slash, as `/sub`.
 */
export function addSocketRoute(
  routes: H3,
  context: Context,
  route: string,
  { socket, POST, topicOf = topicOfPath }: SocketRoute,
): void {
  const optionsOf = shared(context, () => context.backbone.maxPayloadBytes ?? defaultPayloadBytes)
  routes.all(`${route}/**`, event => {
    const isSocket = asksForSocket(event)
    if (isSocket ? socket : event.req.method === 'POST' && POST) {
      const topic = topicOf(event.url.pathname, route)
      if (topic === undefined) throw new PosternError('NOT_FOUND')
      if (isSocket && socket) return openFor(event, context, optionsOf(), () => socket(event, topic))
      if (POST) return refusedOrigin(event, context) ?? POST(event, topic)
    }
    throw new PosternError('NOT_FOUND')
  })
}

/** Adds a route without a topic. @param toPlan gives undefined when there is nothing. */
export function addPlainSocketRoute(
  routes: H3,
  context: Context,
  route: string,
  maxMessageBytes: () => number,
  toPlan: () => SocketPlan | undefined,
): void {
  const optionsOf = shared(context, maxMessageBytes)
  routes.all(route, event => {
    const plan = asksForSocket(event) ? toPlan() : undefined
    if (!plan) throw new PosternError('NOT_FOUND')
    return openFor(event, context, optionsOf(), () => plan)
  })
}

/** The options of all connections of a route. Made for the first: loading a file must not make the context's parts. */
function shared(context: Context, maxMessageBytes: () => number): () => WebSocketOptions {
  let options: WebSocketOptions | undefined
  return () => {
    options ??= { sockets: context.sockets, idleTurns: idleTurnsOf(context), maxMessageBytes }
    return options
  }
}

function idleTurnsOf({ sockets, idleMs }: Context): number {
  return idleMs === 0 ? 0 : sockets.turnsOf(idleMs)
}

function asksForSocket({ req }: H3Event): boolean {
  return isHandshake(req.headers.get('upgrade'))
}

/** Hands crossws what opens the connection, or answers why it is not opened. */
function openFor(
  event: H3Event,
  context: Context,
  options: WebSocketOptions,
  plan: () => SocketPlan,
): HTTPResponse {
  const { req } = event
  const refusal = refusedOrigin(event, context) ?? refusalOf(req)
  if (refusal) return refusal
  const { protocol, connect } = plan()
  const head = acceptance(req.headers.get('sec-websocket-key') ?? '', protocol)
  setWebSocketHooks(
    req,
    fromNodeUpgradeHandler((_, socket, sent) => {
      socket.write(head)
      new WebSocketConnection(socket, sent, connect, options)
    }),
  )
  return new HTTPResponse(null, { status: 426, headers: { upgrade: 'websocket' } })
}

function refusedOrigin({ req }: H3Event, { originRule }: Context): HTTPResponse | undefined {
  const { headers } = req
  if (allowsOrigin(originRule, headers.get('origin'), headers.get('host'))) return undefined
  return new HTTPResponse('Origin check failed', {
    status: 401,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  })
}

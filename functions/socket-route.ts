import { setWebSocketHooks } from 'crossws'
import { fromNodeUpgradeHandler } from 'crossws/adapters/node'
import { type H3, type H3Event, HTTPResponse } from 'h3'
import { PosternError, type Rights } from '#protocol'
import { topicOfPath } from './address.ts'
import { admit, demand } from './admission.ts'
import type { Context } from './context.ts'
import { answerPreflight } from './cross-origin.ts'
import { acceptance, isHandshake, offers, refusalOf } from './handshake.ts'
import { allowsOrigin } from './origin.ts'
import type { Pass } from './pass.ts'
import { sourceOf } from './source.ts'
import type { Door } from './tally.ts'
import { type SocketConnect, WebSocketConnection, type WebSocketOptions } from './websocket.ts'
import { closeCodes } from './websocket-frame.ts'

/** How a WebSocket is opened. */
export interface SocketPlan {
  /** The subprotocol that is agreed on. */
  readonly protocol?: string | undefined
  /** Why a client may not have it, asked again whenever its rights change. */
  readonly refusal: (rights: Rights) => PosternError | undefined
  /** What is asked only at the beginning. Default: the same. */
  readonly refusalToOpen?: (rights: Rights) => PosternError | undefined
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
 * Adds `/<door>/*topic`. Without a topic, by another method and by a GET that asks for no WebSocket there is nothing.
 * Whoever comes from a page that is not allowed is refused by either way.
 */
export function addSocketRoute(
  routes: H3,
  context: Context,
  door: Door,
  { socket, POST, topicOf = topicOfPath }: SocketRoute,
): void {
  const route = `/${door}`
  const optionsOf = shared(context, door, () => context.backbone.maxPayloadBytes ?? defaultPayloadBytes)
  routes.all(`${route}/**`, event => {
    const isSocket = asksForSocket(event)
    if (isSocket ? socket : event.req.method === 'POST' && POST) {
      const topic = topicOf(event.url.pathname, route)
      if (topic === undefined) throw new PosternError('NOT_FOUND')
      if (isSocket && socket) return openFor(event, context, optionsOf(), () => socket(event, topic))
      if (POST) return refusedOrigin(event, context) ?? POST(event, topic)
    }
    const preflight = POST && answerPreflight(event, ['POST'])
    if (preflight) return preflight
    throw new PosternError('NOT_FOUND')
  })
}

/** Adds a route without a topic. @param toPlan gives undefined when there is nothing. */
export function addPlainSocketRoute(
  routes: H3,
  context: Context,
  door: Door,
  maxMessageBytes: () => number,
  toPlan: () => SocketPlan | undefined,
): void {
  const optionsOf = shared(context, door, maxMessageBytes)
  routes.all(`/${door}`, event => {
    const plan = asksForSocket(event) ? toPlan() : undefined
    if (!plan) throw new PosternError('NOT_FOUND')
    return openFor(event, context, optionsOf(), () => plan)
  })
}

/** The options of all connections of a route. Made for the first: loading a file must not make the context's parts. */
function shared(context: Context, door: Door, maxMessageBytes: () => number): () => WebSocketOptions {
  let options: WebSocketOptions | undefined
  return () => {
    options ??= {
      sockets: context.sockets,
      idleTurns: idleTurnsOf(context),
      door: context.tally.door(door),
      maxMessageBytes,
    }
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
  toPlan: () => SocketPlan,
): HTTPResponse | Promise<HTTPResponse> {
  const refusal = refusedOrigin(event, context) ?? refusalOf(event.req)
  if (refusal) return refusal
  const plan = toPlan()
  const pass = admit(event, context)
  return pass instanceof Promise
    ? pass.then(known => upgrade(event, context, options, plan, known))
    : upgrade(event, context, options, plan, pass)
}

function upgrade(
  event: H3Event,
  context: Context,
  options: WebSocketOptions,
  plan: SocketPlan,
  pass: Pass,
): HTTPResponse {
  const { req } = event
  const { protocol, refusal, refusalToOpen = refusal, connect } = plan
  const { connections } = context.limits
  demand(refusalToOpen(pass.rights))
  const source = sourceOf(event, context, pass.rights)
  demand(connections.refusal(source))
  const head = acceptance(req.headers.get('sec-websocket-key') ?? '', protocol)
  setWebSocketHooks(
    req,
    fromNodeUpgradeHandler((_, socket, sent) => {
      // It went while the broker was asked, and nobody would tell of that any more.
      if (socket.readableEnded) socket.destroy()
      if (socket.destroyed) return
      socket.write(head)
      // Of many that come at once, each has been looked at before the first of them is counted.
      const refused = connections.refusal(source)
      const connection = new WebSocketConnection(socket, sent, connect, source, options)
      if (refused) {
        context.tally.refused.add(refused)
        return connection.close(closeCodes.tryAgainLater, refused.code)
      }
      const leave = connections.enter(source)
      if (leave) socket.on('close', leave)
      if (pass.rights.isOpen) return
      const release = pass.guard({
        refusal,
        revoke: ({ code }) => connection.close(closeCodes.refused, code),
      })
      socket.on('close', release)
    }),
  )
  return new HTTPResponse(null, { status: 426, headers: { upgrade: 'websocket' } })
}

function refusedOrigin({ req }: H3Event, { originRule, corsOrigins }: Context): HTTPResponse | undefined {
  const { headers } = req
  const origin = headers.get('origin')
  if (origin !== null && corsOrigins.has(origin)) return undefined
  if (allowsOrigin(originRule, origin, headers.get('host'))) return undefined
  return new HTTPResponse('Origin check failed', {
    status: 401,
    headers: { 'content-type': 'text/plain; charset=utf-8' },
  })
}

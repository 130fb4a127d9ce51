import { H3, type H3Event, type HTTPError, HTTPResponse } from 'h3'
import { describeError, type LogFields } from '#logger'
import { PosternError } from '#protocol'
import { canonicalAddress } from './address-list.ts'
import { challengeOf } from './challenge.ts'
import { type Client, clientOf } from './client-address.ts'
import type { Context } from './context.ts'
import { showsCredential } from './credential.ts'
import { answerPreflight, shareAnswer } from './cross-origin.ts'
import type { DoorTally } from './tally.ts'

export type Handler = (event: H3Event) => HTTPResponse | Promise<HTTPResponse>

/** What clients have said must not be taken for a page. */
const nosniff = { 'x-content-type-options': 'nosniff' }

/** Seconds after which a request that failed for now is worth another try. */
const retryAfterSeconds = '1'

/** A handler of its own for any host that knows `fetch`, and part of a larger one. */
export function createRoutes(context: Context): H3 {
  return new H3({
    // What h3 would print is logged instead, and its own words for a malformed path are not ours.
    silent: true,
    allowMalformedURL: true,
    onRequest: event => prepare(event, context),
    onError: (error, event) => {
      const told = toPosternError(error, event, context)
      context.tally.refused.add(told)
      if (told.status === 401 || told.status === 403) {
        const { code, message } = told
        context.log.limited('refused', { ...nameOf(event, context), code, reason: message })
      }
      return answerError(told, told.code === 'UNAUTHORIZED' ? challenge(told, event) : {})
    },
  })
}

/** Names the request, and looks at what holds for every one. */
function prepare(event: H3Event, context: Context): void {
  const { requestIds, trustProxy, limits } = context
  const { req, res } = event.runtime?.node ?? {}
  const set = (name: string, value: string) => {
    // Beside what h3 sets: to join the two costs it as much as all else that is done for a request here.
    if (res) res.setHeader(name, value)
    else event.res.headers.set(name, value)
  }
  const peer = trustProxy.isEmpty ? undefined : req?.socket?.remoteAddress
  const isBelieved = peer !== undefined && trustProxy.has(canonicalAddress(peer) ?? '')
  const id = requestIds.next(isBelieved ? event.req.headers.get('x-request-id') : undefined)
  event.context['requestId'] = id
  set('x-request-id', id)
  shareAnswer(event, context, set)
  const urlBytes = (req?.url ?? event.req.url).length
  if (urlBytes > limits.maxUrlBytes)
    throw new PosternError('URL_TOO_LONG', undefined, {
      limit: limits.maxUrlBytes,
      setting: 'POSTERN_MAX_URL_BYTES',
    })
}

function challenge(error: PosternError, { req }: H3Event): Record<string, string> {
  const { headers } = req
  const isScript = (headers.get('sec-fetch-mode') ?? 'navigate') !== 'navigate'
  return { 'www-authenticate': challengeOf(error, showsCredential(headers), isScript) }
}

/** Adds a path and what it takes. Any other method is answered with the list of these. */
export function addRoute(
  routes: H3,
  path: string,
  methods: { readonly GET?: Handler; readonly POST?: Handler },
): void {
  const allowed: string[] = []
  if (methods.GET) {
    routes.get(path, methods.GET).head(path, methods.GET)
    allowed.push('GET', 'HEAD')
  }
  if (methods.POST) {
    routes.post(path, methods.POST)
    allowed.push('POST')
  }
  routes.all(
    path,
    event =>
      answerPreflight(event, allowed) ??
      answerError(new PosternError('METHOD_NOT_ALLOWED'), { allow: allowed.join(', ') }),
  )
}

export function answerJson(body: unknown, status = 200, headers: Record<string, string> = {}): HTTPResponse {
  return new HTTPResponse(JSON.stringify(body), {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  })
}

/** Messages as JSON, which went through a door. */
export function answerMessages(
  door: DoorTally,
  count: number,
  body: unknown,
  headers: Record<string, string>,
): HTTPResponse {
  const text = JSON.stringify(body)
  door.send(count, Buffer.byteLength(text))
  return new HTTPResponse(text, { headers: { 'content-type': 'application/json', ...nosniff, ...headers } })
}

export function answerError(error: PosternError, headers: Record<string, string> = {}): HTTPResponse {
  return answerJson({ error: error.toBody() }, error.status, { ...later(error), ...nosniff, ...headers })
}

function later({ status, bound }: PosternError): Record<string, string> {
  if (bound?.retryAfterMs !== undefined)
    return { 'retry-after': String(Math.ceil(bound.retryAfterMs / 1000)) }
  return status === 503 ? { 'retry-after': retryAfterSeconds } : {}
}

function toPosternError(error: HTTPError, event: H3Event, context: Context): PosternError {
  if (error.cause instanceof PosternError) return error.cause
  if (!error.unhandled && error.status === 404) return new PosternError('NOT_FOUND')
  if (!error.unhandled && error.status < 500) return new PosternError('INVALID_REQUEST')
  // The answer tells nothing of it: the log is the only place that does.
  context.log.error('request failed', { ...nameOf(event, context), ...describeError(error.cause) })
  return new PosternError('INTERNAL')
}

/** What a line of the log says of a request. Never its query: a careless client has a secret there. */
function nameOf(event: H3Event, context: Context): LogFields {
  return {
    request: String(event.context['requestId']),
    method: event.req.method,
    path: event.url.pathname,
    client: clientOfEvent(event, context).address,
  }
}

/** Who a request comes from. */
export function clientOfEvent(event: H3Event, { trustProxy }: Pick<Context, 'trustProxy'>): Client {
  const socket = event.runtime?.node?.req.socket
  const peer = { address: socket?.remoteAddress, isEncrypted: socket !== undefined && 'encrypted' in socket }
  return clientOf(peer, event.req.headers, trustProxy)
}

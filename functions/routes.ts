import { H3, type H3Event, type HTTPError, HTTPResponse } from 'h3'
import { describeError } from '#logger'
import { PosternError } from '#protocol'
import { type Client, clientOf } from './client-address.ts'
import type { Context } from './context.ts'
import type { DoorTally } from './tally.ts'

export type Handler = (event: H3Event) => HTTPResponse | Promise<HTTPResponse>

/** Seconds after which a request that failed for now is worth another try. */
const retryAfterSeconds = '1'

/** A handler of its own for any host that knows `fetch`, and part of a larger one. */
export function createRoutes(context: Context): H3 {
  return new H3({
    // What h3 would print is logged instead, and its own words for a malformed path are not ours.
    silent: true,
    allowMalformedURL: true,
    onError: (error, event) => {
      const told = toPosternError(error, event, context)
      context.tally.refused.add(told.code)
      return answerError(told)
    },
  })
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
  routes.all(path, () => answerError(new PosternError('METHOD_NOT_ALLOWED'), { allow: allowed.join(', ') }))
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
  return new HTTPResponse(text, { headers: { 'content-type': 'application/json', ...headers } })
}

export function answerError(error: PosternError, headers: Record<string, string> = {}): HTTPResponse {
  const later = error.status === 503 ? { 'retry-after': retryAfterSeconds } : {}
  return answerJson({ error: error.toBody() }, error.status, { ...later, ...headers })
}

function toPosternError(error: HTTPError, event: H3Event, context: Context): PosternError {
  if (error.cause instanceof PosternError) return error.cause
  if (!error.unhandled && error.status === 404) return new PosternError('NOT_FOUND')
  if (!error.unhandled && error.status < 500) return new PosternError('INVALID_REQUEST')
  // The answer tells nothing of it: the log is the only place that does.
  context.log.error('request failed', {
    method: event.req.method,
    path: event.url.pathname,
    client: clientOfEvent(event, context).address,
    ...describeError(error.cause),
  })
  return new PosternError('INTERNAL')
}

/** Who a request comes from. */
export function clientOfEvent(event: H3Event, { trustProxy }: Pick<Context, 'trustProxy'>): Client {
  const socket = event.runtime?.node?.req.socket
  const peer = { address: socket?.remoteAddress, isEncrypted: socket !== undefined && 'encrypted' in socket }
  return clientOf(peer, event.req.headers, trustProxy)
}

import { type H3Event, HTTPResponse } from 'h3'
import { PosternError } from '#protocol'
import type { Context } from './context.ts'
import { allowsOrigin } from './origin.ts'

/** What a page of another origin may send, and what it may read of an answer. */
const allowedHeaders = 'authorization, content-type, idempotency-key, last-event-id, x-request-id'
const exposedHeaders = 'retry-after, www-authenticate, x-request-id'

/** How long a browser remembers what it may; Chromium takes no more. */
const preflightS = 7200

/** Marks an event whose page may read the answer. */
const isShared = 'isShared'

/**
 * Lets the pages of `POSTERN_CORS_ORIGINS` read the answer, and nobody else's.
 *
 * @param set sets a header of the answer.
 */
export function shareAnswer(
  event: H3Event,
  { corsOrigins }: Pick<Context, 'corsOrigins'>,
  set: (name: string, value: string) => void,
): void {
  if (corsOrigins.size === 0) return
  // Also for those who may not: a cache must not give them what another page may read.
  set('vary', 'Origin')
  const origin = event.req.headers.get('origin')
  if (origin === null || !corsOrigins.has(origin)) return
  event.context[isShared] = true
  set('access-control-allow-origin', origin)
  set('access-control-allow-credentials', 'true')
  set('access-control-expose-headers', exposedHeaders)
}

/** The answer to a browser that asks what a page may do (Fetch, section 3.3); undefined where it may nothing. */
export function answerPreflight(event: H3Event, methods: readonly string[]): HTTPResponse | undefined {
  if (event.req.method !== 'OPTIONS' || event.context[isShared] !== true) return undefined
  return new HTTPResponse(null, {
    status: 204,
    headers: {
      'access-control-allow-methods': methods.join(', '),
      'access-control-allow-headers': allowedHeaders,
      'access-control-max-age': String(preflightS),
    },
  })
}

/**
 * Whether a browser has sent a request for a page that may not use what changes something here. Every browser says which
 * page it is, by `Origin` or by `Sec-Fetch-Site`, and no page can keep it from that; any other client says nothing. A GET without
 * encryption, to another machine, has neither.
 *
 * Threat: a page that anybody may write sends messages in the name of whoever looks at it, or from inside a network.
 */
export function isForeignPage(
  { headers }: Pick<H3Event['req'], 'headers'>,
  { originRule, corsOrigins }: Pick<Context, 'originRule' | 'corsOrigins'>,
): boolean {
  const origin = headers.get('origin')
  const site = headers.get('sec-fetch-site')
  if (origin === null && site === null) return false
  if (originRule.allowsAny || site === 'same-origin' || site === 'none') return false
  if (origin === null) return true
  if (corsOrigins.has(origin)) return false
  const isOwn = allowsOrigin({ allowOrigins: [], allowsAny: false }, origin, headers.get('host'))
  return !isOwn && !allowsOrigin(originRule, origin, headers.get('host'))
}

/** @throws PosternError `FOREIGN_PAGE` */
export function refuseForeignPage(
  event: H3Event,
  context: Pick<Context, 'originRule' | 'corsOrigins'>,
): void {
  if (isForeignPage(event.req, context))
    throw new PosternError(
      'FOREIGN_PAGE',
      'Pages of that origin may not do this here. POSTERN_CORS_ORIGINS and POSTERN_ALLOW_ORIGINS name those that may.',
    )
}

/** Whether a text is an origin as browsers say it (RFC 6454, section 6.2). */
export function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:/.test(text) && new URL(text).origin === text
}

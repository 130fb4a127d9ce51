import type { H3, H3Event, HTTPResponse } from 'h3'
import * as v from 'valibot'
import { PosternError, type Rights } from '#protocol'
import { readBody } from './body.ts'
import { type Context, sharedContext } from './context.ts'
import { tokenCookie } from './credential.ts'
import { refuseForeignPage } from './cross-origin.ts'
import { addRoute, answerJson, clientOfEvent, createRoutes } from './routes.ts'

const maxBodyBytes = 16 * 1024

/** What a cookie can hold as it is, and every token is made of. */
const token = v.pipe(v.string(), v.regex(/^[\w.-]{1,8192}$/))

const credential = v.union([
  v.strictObject({ name: v.string(), password: v.string() }),
  v.strictObject({ token }),
])

/**
 * `POST /login` gives a browser a cookie, for a name and a password or for a token, so that what sends no header of its
 * own is known too: an `EventSource`, a WebSocket. `POST /logout` takes it back.
 */
export function loginRoutes(context: Context): H3 {
  const routes = createRoutes(context)
  addRoute(routes, '/login', { POST: event => logIn(event, context) })
  addRoute(routes, '/logout', { POST: event => logOut(event, context) })
  return routes
}

async function logIn(event: H3Event, context: Context): Promise<HTTPResponse> {
  const { backbone, gate } = context
  refuseForeignPage(event, context)
  const shown = await readCredential(event, context)
  await backbone.ready()
  if (gate.isOpen) throw new PosternError('NOT_FOUND', 'There are no rules here: nobody has to log in.')
  const { address = '' } = clientOfEvent(event, context)
  const { token, rights } =
    'token' in shown
      ? { ...shown, ...(await gate.enter({ kind: 'token', ...shown }, address)) }
      : await backbone.login(shown.name, shown.password, address)
  const { identity, expiresMs } = rights
  return answer(event, context, { identity, expiresMs }, token, secondsLeft(rights))
}

function logOut(event: H3Event, context: Context): HTTPResponse {
  refuseForeignPage(event, context)
  return answer(event, context, {}, '', 0)
}

function secondsLeft({ expiresMs = Number.POSITIVE_INFINITY }: Rights): number {
  return Math.max(0, Math.floor((expiresMs - Date.now()) / 1000))
}

/**
 * Sets the cookie. Threats: a script that has got into a page reads it (`HttpOnly`), another site's page uses it
 * (`SameSite`), somebody on the way reads it (`Secure`).
 */
function answer(
  event: H3Event,
  context: Context,
  body: unknown,
  token: string,
  maxAgeS: number,
): HTTPResponse {
  const isEncrypted = clientOfEvent(event, context).scheme === 'https'
  const cookie = `${tokenCookie}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeS}`
  return answerJson(body, 200, {
    'set-cookie': isEncrypted ? `${cookie}; Secure` : cookie,
    'cache-control': 'no-store',
  })
}

/** A form of another page cannot send this type. */
const jsonType = /^application\/json *(;|$)/i

/** @throws PosternError `INVALID_REQUEST`, `PAYLOAD_TOO_LARGE`, `REQUEST_TIMEOUT` */
async function readCredential(
  event: H3Event,
  { limits: { bodyMs } }: Context,
): Promise<v.InferOutput<typeof credential>> {
  const body = await readBody(event, maxBodyBytes, bodyMs)
  if (body === undefined)
    throw new PosternError('PAYLOAD_TOO_LARGE', `The body must not be longer than ${maxBodyBytes} bytes.`)
  const isJson = jsonType.test(event.req.headers.get('content-type') ?? '')
  const told = v.safeParse(credential, isJson ? toJson(body) : undefined)
  if (told.success) return told.output
  throw new PosternError(
    'INVALID_REQUEST',
    'The body must be application/json: {"name": "…", "password": "…"} or {"token": "…"}.',
  )
}

function toJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
}

export default loginRoutes(sharedContext)

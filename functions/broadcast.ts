import type { H3, H3Event, HTTPResponse } from 'h3'
import { mayPublish } from '#auth'
import type { Rights } from '#protocol'
import { defaultTopicOf } from './address.ts'
import { admitFor } from './admission.ts'
import { readBody } from './body.ts'
import { type Context, sharedContext } from './context.ts'
import { openEventStream } from './event.ts'
import { parseForm } from './form.ts'
import { countPublish, maxPayloadBytesOf, payloadTooLarge } from './limits.ts'
import { Query } from './query.ts'
import { addRoute, answerJson, createRoutes } from './routes.ts'

/** The type of every chat message, and the name of every event of the chat. */
const chatType = 'msg'

/** Percent-encoding makes three bytes of one; what is left is for the names of the fields and the parts' heads. */
const formBytes = (maxPayloadBytes: number) => 3 * maxPayloadBytes + 8 * 1024

const encoder = new TextEncoder()

/**
 * The chat that small sites have: `POST /message/broadcast` takes the form fields `from` and `text`, and
 * `GET /event/fetch` streams what was said, both on exactly the default topic.
 */
export function broadcastRoutes(context: Context): H3 {
  const routes = createRoutes(context)
  addRoute(routes, '/message/broadcast', { POST: event => broadcast(event, context) })
  addRoute(routes, '/event/fetch', { GET: event => fetchEvents(event, context) })
  return routes
}

async function broadcast(event: H3Event, context: Context): Promise<HTTPResponse> {
  const { backbone, limits } = context
  const topic = await defaultTopicOf(backbone)
  const refusal = (rights: Rights) => mayPublish(rights, topic)
  await admitFor(event, context, refusal)
  const maxPayloadBytes = await maxPayloadBytesOf(backbone)
  const body = await readBody(event, formBytes(maxPayloadBytes), limits.bodyMs)
  if (body === undefined) throw payloadTooLarge(maxPayloadBytes)
  const pass = await admitFor(event, context, refusal)
  const fields = await parseForm(body, event.req.headers.get('content-type'))
  const from = fields.get('from') ?? ''
  const text = fields.get('text') ?? ''
  if (from.trim() !== '' && text.trim() !== '') {
    const payload = encoder.encode(JSON.stringify({ from, text }))
    countPublish(event, context, pass, 'message', payload.length)
    await backbone.publish({ topic, type: chatType, binary: false, payload })
  }
  return answerJson(true)
}

function fetchEvents(event: H3Event, context: Context): Promise<HTTPResponse> {
  const query = new Query(event.url.search)
  const base64 = query.choice('encoding', ['base64']) !== undefined
  return openEventStream(event, context, {
    query,
    topics: undefined,
    exact: true,
    format: { base64, envelope: false, name: chatType },
  })
}

export default broadcastRoutes(sharedContext)

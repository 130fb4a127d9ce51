import type { H3, H3Event, HTTPResponse } from 'h3'
import { mayPublish } from '#auth'
import { PosternError, parseType, type Rights } from '#protocol'
import { defaultTopicOf, topicOfPath } from './address.ts'
import { publishingAs } from './admission.ts'
import { type Context, sharedContext } from './context.ts'
import { readPayload } from './limits.ts'
import { isBinary } from './media-type.ts'
import { Query } from './query.ts'
import { addRoute, answerJson, createRoutes } from './routes.ts'

const route = '/message'

/** The name below this route that is a route of its own. */
const reservedTopic = 'broadcast'

const idempotencyKey = /^[\x21-\x7e]{1,255}$/

/** `POST /message/*topic`: the body is the payload, byte for byte. */
export function messageRoutes(context: Context): H3 {
  const routes = createRoutes(context)
  const publish = (event: H3Event) => publishBody(event, context)
  addRoute(routes, route, { POST: publish })
  addRoute(routes, `${route}/**`, { POST: publish })
  return routes
}

async function publishBody(event: H3Event, context: Context): Promise<HTTPResponse> {
  const { backbone } = context
  const pathTopic = topicOfPath(event.url.pathname, route)
  if (pathTopic === reservedTopic)
    throw new PosternError(
      'RESERVED_TOPIC',
      `The name "${reservedTopic}" is a route of its own, and no topic here.`,
    )
  const query = new Query(event.url.search)
  const type = parseType(query.text('type') ?? '')
  const options = publishOptionsOf(event)
  const topic = pathTopic ?? (await defaultTopicOf(backbone))
  const refusal = (rights: Rights) => mayPublish(rights, topic)
  const { payload, pass } = await readPayload(event, context, refusal, 'message')
  const binary = isBinary(event.req.headers.get('content-type'), payload)
  const { id } = await backbone.publish({ topic, type, binary, payload }, publishingAs(pass, options))
  return answerJson({ id, topic }, 201)
}

function publishOptionsOf(event: H3Event): { readonly idempotencyKey?: string } {
  const key = event.req.headers.get('idempotency-key')
  if (key === null) return {}
  if (!idempotencyKey.test(key))
    throw new PosternError('INVALID_KEY', 'An Idempotency-Key must be 1 to 255 visible ASCII characters.')
  return { idempotencyKey: key }
}

export default messageRoutes(sharedContext)

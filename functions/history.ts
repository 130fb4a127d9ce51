import type { H3, H3Event, HTTPResponse } from 'h3'
import { mayReadHistory } from '#auth'
import { formatId } from '#protocol'
import { selectionOf, topicOfPath, topicsOf } from './address.ts'
import { admit, demand } from './admission.ts'
import { type Context, sharedContext } from './context.ts'
import { toEnvelope } from './envelope.ts'
import { Query } from './query.ts'
import { addRoute, answerMessages, createRoutes } from './routes.ts'

const route = '/history'

/** `GET /history/*topic`: the retained messages as JSON. */
export function historyRoutes(context: Context): H3 {
  const routes = createRoutes(context)
  const read = (event: H3Event) => readHistory(event, context)
  addRoute(routes, route, { GET: read })
  addRoute(routes, `${route}/**`, { GET: read })
  return routes
}

async function readHistory(event: H3Event, context: Context): Promise<HTTPResponse> {
  const { backbone, tally } = context
  const query = new Query(event.url.search)
  const topics = topicsOf(topicOfPath(event.url.pathname, route), query, context.limits)
  const count = query.count('history') ?? Number.MAX_SAFE_INTEGER
  const selection = await selectionOf(topics, query.flag('exact'), backbone)
  const { rights } = await admit(event, context)
  demand(mayReadHistory(rights, selection))
  const { position, messages } = await backbone.history(selection, count)
  const body = { id: formatId(position), messages: messages.map(message => toEnvelope(message)) }
  return answerMessages(tally.door('history'), messages.length, body, { 'cache-control': 'no-store' })
}

export default historyRoutes(sharedContext)

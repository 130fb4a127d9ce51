import type { H3, H3Event, HTTPResponse } from 'h3'
import { describeError } from '#logger'
import { PosternError } from '#protocol'
import { selectionOf, startOf, topicOfPath, topicsOf } from './address.ts'
import { type Context, sharedContext } from './context.ts'
import { type EventFormat, encoderOf } from './event-encoding.ts'
import { EventStream } from './event-stream.ts'
import { streamAnswer } from './outlet.ts'
import { Query } from './query.ts'
import { addRoute, createRoutes } from './routes.ts'

const route = '/event'

/** The name below this route that is a route of its own. */
const reservedTopic = 'fetch'

const headers = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache',
  // nginx would hold events back until its buffer is full.
  'x-accel-buffering': 'no',
}

/** `GET /event/*topic`: the messages of topics as Server-Sent Events. */
export function eventRoutes(context: Context): H3 {
  const routes = createRoutes(context)
  const subscribe = (event: H3Event) => subscribeTo(event, context)
  addRoute(routes, route, { GET: subscribe })
  addRoute(routes, `${route}/**`, { GET: subscribe })
  return routes
}

function subscribeTo(event: H3Event, context: Context): HTTPResponse {
  const pathTopic = topicOfPath(event.url.pathname, route)
  if (pathTopic === reservedTopic)
    throw new PosternError(
      'RESERVED_TOPIC',
      `The name "${reservedTopic}" is a route of its own, and no topic here.`,
    )
  const query = new Query(event.url.search)
  return openEventStream(event, context, {
    query,
    topics: topicsOf(pathTopic, query),
    exact: query.flag('exact'),
    format: {
      base64: query.choice('encoding', ['base64']) !== undefined,
      envelope: query.flag('envelope'),
      name: undefined,
    },
  })
}

export interface EventStreamRequest {
  /** Says where the stream begins. */
  readonly query: Query
  /** Undefined: the default topic. */
  readonly topics: readonly string[] | undefined
  readonly exact: boolean
  readonly format: EventFormat
}

/** Answers with a stream of events, its head at once: it does not wait for the log to be reached. */
export function openEventStream(
  event: H3Event,
  context: Context,
  { query, topics, exact, format }: EventStreamRequest,
): HTTPResponse {
  const { backbone, streams, retryMs, random, tally, log } = context
  const start = startOf(event.req.headers.get('last-event-id'), query)
  const encoder = encoderOf(format)
  return streamAnswer(event, headers, outlet => {
    const stream = new EventStream(outlet, { backbone, streams, encoder, retryMs, random, tally })
    selectionOf(topics, exact, backbone)
      .then(selection => stream.subscribe(selection, start))
      .catch((error: unknown) => {
        // Ended, the peer comes again; with an error for an answer a browser would give up for good.
        if (!(error instanceof PosternError)) log.error('subscription failed', describeError(error))
        stream.shutDown()
      })
    return stream
  })
}

export default eventRoutes(sharedContext)

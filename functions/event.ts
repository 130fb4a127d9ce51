import type { H3, H3Event, HTTPResponse } from 'h3'
import { maySubscribe } from '#auth'
import type { Start } from '#client'
import type { Source } from '#limits'
import { describeError } from '#logger'
import { codes, PosternError, type Selection } from '#protocol'
import { selectionOf, startOf, topicOfPath, topicsOf } from './address.ts'
import { admit, demand, refusalToStart } from './admission.ts'
import { type Context, sharedContext } from './context.ts'
import { type EventFormat, encoderOf } from './event-encoding.ts'
import { EventStream } from './event-stream.ts'
import { streamAnswer } from './outlet.ts'
import type { Pass } from './pass.ts'
import { Query } from './query.ts'
import { addRoute, createRoutes } from './routes.ts'
import { sourceOf } from './source.ts'

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

function subscribeTo(event: H3Event, context: Context): Promise<HTTPResponse> {
  const pathTopic = topicOfPath(event.url.pathname, route)
  if (pathTopic === reservedTopic)
    throw new PosternError(
      'RESERVED_TOPIC',
      `The name "${reservedTopic}" is a route of its own, and no topic here.`,
    )
  const query = new Query(event.url.search)
  return openEventStream(event, context, {
    query,
    topics: topicsOf(pathTopic, query, context.limits),
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

/**
 * Answers with a stream of events, its head at once: it does not wait for the log to be reached. Where there are rules it
 * waits for what they say.
 *
 * @throws PosternError `UNAUTHORIZED`, `FORBIDDEN`
 */
export async function openEventStream(
  event: H3Event,
  context: Context,
  request: EventStreamRequest,
): Promise<HTTPResponse> {
  const { backbone, streams, gate, retryMs, random, tally, log, limits } = context
  const encoder = encoderOf(request.format)
  const start = startOf(event.req.headers.get('last-event-id'), request.query)
  const enter = () => admitSubscriber(event, context, request, start)
  const admitted = gate.isKnown ? enter() : gate.known().then(enter)
  // Ended, the peer comes again; with an error for an answer a browser would give up for good.
  const isRefused = admitted.then(() => {}, throwUnlessTemporary)
  if (gate.isKnown) await isRefused
  else isRefused.catch(() => {})
  return streamAnswer(event, headers, outlet => {
    const stream = new EventStream(outlet, { backbone, streams, encoder, retryMs, random, tally })
    admitted.then(
      ({ pass, selection, start, isCut, source }) => {
        // Of many that come at once, each has been looked at before the first of them is counted.
        const refused = limits.connections.refusal(source)
        if (refused) {
          tally.refused.add(refused)
          return stream.revoke(refused)
        }
        stream.hold(limits.connections.enter(source))
        stream.subscribe(selection, start, isCut)
        stream.guard(pass, rights => maySubscribe(rights, selection))
      },
      (error: unknown) => {
        if (!(error instanceof PosternError)) log.error('subscription failed', describeError(error))
        stream.shutDown()
      },
    )
    return stream
  })
}

interface Subscriber {
  readonly pass: Pass
  readonly selection: Selection
  readonly start: Start
  /** What it has missed is kept from it. */
  readonly isCut: boolean
  /** Whom it is counted for. */
  readonly source: Source
}

async function admitSubscriber(
  event: H3Event,
  context: Context,
  { topics, exact }: EventStreamRequest,
  start: Start,
): Promise<Subscriber> {
  const selection = await selectionOf(topics, exact, context.backbone)
  const pass = await admit(event, context)
  const { rights } = pass
  demand(maySubscribe(rights, selection))
  const source = sourceOf(event, context, rights)
  demand(context.limits.connections.refusal(source))
  const refusal = refusalToStart(rights, selection, start)
  // Browsers resume by themselves: without its past a stream goes on with what is new.
  if (refusal && start.since !== undefined) return { pass, selection, start: {}, isCut: true, source }
  demand(refusal)
  return { pass, selection, start, isCut: false, source }
}

function throwUnlessTemporary(error: unknown): void {
  // A client that is told nothing of the limit would come again for ever.
  const isLimit = error instanceof PosternError && error.code === 'TOO_MANY_CONNECTIONS'
  if (isLimit || !(error instanceof PosternError && codes[error.code].temporary)) throw error
}

export default eventRoutes(sharedContext)

import { type H3, type H3Event, HTTPResponse } from 'h3'
import type { Reading } from '#metrics'
import { PosternError } from '#protocol'
import { type Context, sharedContext } from './context.ts'
import { addRoute, clientOfEvent, createRoutes } from './routes.ts'
import { type DoorTally, doors, type Tally } from './tally.ts'

/** `GET /metrics`: what this process does, or all workers together, for Prometheus. */
export function metricsRoutes(context: Context): H3 {
  const routes = createRoutes(context)
  addRoute(routes, '/metrics', { GET: event => answerMetrics(event, context) })
  return routes
}

async function answerMetrics(event: H3Event, context: Context): Promise<HTTPResponse> {
  const { address, via } = clientOfEvent(event, context)
  // Threat: what a proxy passes on looks as if it came from its machine, unless it is known whom it comes from.
  if (via === 'unknown' || address === undefined || !context.metricsFrom.has(address))
    throw new PosternError('FORBIDDEN', 'Figures are told to those alone whom POSTERN_METRICS_FROM names.')
  const { exposition } = await loadMetrics()
  const processes = (await context.siblings?.readAll()) ?? [await functionsReadings(context)]
  const { contentType, text } = await exposition(processes)
  return new HTTPResponse(text, { headers: { 'content-type': contentType, 'cache-control': 'no-store' } })
}

/** Not before somebody asks: a process that nobody asks does without its weight. */
const loadMetrics = () => import('#metrics')

/** The figures of this process. */
export async function functionsReadings(context: Pick<Context, 'tally' | 'backbone'>): Promise<Reading[]> {
  const { counter, gauge, labelled, processReadings } = await loadMetrics()
  const { tally, backbone } = context
  return [
    ...processReadings('functions'),
    gauge(
      'postern_functions_connections',
      'Connections that are open, by door.',
      labelled('door', partOf(tally, 'open')),
    ),
    counter(
      'postern_functions_connections_total',
      'Connections that came, by door.',
      labelled('door', partOf(tally, 'opened')),
    ),
    counter(
      'postern_functions_received_messages_total',
      'Messages that have come to be published, by door.',
      labelled('door', partOf(tally, 'receivedMessages')),
    ),
    counter(
      'postern_functions_received_bytes_total',
      'Bytes of their payloads, by door.',
      labelled('door', partOf(tally, 'receivedBytes')),
    ),
    counter(
      'postern_functions_sent_messages_total',
      'Messages that have gone, once for each connection, by door.',
      labelled('door', partOf(tally, 'sentMessages')),
    ),
    counter(
      'postern_functions_sent_bytes_total',
      'Bytes of these as they were written, by door.',
      labelled('door', partOf(tally, 'sentBytes')),
    ),
    counter(
      'postern_functions_refused_total',
      'Errors that were answered, by code.',
      labelled('code', tally.refused.counts),
    ),
    counter(
      'postern_functions_limited_total',
      'The same by the limit that was the reason.',
      labelled('limit', tally.refused.limits),
    ),
    counter(
      'postern_functions_slow_subscribers_total',
      'Subscribers that were let go because they did not read.',
      tally.slow,
    ),
    counter('postern_functions_gaps_total', 'Subscribers for whom messages are missing.', tally.gaps),
    counter(
      'postern_functions_repairs_total',
      'Times that the stream of the broker had a hole, which was filled.',
      tally.repairs,
    ),
    counter(
      'postern_functions_repaired_messages_total',
      'Messages that were fetched for that.',
      tally.repairedMessages,
    ),
    gauge(
      'postern_functions_lag_messages',
      'Messages of the log that have not come here yet.',
      tally.lagMessages,
      'max',
    ),
    gauge('postern_functions_broker_up', 'Processes that reach the broker.', backbone.state === 'up' ? 1 : 0),
    gauge('postern_functions_workers', 'Processes that these figures are of.', 1),
  ]
}

function partOf(tally: Tally, part: Exclude<keyof DoorTally, 'enter' | 'leave' | 'receive' | 'send'>) {
  return Object.fromEntries(doors.map(door => [door, tally.door(door)[part]]))
}

export default metricsRoutes(sharedContext)

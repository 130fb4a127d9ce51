import { type H3, type H3Event, HTTPResponse } from 'h3'
import { PosternError } from '#protocol'
import { type Context, sharedContext } from './context.ts'
import { addRoute, clientOfEvent, createRoutes } from './routes.ts'

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
  // Not before somebody asks: a process that nobody asks does without its weight.
  const { exposition, functionsReadings } = await import('./readings.ts')
  const processes = (await context.siblings?.readAll()) ?? [functionsReadings(context)]
  const { contentType, text } = await exposition(processes)
  return new HTTPResponse(text, { headers: { 'content-type': contentType, 'cache-control': 'no-store' } })
}

export default metricsRoutes(sharedContext)

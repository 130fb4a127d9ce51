import type { H3, HTTPResponse } from 'h3'
import { type Context, sharedContext } from './context.ts'
import { Readiness, type ReadinessOptions } from './readiness.ts'
import { addRoute, answerJson, createRoutes } from './routes.ts'

const headers = { 'cache-control': 'no-store' }

/** `GET /health/live`: this process answers. `GET /health/ready`: a message goes all the way and comes back. */
export function statusRoutes(context: Context, options?: ReadinessOptions): H3 {
  const routes = createRoutes(context)
  let readiness: Readiness | undefined
  addRoute(routes, '/health/live', { GET: () => answerJson({ status: 'ok' }, 200, headers) })
  addRoute(routes, '/health/ready', {
    GET: () => {
      // Not before it is asked for: a host that mounts this file alone has no backbone until then.
      readiness ??= new Readiness(context.backbone, options)
      return answerReady(readiness)
    },
  })
  return routes
}

async function answerReady(readiness: Readiness): Promise<HTTPResponse> {
  const missing = await readiness.missing()
  if (missing === undefined) return answerJson({ status: 'ready' }, 200, headers)
  return answerJson({ status: 'unready', missing }, 503, { ...headers, 'retry-after': '1' })
}

export default statusRoutes(sharedContext)

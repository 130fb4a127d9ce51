import type { H3 } from 'h3'
import { addBusRoute } from './bus.ts'
import { type Context, sharedContext } from './context.ts'
import { addEchoRoute } from './echo.ts'
import { addPubRoute } from './pub.ts'
import { addPushRoutes } from './push.ts'
import { createRoutes } from './routes.ts'
import { addSubRoute } from './sub.ts'

/** The routes that a WebSocket opens, and the POSTs that do the same. */
export function socketRoutes(context: Context): H3 {
  const routes = createRoutes(context)
  addSubRoute(routes, context)
  addPubRoute(routes, context)
  addBusRoute(routes, context)
  addPushRoutes(routes, context)
  addEchoRoute(routes, context)
  return routes
}

export default socketRoutes(sharedContext)

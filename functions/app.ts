import type { H3 } from 'h3'
import { broadcastRoutes } from './broadcast.ts'
import { type Context, sharedContext } from './context.ts'
import { eventRoutes } from './event.ts'
import { historyRoutes } from './history.ts'
import { loginRoutes } from './login.ts'
import { messageRoutes } from './message.ts'
import { metricsRoutes } from './metrics.ts'
import { pageRoutes } from './page.ts'
import { receiveRoutes } from './receive.ts'
import { createRoutes } from './routes.ts'
import { socketRoutes } from './socket.ts'
import { statusRoutes } from './status.ts'

/** Every route in one handler. */
export function createApp(context: Context): H3 {
  return createRoutes(context)
    .mount('', broadcastRoutes(context))
    .mount('', messageRoutes(context))
    .mount('', eventRoutes(context))
    .mount('', historyRoutes(context))
    .mount('', receiveRoutes(context))
    .mount('', socketRoutes(context))
    .mount('', loginRoutes(context))
    .mount('', statusRoutes(context))
    .mount('', metricsRoutes(context))
    .mount('', pageRoutes(context))
}

export default createApp(sharedContext)

import type { H3, H3Event } from 'h3'
import { startOf, topicsOf } from './address.ts'
import type { Context } from './context.ts'
import { Query } from './query.ts'
import { SocketEncoder } from './socket-encoding.ts'
import { addSocketRoute, protocolOf, type SocketPlan } from './socket-route.ts'
import { SocketSubscriber } from './socket-subscriber.ts'

const bare = new SocketEncoder({ envelope: false })
const enveloped = new SocketEncoder({ envelope: true })

/** `WS /sub/*topic`: the messages of topics. */
export function addSubRoute(routes: H3, context: Context): void {
  addSocketRoute(routes, context, 'sub', { socket: (event, topic) => subscribe(event, topic, context) })
}

function subscribe(event: H3Event, topic: string, { backbone, tally }: Context): SocketPlan {
  const query = new Query(event.url.search)
  const protocol = protocolOf(event)
  const envelope = query.flag('envelope') || protocol !== undefined
  const options = {
    backbone,
    tally,
    encoder: envelope ? enveloped : bare,
    selection: { topics: topicsOf(topic, query) ?? [], exact: query.flag('exact') },
    start: startOf(event.req.headers.get('last-event-id'), query),
  }
  return { protocol, connect: connection => new SocketSubscriber(connection, options) }
}

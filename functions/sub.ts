import type { H3, H3Event } from 'h3'
import { maySubscribe } from '#auth'
import { startOf, topicsOf } from './address.ts'
import { refusalToStart } from './admission.ts'
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

function subscribe(event: H3Event, topic: string, { backbone, tally, limits }: Context): SocketPlan {
  const query = new Query(event.url.search)
  const protocol = protocolOf(event)
  const envelope = query.flag('envelope') || protocol !== undefined
  const selection = { topics: topicsOf(topic, query, limits) ?? [], exact: query.flag('exact') }
  const options = {
    backbone,
    tally,
    encoder: envelope ? enveloped : bare,
    selection,
    start: startOf(event.req.headers.get('last-event-id'), query),
  }
  return {
    protocol,
    refusalToOpen: rights => refusalToStart(rights, selection, options.start),
    refusal: rights => maySubscribe(rights, selection),
    connect: connection => new SocketSubscriber(connection, options),
  }
}

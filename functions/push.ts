import type { H3, H3Event } from 'h3'
import { parsePublicTopic, spaceTopic } from '#protocol'
import { receivedTopicOfPath } from './address.ts'
import type { Context } from './context.ts'
import { publishBody } from './pub.ts'
import { Query } from './query.ts'
import { SocketPublisher } from './socket-publisher.ts'
import { SocketPuller } from './socket-puller.ts'
import { SocketReceiver } from './socket-receiver.ts'
import { addSocketRoute, protocolOf, type SocketPlan } from './socket-route.ts'

/**
 * `WS` and `POST /push/*topic`, `WS /pull/*topic`: each message goes to exactly one puller of exactly the topic,
 * wherever it is connected. With `?ack=1` a puller is a receiver of the durable topic of that name instead.
 */
export function addPushRoutes(routes: H3, context: Context): void {
  addSocketRoute(routes, context, '/push', {
    socket: (event, topic) => pushFrames(event, topic, context),
    POST: (event, topic) => publishBody(event, spaceTopic('push', topic), context),
  })
  addSocketRoute(routes, context, '/pull', {
    socket: (event, topic) => pull(event, topic, context),
    topicOf: receivedTopicOfPath,
  })
}

function pushFrames(event: H3Event, publicTopic: string, { backbone, log }: Context): SocketPlan {
  const protocol = protocolOf(event)
  const topic = spaceTopic('push', publicTopic)
  const options = { backbone, log, topic, publicTopic, type: '', answers: protocol !== undefined }
  return { protocol, connect: connection => new SocketPublisher(connection, options) }
}

function pull(event: H3Event, receivedTopic: string, { backbone, log }: Context): SocketPlan {
  const protocol = protocolOf(event)
  const query = new Query(event.url.search)
  const envelope = query.flag('envelope') || protocol !== undefined
  if (query.flag('ack')) {
    const options = { backbone, log, topic: receivedTopic }
    return { protocol, connect: connection => new SocketReceiver(connection, options) }
  }
  const options = { backbone, topic: spaceTopic('push', parsePublicTopic(receivedTopic)), envelope }
  return { protocol, connect: connection => new SocketPuller(connection, options) }
}

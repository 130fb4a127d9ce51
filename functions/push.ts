import type { H3, H3Event } from 'h3'
import { mayPublish, mayReceive } from '#auth'
import { parsePublicTopic, type Rights, spaceTopic } from '#protocol'
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
  addSocketRoute(routes, context, 'push', {
    socket: (event, topic) => pushFrames(event, topic, context),
    POST: (event, topic) => publishBody(event, spaceTopic('push', topic), topic, context, 'push'),
  })
  addSocketRoute(routes, context, 'pull', {
    socket: (event, topic) => pull(event, topic, context),
    topicOf: receivedTopicOfPath,
  })
}

function pushFrames(
  event: H3Event,
  publicTopic: string,
  { backbone, log, tally, limits }: Context,
): SocketPlan {
  const protocol = protocolOf(event)
  const topic = spaceTopic('push', publicTopic)
  const options = {
    backbone,
    log,
    refused: tally.refused,
    limits,
    topic,
    publicTopic,
    type: '',
    answers: protocol !== undefined,
  }
  return {
    protocol,
    refusal: rights => mayPublish(rights, publicTopic),
    connect: (connection, source) => new SocketPublisher(connection, source, options),
  }
}

function pull(event: H3Event, receivedTopic: string, { backbone, log, tally }: Context): SocketPlan {
  const protocol = protocolOf(event)
  const query = new Query(event.url.search)
  const envelope = query.flag('envelope') || protocol !== undefined
  const refusal = (rights: Rights) => mayReceive(rights, receivedTopic)
  if (query.flag('ack')) {
    const options = { backbone, log, refused: tally.refused, topic: receivedTopic }
    return { protocol, refusal, connect: connection => new SocketReceiver(connection, options) }
  }
  const options = { backbone, topic: spaceTopic('push', parsePublicTopic(receivedTopic)), envelope }
  return { protocol, refusal, connect: connection => new SocketPuller(connection, options) }
}

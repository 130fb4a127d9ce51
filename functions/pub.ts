import { type H3, type H3Event, HTTPResponse } from 'h3'
import { mayPublish } from '#auth'
import type { Context } from './context.ts'
import { readPayload } from './limits.ts'
import { isBinary } from './media-type.ts'
import { SocketPublisher } from './socket-publisher.ts'
import { addSocketRoute, protocolOf, type SocketPlan } from './socket-route.ts'
import type { Door } from './tally.ts'

/** `WS` and `POST /pub/*topic`: each message, or the body, is published. */
export function addPubRoute(routes: H3, context: Context): void {
  addSocketRoute(routes, context, 'pub', {
    socket: (event, topic) => publishFrames(event, topic, context),
    POST: (event, topic) => publishBody(event, topic, topic, context, 'pub'),
  })
}

function publishFrames(event: H3Event, topic: string, { backbone, log, tally, limits }: Context): SocketPlan {
  const protocol = protocolOf(event)
  const options = {
    backbone,
    log,
    refused: tally.refused,
    limits,
    topic,
    publicTopic: topic,
    type: '',
    answers: protocol !== undefined,
  }
  return {
    protocol,
    refusal: rights => mayPublish(rights, topic),
    connect: (connection, source) => new SocketPublisher(connection, source, options),
  }
}

/**
 * Publishes the body of a request.
 *
 * @param topic in the log.
 * @param publicTopic what the client calls it.
 * @returns 200 with nothing in it.
 * @throws PosternError
 */
export async function publishBody(
  event: H3Event,
  topic: string,
  publicTopic: string,
  context: Context,
  door: Door,
): Promise<HTTPResponse> {
  const { backbone } = context
  const { payload } = await readPayload(event, context, rights => mayPublish(rights, publicTopic), door)
  const binary = isBinary(event.req.headers.get('content-type'), payload)
  await backbone.publish({ topic, type: '', binary, payload })
  return new HTTPResponse(null, { status: 200, headers: { 'content-length': '0' } })
}

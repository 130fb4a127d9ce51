import { type H3, type H3Event, HTTPResponse } from 'h3'
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
    POST: (event, topic) => publishBody(event, topic, context, 'pub'),
  })
}

function publishFrames(event: H3Event, topic: string, { backbone, log, tally }: Context): SocketPlan {
  const protocol = protocolOf(event)
  const options = {
    backbone,
    log,
    refused: tally.refused,
    topic,
    publicTopic: topic,
    type: '',
    answers: protocol !== undefined,
  }
  return { protocol, connect: connection => new SocketPublisher(connection, options) }
}

/**
 * Publishes the body of a request.
 *
 * @param topic in the log.
 * @returns 200 with nothing in it.
 * @throws PosternError
 */
export async function publishBody(
  event: H3Event,
  topic: string,
  { backbone, tally }: Context,
  door: Door,
): Promise<HTTPResponse> {
  const payload = await readPayload(event, backbone)
  tally.door(door).receive(payload.length)
  const binary = isBinary(event.req.headers.get('content-type'), payload)
  await backbone.publish({ topic, type: '', binary, payload })
  return new HTTPResponse(null, { status: 200, headers: { 'content-length': '0' } })
}

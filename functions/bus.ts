import type { H3, H3Event } from 'h3'
import { mayPublish, mayReceive } from '#auth'
import type { Source } from '#limits'
import { spaceTopic } from '#protocol'
import type { Context } from './context.ts'
import { publishBody } from './pub.ts'
import { Query } from './query.ts'
import { SocketEncoder } from './socket-encoding.ts'
import { SocketPublisher, type SocketPublisherOptions } from './socket-publisher.ts'
import { addSocketRoute, protocolOf, type SocketPlan } from './socket-route.ts'
import { SocketSubscriber, type SocketSubscriberOptions } from './socket-subscriber.ts'
import type { SocketOwner, WebSocketConnection } from './websocket.ts'

const bare = new SocketEncoder({ envelope: false, space: 'bus' })
const enveloped = new SocketEncoder({ envelope: true, space: 'bus' })

/** `WS` and `POST /bus/*topic`: every peer of a topic hears every other. */
export function addBusRoute(routes: H3, context: Context): void {
  addSocketRoute(routes, context, 'bus', {
    socket: (event, topic) => join(event, topic, context),
    POST: (event, topic) => publishBody(event, spaceTopic('bus', topic), topic, context, 'bus'),
  })
}

function join(event: H3Event, publicTopic: string, { backbone, log, tally, limits }: Context): SocketPlan {
  const query = new Query(event.url.search)
  const hearsItself = query.flag('echo')
  const protocol = protocolOf(event)
  const answers = protocol !== undefined
  const encoder = query.flag('envelope') || answers ? enveloped : bare
  const topic = spaceTopic('bus', publicTopic)
  // Who has sent a message travels as its type: that is how its sender, wherever it comes from, is left out.
  const name = process.getBuiltinModule('node:crypto').randomBytes(9).toString('base64url')
  const selection = { topics: [topic], exact: true }
  return {
    protocol,
    refusal: rights => mayPublish(rights, publicTopic) ?? mayReceive(rights, publicTopic),
    connect: (connection, source) =>
      new BusPeer(
        connection,
        source,
        { backbone, log, refused: tally.refused, limits, topic, publicTopic, type: name, answers },
        { backbone, tally, encoder, selection, start: {}, ...(hearsItself ? {} : { ownType: name }) },
      ),
  }
}

/** One peer on a bus: it publishes and subscribes on one connection. */
class BusPeer implements SocketOwner {
  readonly #publisher: SocketPublisher
  readonly #subscriber: SocketSubscriber

  constructor(
    connection: WebSocketConnection,
    source: Source,
    publishing: SocketPublisherOptions,
    subscribing: SocketSubscriberOptions,
  ) {
    this.#publisher = new SocketPublisher(connection, source, publishing)
    this.#subscriber = new SocketSubscriber(connection, subscribing)
  }

  message(payload: Uint8Array, binary: boolean): void {
    this.#publisher.message(payload, binary)
  }

  drained(): void {
    this.#publisher.drained()
    this.#subscriber.drained()
  }

  gone(): void {
    this.#publisher.gone()
    this.#subscriber.gone()
  }

  settled(): Promise<void> | undefined {
    return this.#publisher.settled()
  }
}

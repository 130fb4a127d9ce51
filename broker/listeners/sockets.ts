import { type Context, Publisher, Pull, Router, type Socket } from 'zeromq'
import { maxBatchBytes } from '../protocol/index.ts'
import { type Dsn, type Endpoint, endpointAddress } from './dsn.ts'

/** ZMQ_LINGER: what is queued at close may still leave, but a peer that does not read cannot hold the process. */
const lingerMs = 500

/**
 * ZMQ_RCVHWM: what a burst may put into memory before publishers feel it, in messages of each of them. Behind it TCP
 * and their own queue hold them back. Sixteen batches are a megabyte, which stays in the processor's cache until it is
 * read: with a hundred of them each message cost a third more.
 */
const receiveHighWaterMark = 16

/**
 * ZMQ_SNDHWM of the replies to each peer: a functions process has a few hundred requests under way at the most; a
 * peer that asks and never reads is cut off here.
 */
const replyHighWaterMark = 256

/** ZMQ_HEARTBEAT_IVL and ZMQ_HEARTBEAT_TIMEOUT: a subscriber that is stopped or gone is let go of within these. */
const heartbeat = { heartbeatInterval: 10_000, heartbeatTimeout: 30_000 }

/**
 * ZMQ_TCP_KEEPALIVE and ZMQ_TCP_MAXRT: whoever sends to us and whose machine is gone is let go of within half a minute.
 *
 * Threat: with heartbeats libzmq 4.3.5 aborts the whole process (`!_io_error`, stream_engine_base.cpp:310) when one is
 * due to a peer that has gone while as much of it is unread as the high-water mark allows: whenever a publisher ends
 * that waits for us.
 */
const keepalive = {
  tcpKeepalive: 1,
  // In seconds.
  tcpKeepaliveIdle: 10,
  tcpKeepaliveInterval: 10,
  tcpKeepaliveCount: 2,
  tcpMaxRetransmitTimeout: 30_000,
}

/**
 * ZMQ_MAXMSGSIZE, past which libzmq ends the connection. Twice what can be valid, so that what is a little too large
 * is refused by us, with a message that names the limit, and only what is absurd is cut.
 */
function maxMessageSize(maxPayloadBytes: number): number {
  return 2 * (maxPayloadBytes + maxBatchBytes)
}

/*
 * ZMQ_SNDHWM counts messages, and libzmq has no bound in bytes: a subscriber that is stopped costs at most the mark
 * times the largest payload, until its heartbeats are missed. Lowering the mark while messages are large was tried: a
 * pipe that is beyond a lowered mark can stay full for ever, its reader having nothing left to acknowledge.
 */

// Sends are never awaited: with a timeout of 0 each is done, or has failed, when it returns.
const sendTimeout = 0

/** Where a socket that asks for keys belongs. */
export interface Place {
  readonly context?: Context
}

export function openPull(maxPayloadBytes: number, place: Place = {}): Pull {
  return new Pull({
    ...place,
    linger: 0,
    receiveHighWaterMark,
    maxMessageSize: maxMessageSize(maxPayloadBytes),
    ...keepalive,
  })
}

export function openPublisher(sendHighWaterMark: number, place: Place = {}): Publisher {
  return new Publisher({ ...place, linger: lingerMs, sendTimeout, sendHighWaterMark, ...heartbeat })
}

export function openRouter(maxPayloadBytes: number, place: Place = {}): Router {
  return new Router({
    ...place,
    linger: lingerMs,
    sendTimeout,
    sendHighWaterMark: replyHighWaterMark,
    receiveHighWaterMark,
    maxMessageSize: maxMessageSize(maxPayloadBytes),
    // ZMQ_ROUTER_MANDATORY: a reply that cannot be delivered is an error that can be counted, not silence.
    mandatory: true,
    ...keepalive,
  })
}

/**
 * Binds or connects a socket as its data source name says.
 *
 * @param prepare called before each endpoint with its index.
 * @returns the endpoints, with the ports that the system chose.
 * @throws Error that names the setting and the endpoint.
 */
export async function attach(
  socket: Socket,
  dsn: Dsn,
  setting: string,
  prepare: (endpoint: number) => void = () => {},
): Promise<Endpoint[]> {
  const attached: Endpoint[] = []
  for (const [index, endpoint] of dsn.endpoints.entries()) {
    const address = endpointAddress(endpoint)
    try {
      prepare(index)
      if (dsn.mode === 'bind') await socket.bind(address)
      else socket.connect(address)
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      const variable = `POSTERN_${setting.toUpperCase()}`
      throw new Error(
        `${setting} cannot use ${address}: ${reason}. Set ${setting} (${variable}) to another address.`,
      )
    }
    attached.push(dsn.mode === 'bind' ? { ...endpoint, port: portOf(socket.lastEndpoint) } : endpoint)
  }
  return attached
}

function portOf(address: string | null): number {
  return Number(address?.slice(address.lastIndexOf(':') + 1) ?? 0)
}

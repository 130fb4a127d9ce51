import { topicPath } from '../room.ts'
import { roles, routeOf, type Seat } from './seat.ts'

/** A line for a shell that does what a seat does. */
export interface Command {
  readonly does: string
  readonly line: string
  /** What whoever runs it should know. */
  readonly note?: string
}

/** What curl needs for the same. @param origin where the page is, as `http://host:port`. */
export function commandsOf(seat: Seat, origin: string): readonly Command[] {
  const { role, topic } = seat
  const { action } = roles[role]
  const listens = {
    does: 'Listen',
    line: `${listening} ${quoted(origin + routeOf(seat))}`,
    note: 'curl answers no pings: the server ends this at the second one, within a minute by default.',
  }
  const sends = {
    does: action ?? '',
    line: `curl${asBinary(seat)} --data-raw ${quoted(seat.message)} ${quoted(`${origin}/${role}/${topicPath(topic)}`)}`,
  }
  switch (role) {
    case 'sub':
      // The same topics and messages: curl reads a stream of events as it is.
      return [{ does: 'Subscribe', line: `curl -N ${quoted(origin + eventRouteOf(seat))}` }]
    case 'bus':
      return [sends, listens]
    case 'pull':
      return [listens]
    default:
      return [sends]
  }
}

/** A handshake by hand, for a curl of any age. It shows each message behind the two to ten bytes of its frame's head. */
const listening =
  "curl -N --http1.1 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' " +
  '-H "Sec-WebSocket-Key: $(head -c 16 /dev/urandom | base64)"'

function eventRouteOf(seat: Seat): string {
  return routeOf(seat).replace('/sub/', '/event/')
}

function asBinary({ binary }: Seat): string {
  return ` -H 'Content-Type: ${binary ? 'application/octet-stream' : 'text/plain'}'`
}

/** A text as one word of a shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

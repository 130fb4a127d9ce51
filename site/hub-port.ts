import { isToHub } from './hub-protocol.ts'
import type { Member, StreamHub } from './stream-hub.ts'

/** Lets a page at the other end of a port take part in a hub. */
export function seatAt(hub: StreamHub, port: MessagePort): void {
  const member: Member = { send: message => port.postMessage(message) }
  port.addEventListener('message', event => {
    if (isToHub(event.data)) hub.receive(member, event.data)
  })
  port.start()
}

// Shared by all pages of a browser: HTTP/1.1 gives it six connections to a host, and a stream takes one for good.
import { seatAt } from './hub-port.ts'
import { StreamHub } from './stream-hub.ts'
import { browserEffects } from './stream-source.ts'

const hub = new StreamHub(browserEffects())

addEventListener('connect', event => {
  if (!(event instanceof MessageEvent)) return
  for (const port of event.ports) seatAt(hub, port)
})

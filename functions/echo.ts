import type { H3 } from 'h3'
import type { Context } from './context.ts'
import { addPlainSocketRoute } from './socket-route.ts'
import type { SocketOwner, WebSocketConnection } from './websocket.ts'

/** `WS /echo`: sends back what it gets, for tests of WebSocket itself. There in test mode alone. */
export function addEchoRoute(routes: H3, context: Context): void {
  const maxMessageBytes = () => context.maxEchoBytes
  addPlainSocketRoute(routes, context, 'echo', maxMessageBytes, () =>
    context.mode === 'test' ? { connect: connection => new Echo(connection) } : undefined,
  )
}

class Echo implements SocketOwner {
  readonly #connection: WebSocketConnection

  constructor(connection: WebSocketConnection) {
    this.#connection = connection
  }

  message(payload: Uint8Array, binary: boolean): void {
    if (!this.#connection.send(payload, binary)) this.#connection.pause()
  }

  drained(): void {
    this.#connection.resume()
  }

  gone(): void {}
}

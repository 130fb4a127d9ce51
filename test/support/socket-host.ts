import { onTestFinished } from 'vitest'
import {
  type socketHostKinds,
  startHost,
  type TestContext,
  type TestContextOptions,
  type TestHost,
  testContext,
} from './function-hosts.ts'
import { type HandshakeAnswer, type HandshakeOptions, handshake, WebsocketWire } from './websocket-wire.ts'

/** A host over a log in memory, seen by its WebSockets. It ends with the test. */
export interface SocketHost extends TestHost {
  readonly context: TestContext
  open(path: string, options?: HandshakeOptions): Promise<WebsocketWire>
  /** The answer to a handshake that may be refused. Resolves when the connection has ended. */
  asked(path: string, options?: HandshakeOptions): Promise<HandshakeAnswer & { readonly body: string }>
  publish(topic: string, payload: string | Uint8Array, binary?: boolean): Promise<{ id: string }>
  /** Resolves when there is neither a WebSocket nor a subscription. */
  allGone(): Promise<void>
}

export async function startSocketHost(
  kind: (typeof socketHostKinds)[number],
  options: TestContextOptions = {},
): Promise<SocketHost> {
  const context = testContext(options)
  const host = await startHost(kind, context)
  onTestFinished(() => host.close())
  return {
    ...host,
    context,
    open: (path, options) => WebsocketWire.open(`${host.url}${path}`, options),
    async asked(path, options) {
      const wire = new WebsocketWire(`${host.url}${path}`)
      wire.send(handshake(`${host.url}${path}`, options))
      const answer = await wire.answer()
      await wire.over()
      return { ...answer, body: wire.body }
    },
    publish: (topic, payload, binary = false) =>
      context.backbone.publish({ topic, type: '', binary, payload: Buffer.from(payload) }),
    async allGone() {
      while (context.backbone.subscriptions > 0 || context.sockets.size > 0)
        await new Promise(resolve => setImmediate(resolve))
    },
  }
}

/** What offers the subprotocol of receipts and envelopes. */
export const v1 = { headers: { 'Sec-WebSocket-Protocol': 'postern.v1' } }

/** Waits for so many frames, and gives them in words. */
export const told = (wire: WebsocketWire, count: number): Promise<string[]> =>
  wire.until(() => wire.told.length >= count && wire.told, `${count} frames`)

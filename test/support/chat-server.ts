import type { RequestListener } from 'node:http'
import { toNodeHandler } from 'h3/node'
import { onTestFinished } from 'vitest'
import { PosternError } from '#protocol'
import { createApp } from '../../functions/app.ts'
import type { OpenStream } from '../../functions/open-streams.ts'
import { serve } from '../../functions/server.ts'
import { type TestContext, type TestContextOptions, testContext } from './function-hosts.ts'

/** What is wrong with a server just now. */
interface Faults {
  /** Every connection breaks off without an answer. */
  unreachable: boolean
  /** What is published is answered with 504: it is in the log (`receipt`), or it is not (`message`). */
  loses: 'nothing' | 'receipt' | 'message'
}

/** The functions over a log in memory, as a browser meets them, with faults on request. */
export interface ChatServer {
  readonly url: string
  readonly context: TestContext
  readonly faults: Faults
  /** How many event streams are open. */
  openStreams(): number
  /** The idempotency keys of the publish requests, in their order. */
  readonly keys: readonly string[]
  /** Ends every event stream, as a server does that stops, and takes new ones. */
  endStreams(): void
  /** Publishes with a plain POST, as curl does. */
  post(topic: string, body: string | Uint8Array<ArrayBuffer>): Promise<void>
  /** Puts a text into the log, whether the server can be reached or not. */
  publish(topic: string, text: string): Promise<void>
  /** The payloads of the log on a topic. */
  published(topic: string): Promise<string[]>
}

/** Starts a server that ends with the test. */
export async function startChatServer(options: TestContextOptions = {}): Promise<ChatServer> {
  const context = testContext(options)
  const { backbone } = context
  const faults: Faults = { unreachable: false, loses: 'nothing' }
  const keys: string[] = []

  const publish = backbone.publish.bind(backbone)
  backbone.publish = async (publication, publishOptions) => {
    if (faults.loses === 'message') throw new PosternError('RECEIPT_UNKNOWN')
    const receipt = await publish(publication, publishOptions)
    if (faults.loses === 'receipt') throw new PosternError('RECEIPT_UNKNOWN')
    return receipt
  }

  const open = new Set<OpenStream>()
  const { streams } = context
  const add = streams.add.bind(streams)
  const remove = streams.remove.bind(streams)
  streams.add = stream => {
    open.add(stream)
    add(stream)
  }
  streams.remove = stream => {
    open.delete(stream)
    remove(stream)
  }

  const app = toNodeHandler(createApp(context))
  const handler: RequestListener = (request, response) => {
    if (faults.unreachable) {
      request.socket.destroy()
      return
    }
    const key = request.headers['idempotency-key']
    if (typeof key === 'string') keys.push(key)
    return app(request, response)
  }

  const { url, close } = await serve({ host: 'node', hostname: '127.0.0.1', port: 0, context, handler })
  onTestFinished(close)
  return {
    url,
    context,
    faults,
    keys,
    openStreams: () => streams.size,
    endStreams: () => {
      for (const stream of [...open]) stream.shutDown(1)
    },
    async post(topic, body) {
      const response = await fetch(`${url}/message/${topic}`, { method: 'POST', body })
      if (response.status !== 201) throw new Error(await response.text())
    },
    async publish(topic, text) {
      await publish({ topic, type: '', binary: false, payload: new TextEncoder().encode(text) })
    },
    async published(topic) {
      const { messages } = await backbone.history({ topics: [topic], exact: true }, 1_000)
      return messages.map(({ payload }) => new TextDecoder().decode(payload))
    },
  }
}

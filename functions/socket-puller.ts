import type { Backbone, Pull, PullSink } from '#client'
import type { Message } from '#protocol'
import { encodeMessages } from './socket-encoding.ts'
import type { SocketOwner, WebSocketConnection } from './websocket.ts'
import { closeCodes } from './websocket-frame.ts'

export interface SocketPullerOptions {
  readonly backbone: Backbone
  /** A push topic in the log. */
  readonly topic: string
  /** Each message as JSON; otherwise its bare payload. */
  readonly envelope: boolean
}

/**
 * One puller on a WebSocket. What it sends is thrown away. It holds no queue of its own: the broker hands it no more
 * than its window.
 */
export class SocketPuller implements SocketOwner, PullSink {
  readonly #connection: WebSocketConnection
  readonly #envelope: boolean
  readonly #pull: Pull
  #messages: Message[] = []
  #flushed: (() => void)[] = []

  constructor(connection: WebSocketConnection, { backbone, topic, envelope }: SocketPullerOptions) {
    this.#connection = connection
    this.#envelope = envelope
    this.#pull = backbone.pull(topic, this)
  }

  /** What comes in one turn goes out in one write. */
  deliver(message: Message, flushed: () => void): void {
    this.#messages.push(message)
    this.#flushed.push(flushed)
    if (this.#messages.length === 1) queueMicrotask(() => this.#write())
  }

  end(reason: 'shutdown' | 'failed'): void {
    if (reason === 'shutdown') this.#connection.shutDown()
    else this.#connection.close(closeCodes.internal, reason)
  }

  drained(): void {}

  gone(): void {
    this.#pull.close()
  }

  #write(): void {
    const frames = encodeMessages(this.#messages, { envelope: this.#envelope, space: 'push' })
    const flushed = this.#flushed
    this.#messages = []
    this.#flushed = []
    this.#connection.deliver(flushed.length, frames, () => {
      for (const one of flushed) one()
    })
  }
}

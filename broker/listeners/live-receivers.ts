import { decodeBatch, isSystemTopic, type Message, PosternError } from '../protocol/index.ts'
import type { ReceiverRegister, ReceiverSink, ReceiverWindow, Registration } from '../receivers.ts'

export interface LiveReceiversOptions {
  /** How many of a topic's receivers get its messages: those that have been there longest. 0: all. */
  readonly limitOf: (topic: string) => number
  /** What may wait for one receiver beyond its window; then it loses its oldest. */
  readonly maxBytes: () => number
  readonly window: () => ReceiverWindow
  /** Runs a task when this turn is over. */
  readonly defer: (task: () => void) => void
  /** A message did not reach a receiver. */
  readonly onLost: (topic: string, reason: string) => void
}

/**
 * The receivers of topics that are not durable: they get what is published while they are there. An acknowledgement
 * makes room in the window, and nothing more: what is not acknowledged is not delivered again.
 */
export class LiveReceivers implements ReceiverRegister {
  readonly #options: LiveReceiversOptions
  /** In the order of arrival. */
  readonly #topics = new Map<string, LiveReceiver[]>()

  constructor(options: LiveReceiversOptions) {
    this.#options = options
  }

  /** A batch that has got its place in the log. */
  stream(bytes: Uint8Array): void {
    if (this.#topics.size === 0) return
    const batch = decodeBatch(bytes)
    for (const message of batch?.select(topic => this.#topics.has(topic)) ?? []) {
      // It may wait for long, and must not keep the whole batch that it came in.
      message.detach()
      for (const receiver of this.#counted(message.topic)) receiver.push(message)
    }
  }

  /** @throws PosternError `RESERVED_TOPIC` */
  register(topic: string, sink: ReceiverSink, { window }: { window?: ReceiverWindow } = {}): Registration {
    if (isSystemTopic(topic)) throw new PosternError('RESERVED_TOPIC')
    const receiver = new LiveReceiver(topic, sink, window ?? this.#options.window(), this.#options)
    const line = this.#topics.get(topic) ?? []
    line.push(receiver)
    this.#topics.set(topic, line)
    const isCounted = () => this.#counted(topic).includes(receiver)
    return {
      get isCounted() {
        return isCounted()
      },
      acknowledge: (offsets, onRemoved) => {
        receiver.letGo(offsets)
        if (onRemoved) this.#options.defer(onRemoved)
        return []
      },
      giveBack: offsets => receiver.letGo(offsets),
      reject: (offsets, reason) => {
        for (const _ of receiver.letGo(offsets)) this.#options.onLost(topic, reason)
      },
      pause: isPaused => receiver.pause(isPaused),
      leave: () => this.#leave(topic, receiver),
    }
  }

  #counted(topic: string): readonly LiveReceiver[] {
    const line = this.#topics.get(topic) ?? []
    const limit = this.#options.limitOf(topic)
    return limit === 0 ? line : line.slice(0, limit)
  }

  #leave(topic: string, receiver: LiveReceiver): void {
    receiver.close()
    const left = (this.#topics.get(topic) ?? []).filter(other => other !== receiver)
    if (left.length > 0) this.#topics.set(topic, left)
    else this.#topics.delete(topic)
  }
}

class LiveReceiver {
  readonly #topic: string
  readonly #sink: ReceiverSink
  readonly #window: ReceiverWindow
  readonly #options: LiveReceiversOptions
  #waiting: Message[] = []
  #waitingBytes = 0
  /** What it has, by offset. */
  readonly #held = new Map<number, number>()
  #heldBytes = 0
  #isPaused = false
  #isClosed = false
  #isDeferred = false

  constructor(topic: string, sink: ReceiverSink, window: ReceiverWindow, options: LiveReceiversOptions) {
    this.#topic = topic
    this.#sink = sink
    this.#window = window
    this.#options = options
  }

  push(message: Message): void {
    this.#waiting.push(message)
    this.#waitingBytes += message.weight
    while (this.#waitingBytes > this.#options.maxBytes() && this.#waiting.length > 1) {
      this.#waitingBytes -= this.#waiting.shift()?.weight ?? 0
      this.#options.onLost(this.#topic, 'too much waits for a receiver')
    }
    this.#handOutSoon()
  }

  /** @returns those that it had. */
  letGo(offsets: readonly number[]): readonly number[] {
    const had = offsets.filter(offset => this.#held.has(offset))
    for (const offset of had) {
      this.#heldBytes -= this.#held.get(offset) ?? 0
      this.#held.delete(offset)
    }
    this.#handOutSoon()
    return had
  }

  pause(isPaused: boolean): void {
    this.#isPaused = isPaused
    this.#handOutSoon()
  }

  close(): void {
    this.#isClosed = true
    this.#waiting = []
  }

  #handOutSoon(): void {
    if (this.#isDeferred || this.#waiting.length === 0) return
    this.#isDeferred = true
    this.#options.defer(() => {
      this.#isDeferred = false
      this.#handOut()
    })
  }

  #handOut(): void {
    if (this.#isPaused || this.#isClosed) return
    let count = 0
    for (const { offset, weight } of this.#waiting) {
      const isOver = this.#held.size >= this.#window.messages || this.#heldBytes + weight > this.#window.bytes
      if (isOver && this.#held.size > 0) break
      this.#held.set(offset, weight)
      this.#heldBytes += weight
      this.#waitingBytes -= weight
      count++
    }
    if (count === 0) return
    const messages = this.#waiting.splice(0, count)
    this.#sink.take(messages.map(message => ({ message, deliveries: 1, redelivered: false })))
  }
}

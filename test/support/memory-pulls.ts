import type { Pull, PullSink } from '#client'
import { type BrokerStatus, type Message, PosternError } from '#protocol'

/** What a puller may have unflushed. */
const windowMessages = 64
const windowBytes = 64 * 1024

/** `delivery: one` in its plainest form: a list of messages that wait, and a list of pullers that take turns. */
export class MemoryPulls {
  readonly #maxBytes: number
  readonly #pullers = new Set<Puller>()
  #waiting: Message[] = []

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get figures(): Pick<BrokerStatus, 'pullers' | 'pushMessages' | 'pushBytes'> {
    return { pullers: this.#pullers.size, pushMessages: this.#waiting.length, pushBytes: this.#waitingBytes }
  }

  /** @throws PosternError `BACKLOG_FULL` */
  assertRoom(topic: string): void {
    if (this.#waitingBytes < this.#maxBytes || this.#next(topic)) return
    const bound = { limit: this.#maxBytes, setting: 'maxPushBytes' }
    throw new PosternError('BACKLOG_FULL', undefined, bound)
  }

  add(message: Message): void {
    this.#waiting.push(message)
    queueMicrotask(() => this.#handOver())
  }

  open(topic: string, sink: PullSink): Pull {
    const puller = { topic, sink, unflushed: new Set<Message>() }
    this.#pullers.add(puller)
    queueMicrotask(() => this.#handOver())
    return { close: () => this.#close(puller) }
  }

  end(): void {
    const pullers = [...this.#pullers]
    this.#pullers.clear()
    for (const { sink } of pullers) sink.end('shutdown')
  }

  #handOver(): void {
    for (const message of [...this.#waiting]) {
      const puller = this.#next(message.topic)
      if (!puller) continue
      this.#waiting = this.#waiting.filter(other => other !== message)
      puller.unflushed.add(message)
      // To the end of the line.
      this.#pullers.delete(puller)
      this.#pullers.add(puller)
      this.#deliver(puller, message)
    }
  }

  #deliver(puller: Puller, message: Message): void {
    try {
      puller.sink.deliver(message, () => {
        puller.unflushed.delete(message)
        queueMicrotask(() => this.#handOver())
      })
    } catch {
      this.#close(puller)
      puller.sink.end('failed')
    }
  }

  #close(puller: Puller): void {
    if (!this.#pullers.delete(puller)) return
    this.#waiting = [...puller.unflushed, ...this.#waiting].sort((a, b) => a.offset - b.offset)
    queueMicrotask(() => this.#handOver())
  }

  get #waitingBytes(): number {
    return this.#waiting.reduce((sum, { weight }) => sum + weight, 0)
  }

  #next(topic: string): Puller | undefined {
    return [...this.#pullers].find(puller => puller.topic === topic && hasRoom(puller))
  }
}

interface Puller {
  readonly topic: string
  readonly sink: PullSink
  readonly unflushed: Set<Message>
}

function hasRoom({ unflushed }: Puller): boolean {
  const bytes = [...unflushed].reduce((sum, { weight }) => sum + weight, 0)
  return unflushed.size < windowMessages && bytes < windowBytes
}

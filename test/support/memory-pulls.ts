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

  get figures(): Pick<
    BrokerStatus,
    'pullers' | 'pushMessages' | 'pushBytes' | 'unflushedMessages' | 'unflushedBytes'
  > {
    const unflushed = [...this.#pullers].flatMap(puller => [...puller.unflushed])
    return {
      pullers: this.#pullers.size,
      pushMessages: this.#waiting.length,
      pushBytes: bytesOf(this.#waiting),
      unflushedMessages: unflushed.length,
      unflushedBytes: bytesOf(unflushed),
    }
  }

  /** A topic that nobody pulls may hold as much as is free beside it. @throws PosternError `BACKLOG_FULL` */
  assertRoom(topic: string): void {
    const pulled = new Set([...this.#pullers].map(puller => puller.topic))
    if (pulled.has(topic)) return
    const unpulled = this.#waiting.filter(message => !pulled.has(message.topic))
    const own = unpulled.filter(message => message.topic === topic)
    if (bytesOf(own) < this.#maxBytes - bytesOf(unpulled)) return
    const bound = { limit: this.#maxBytes, setting: 'maxUnpulledBytes' }
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
  return unflushed.size < windowMessages && bytesOf(unflushed) < windowBytes
}

function bytesOf(messages: Iterable<Message>): number {
  return [...messages].reduce((sum, { weight }) => sum + weight, 0)
}

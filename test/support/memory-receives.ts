import type { Delivered, ReceiveOptions, ReceiveSink, Receiving } from '#client'
import { Message, PosternError, type Publication } from '#protocol'
import { type TopicRule, TopicRules } from '../../broker/topic-rules.ts'

const defaultWindow = { messages: 64, bytes: 64 * 1024 }

interface Receiver {
  readonly topic: string
  readonly sink: ReceiveSink
  readonly window: { readonly messages: number; readonly bytes: number }
  isStopped: boolean
}

interface Kept {
  readonly message: Message
  deliveries: number
  readonly holders: Set<Receiver>
  /** Where each message goes to all: who has got it, and has not given it back. */
  readonly given: Set<Receiver>
}

/** Durable topics in their plainest form: what is kept is an array. */
export class MemoryReceives {
  readonly #rules: TopicRules
  /** In the order of arrival. */
  readonly #receivers = new Set<Receiver>()
  /** In turn: who has got a message goes to the end. */
  readonly #line = new Set<Receiver>()
  #kept: Kept[] = []
  #last = 0

  constructor(rules: Readonly<Record<string, TopicRule>>) {
    this.#rules = new TopicRules(rules)
  }

  get figures() {
    const bytes = this.#kept.reduce((sum, { message }) => sum + message.payload.length, 0)
    return { receivers: this.#receivers.size, keptMessages: this.#kept.length, keptBytes: bytes }
  }

  /** @throws PosternError `TOPIC_FULL` */
  assertRoom(topic: string): void {
    const rule = this.#rules.durable(topic)
    if (!rule || this.#kept.filter(({ message }) => message.topic === topic).length < rule.maxKept) return
    throw new PosternError('TOPIC_FULL', undefined, {
      limit: rule.maxKept,
      setting: `topics.${rule.pattern}.maxKept`,
    })
  }

  keep({ topic, type, binary, payload }: Publication): void {
    if (!this.#rules.durable(topic)) return
    const place = { epoch: '6d656d6f7279', offset: ++this.#last, timeMs: 0 }
    const message = new Message(place, { topic, type, binary }, payload.slice(), 0, payload.length)
    this.#kept.push({ message, deliveries: 0, holders: new Set(), given: new Set() })
    this.#handOutSoon()
  }

  open(topic: string, sink: ReceiveSink, { window = defaultWindow }: ReceiveOptions): Receiving {
    const receiver: Receiver = { topic, sink, window, isStopped: false }
    if (!this.#rules.durable(topic)) {
      queueMicrotask(() => sink.end('refused', new PosternError('NOT_DURABLE')))
      return { stop: async () => {}, close: () => {} }
    }
    this.#receivers.add(receiver)
    this.#line.add(receiver)
    this.#handOutSoon()
    const stop = async () => {
      // What is being handed out in this turn still comes.
      await Promise.resolve()
      receiver.isStopped = true
      this.#handOutSoon()
    }
    return { stop, close: () => this.#close(receiver) }
  }

  acknowledge(topic: string, ids: readonly string[]): readonly string[] {
    for (const kept of this.#kept)
      if (kept.message.topic === topic && ids.includes(kept.message.id)) this.#remove(kept)
    return ids.filter(id => !id.startsWith('6d656d6f7279-'))
  }

  end(): void {
    for (const { sink } of this.#receivers) sink.end('shutdown')
    this.#receivers.clear()
    this.#line.clear()
  }

  #handOutSoon(): void {
    queueMicrotask(() => {
      for (const kept of [...this.#kept]) this.#handOut(kept)
      for (const receiver of [...this.#receivers]) if (this.#isDone(receiver)) this.#finish(receiver)
    })
  }

  #handOut(kept: Kept): void {
    const { topic } = kept.message
    const rule = this.#rules.durable(topic)
    const counted = [...this.#receivers]
      .filter(receiver => receiver.topic === topic)
      .slice(0, rule?.receivers || undefined)
    if (rule?.delivery === 'all') {
      for (const receiver of counted)
        if (!kept.given.has(receiver) && this.#hasRoom(receiver)) this.#deliver(kept, receiver)
    } else if (kept.holders.size === 0) {
      const next = [...this.#line].find(receiver => counted.includes(receiver) && this.#hasRoom(receiver))
      if (next) this.#deliver(kept, next)
    }
  }

  #isDone(receiver: Receiver): boolean {
    return receiver.isStopped && this.#kept.every(({ holders }) => !holders.has(receiver))
  }

  #finish(receiver: Receiver): void {
    this.#close(receiver)
    receiver.sink.end('done')
  }

  #hasRoom(receiver: Receiver): boolean {
    if (receiver.isStopped) return false
    const held = this.#kept.filter(({ holders }) => holders.has(receiver))
    const bytes = held.reduce((sum, { message }) => sum + message.weight, 0)
    return held.length < receiver.window.messages && bytes < receiver.window.bytes
  }

  #deliver(kept: Kept, receiver: Receiver): void {
    if (kept.holders.size === 0) kept.deliveries++
    kept.holders.add(receiver)
    kept.given.add(receiver)
    this.#line.delete(receiver)
    this.#line.add(receiver)
    const { message, deliveries } = kept
    const delivered: Delivered = {
      message,
      deliveries,
      redelivered: deliveries > 1,
      acknowledge: async () => this.#remove(kept),
      giveBack: () => this.#giveBack(kept, receiver),
    }
    try {
      receiver.sink.deliver(delivered)
    } catch {
      this.#close(receiver)
      receiver.sink.end('failed')
    }
  }

  #remove(kept: Kept): void {
    this.#kept = this.#kept.filter(other => other !== kept)
    this.#handOutSoon()
  }

  #giveBack(kept: Kept, receiver: Receiver): void {
    kept.holders.delete(receiver)
    kept.given.delete(receiver)
    this.#handOutSoon()
  }

  #close(receiver: Receiver): void {
    this.#receivers.delete(receiver)
    this.#line.delete(receiver)
    for (const kept of this.#kept) this.#giveBack(kept, receiver)
  }
}

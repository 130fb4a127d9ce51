import { PosternError, spaceTopic, topicWithin } from './protocol/index.ts'
import type { NamedRule } from './topic-rules.ts'

/** How much of each topic is kept, what is on its way into the store included. */
export class KeptRoom {
  readonly #topics = new Map<string, { messages: number; bytes: number }>()
  #messages = 0
  #bytes = 0

  get messages(): number {
    return this.#messages
  }

  /** Bytes of payloads. */
  get bytes(): number {
    return this.#bytes
  }

  /** What is kept of each topic, in no order. */
  get sizes(): Iterable<readonly [topic: string, { readonly messages: number; readonly bytes: number }]> {
    return this.#topics
  }

  /** The topics of which something is kept, and where what is dead of them is. */
  *topics(): Generator<string> {
    for (const topic of [...this.#topics.keys()]) {
      yield topic
      yield spaceTopic('dead', topic)
    }
  }

  /**
   * Asks before a message is taken.
   *
   * @throws PosternError `TOPIC_FULL`
   */
  assert(topic: string, bytes: number, { pattern, maxKept, maxKeptBytes }: NamedRule): void {
    const kept = this.#topics.get(topic) ?? { messages: 0, bytes: 0 }
    const full = (limit: number, name: string) =>
      new PosternError('TOPIC_FULL', undefined, { limit, setting: `topics.${pattern}.${name}` })
    if (kept.messages >= maxKept) throw full(maxKept, 'maxKept')
    if (kept.bytes + bytes > maxKeptBytes) throw full(maxKeptBytes, 'maxKeptBytes')
  }

  add(topic: string, messages: number, bytes: number): void {
    // What nobody could receive still takes the place that its topic has: else it would pile up without a bound.
    const name = topicWithin('dead', topic) ?? topic
    const kept = this.#topics.get(name)
    if (kept) {
      kept.messages += messages
      kept.bytes += bytes
      if (kept.messages === 0) this.#topics.delete(name)
    } else this.#topics.set(name, { messages, bytes })
    this.#messages += messages
    this.#bytes += bytes
  }

  remove(topic: string, messages: number, bytes: number): void {
    this.add(topic, -messages, -bytes)
  }
}

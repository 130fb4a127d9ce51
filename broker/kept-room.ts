import { PosternError, spaceTopic } from './protocol/index.ts'
import type { NamedRule } from './topic-rules.ts'

interface Size {
  messages: number
  bytes: number
}

const nothing: Readonly<Size> = { messages: 0, bytes: 0 }

/** How much of each topic is kept, what is on its way into the store included. */
export class KeptRoom {
  readonly #topics = new Map<string, Size>()
  #messages = 0
  #bytes = 0

  get messages(): number {
    return this.#messages
  }

  /** Bytes of payloads. */
  get bytes(): number {
    return this.#bytes
  }

  /** What is kept of each topic, `$dead/<topic>` apart from it, in no order. */
  get sizes(): Iterable<readonly [topic: string, Readonly<Size>]> {
    return this.#topics
  }

  /** The topics of which something is kept, those of what is dead among them. */
  get topics(): readonly string[] {
    return [...this.#topics.keys()]
  }

  /**
   * Asks before a message is taken. What nobody could receive still takes the place that its topic has: else it would pile
   * up without a bound.
   *
   * @throws PosternError `TOPIC_FULL`
   */
  assert(topic: string, bytes: number, { pattern, maxKept, maxKeptBytes }: NamedRule): void {
    const living = this.#topics.get(topic) ?? nothing
    const dead = this.#topics.get(spaceTopic('dead', topic)) ?? nothing
    const full = (limit: number, name: string) =>
      new PosternError('TOPIC_FULL', undefined, { limit, setting: `topics.${pattern}.${name}` })
    if (living.messages + dead.messages >= maxKept) throw full(maxKept, 'maxKept')
    if (living.bytes + dead.bytes + bytes > maxKeptBytes) throw full(maxKeptBytes, 'maxKeptBytes')
  }

  add(topic: string, messages: number, bytes: number): void {
    const kept = this.#topics.get(topic)
    if (kept) {
      kept.messages += messages
      kept.bytes += bytes
      if (kept.messages === 0) this.#topics.delete(topic)
    } else this.#topics.set(topic, { messages, bytes })
    this.#messages += messages
    this.#bytes += bytes
  }

  remove(topic: string, messages: number, bytes: number): void {
    this.add(topic, -messages, -bytes)
  }

  /** A message went to `$dead/<topic>`. */
  bury(topic: string, bytes: number): void {
    this.remove(topic, 1, bytes)
    this.add(spaceTopic('dead', topic), 1, bytes)
  }
}

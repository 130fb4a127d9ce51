import type { KeptTopic } from './kept-topic.ts'

/** What may stay in memory of topics that nobody receives. Who comes again soon finds it there. */
const maxBytes = 8 * 1024 * 1024

/**
 * Durable topics of which something is in memory, and that nobody receives. Threat: whoever looks into ever more topics
 * fills the memory with what was read for it.
 */
export class UnattendedTopics {
  /** With the bytes that they take; those that were left first come first. */
  readonly #topics = new Map<KeptTopic, number>()
  #bytes = 0

  /** Something has happened to a topic. @returns those of which nothing may stay in memory. */
  look(topic: KeptTopic): readonly KeptTopic[] {
    this.#forget(topic)
    if (topic.receivers.size > 0 || topic.isIdle) return []
    const { bytes } = topic.window
    this.#topics.set(topic, bytes)
    this.#bytes += bytes
    const leaving: KeptTopic[] = []
    for (const oldest of this.#topics.keys()) {
      if (this.#bytes <= maxBytes) break
      this.#forget(oldest)
      leaving.push(oldest)
    }
    return leaving
  }

  #forget(topic: KeptTopic): void {
    this.#bytes -= this.#topics.get(topic) ?? 0
    this.#topics.delete(topic)
  }
}

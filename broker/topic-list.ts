import type { TopicSummary } from './protocol/index.ts'

/** A page of 1,000 is some 100 KiB, and delays the others by a millisecond. */
const pageTopics = 1000

/** What there is of some topics, each under its name. */
export interface TopicSources {
  readonly history: Iterable<
    Pick<TopicSummary, 'topic' | 'messages' | 'bytes'> & { readonly newestMs: number }
  >
  readonly kept: Iterable<readonly [topic: string, { readonly messages: number; readonly bytes: number }]>
}

export interface TopicPage {
  readonly topics: readonly TopicSummary[]
  readonly more: boolean
}

/**
 * The first topics after a name, in the order of their names. Which topics there are may change from page to page:
 * none is named twice, and none that was there all the time is left out.
 */
export function pageOfTopics({ history, kept }: TopicSources, after = '', limit = pageTopics): TopicPage {
  const first = new FirstNames(after, limit + 1)
  for (const summary of history)
    if (first.isAmong(summary.topic)) first.set({ ...summary, keptMessages: 0, keptBytes: 0 })
  for (const [topic, { messages, bytes }] of kept) {
    if (!first.isAmong(topic)) continue
    const known = first.get(topic) ?? { topic, messages: 0, bytes: 0, newestMs: null }
    first.set({ ...known, keptMessages: messages, keptBytes: bytes })
  }
  const topics = first.sorted()
  return { topics: topics.slice(0, limit), more: topics.length > limit }
}

/** The first so many names, out of any number of them: sorting all of them would hold up the broker. */
class FirstNames {
  readonly #after: string
  readonly #count: number
  #found = new Map<string, TopicSummary>()
  /** Names beyond this one are not among the first any more. */
  #through: string | undefined

  constructor(after: string, count: number) {
    this.#after = after
    this.#count = count
  }

  isAmong(topic: string): boolean {
    return topic > this.#after && (this.#through === undefined || topic <= this.#through)
  }

  get(topic: string): TopicSummary | undefined {
    return this.#found.get(topic)
  }

  set(summary: TopicSummary): void {
    this.#found.set(summary.topic, summary)
    if (this.#found.size < 2 * this.#count) return
    const first = this.sorted()
    this.#found = new Map(first.map(one => [one.topic, one]))
    this.#through = first.at(-1)?.topic
  }

  sorted(): TopicSummary[] {
    const all = [...this.#found.values()].sort((a, b) => (a.topic < b.topic ? -1 : 1))
    return all.slice(0, this.#count)
  }
}

import { ancestry, type Batch, type Message, type Selection } from '../protocol/index.ts'

/** Everything that is subscribed to one selection: matched once, whatever the number of subscriptions. */
export interface Feed<Member> {
  readonly selection: Selection
  readonly members: Set<Member>
}

/** Finds the feeds of a topic by a map: the cost depends on the topic's depth, not on how many topics there are. */
export class FeedTable<Member> {
  readonly #feeds = new Map<string, Feed<Member>>()
  readonly #exact = new Map<string, Set<Feed<Member>>>()
  readonly #below = new Map<string, Set<Feed<Member>>>()
  #count = 0
  #lastTopic = ''
  #lastFeeds: readonly Feed<Member>[] = []

  /** Members of all feeds. */
  get count(): number {
    return this.#count
  }

  /** The feed of a selection, made when it is the first of its kind. */
  join(selection: Selection, member: Member): Feed<Member> {
    const key = keyOf(selection)
    let feed = this.#feeds.get(key)
    if (!feed) {
      feed = { selection, members: new Set() }
      this.#feeds.set(key, feed)
      const index = this.#indexOf(selection)
      for (const topic of selection.topics) {
        const feeds = index.get(topic)
        if (feeds) feeds.add(feed)
        else index.set(topic, new Set([feed]))
      }
      this.#lastTopic = ''
    }
    if (!feed.members.has(member)) this.#count++
    feed.members.add(member)
    return feed
  }

  leave(feed: Feed<Member>, member: Member): void {
    if (!feed.members.delete(member)) return
    this.#count--
    if (feed.members.size > 0) return
    this.#feeds.delete(keyOf(feed.selection))
    const index = this.#indexOf(feed.selection)
    for (const topic of feed.selection.topics) {
      const feeds = index.get(topic)
      feeds?.delete(feed)
      if (feeds?.size === 0) index.delete(topic)
    }
    this.#lastTopic = ''
  }

  *members(): Generator<Member> {
    for (const feed of this.#feeds.values()) yield* feed.members
  }

  /** Leaves no garbage, unlike an iterator: ten thousand members are asked with each sign of life of the broker. */
  each(ask: (member: Member) => void): void {
    this.#feeds.forEach(({ members }) => void members.forEach(member => void ask(member)))
  }

  /** The messages of some batches for each feed that gets any: each message once, in order. */
  select(batches: readonly Batch[]): Map<Feed<Member>, Message[]> {
    const selected = new Map<Feed<Member>, Message[]>()
    for (const batch of batches) {
      for (const message of batch.select(topic => this.#feedsOf(topic).length > 0)) {
        for (const feed of this.#feedsOf(message.topic)) {
          const messages = selected.get(feed)
          if (messages) messages.push(message)
          else selected.set(feed, [message])
        }
      }
    }
    return selected
  }

  #feedsOf(topic: string): readonly Feed<Member>[] {
    if (topic === this.#lastTopic) return this.#lastFeeds
    const feeds = new Set(this.#exact.get(topic))
    for (const above of ancestry(topic)) for (const feed of this.#below.get(above) ?? []) feeds.add(feed)
    this.#lastTopic = topic
    this.#lastFeeds = [...feeds]
    return this.#lastFeeds
  }

  #indexOf({ exact }: Selection): Map<string, Set<Feed<Member>>> {
    return exact ? this.#exact : this.#below
  }
}

// No topic holds a control character.
function keyOf({ topics, exact }: Selection): string {
  return [exact ? 'exact' : 'below', ...topics.toSorted()].join('\0')
}

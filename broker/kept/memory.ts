import type { Change, KeptPage, KeptQuery, KeptRow, KeptState, KeptStore } from './store.ts'

/** The smallest store: it survives as long as the object does. The reference for what the others must do. */
export class MemoryStore implements KeptStore {
  /** In the order of their numbers. */
  #rows = new Map<number, KeptRow>()
  #last = 0
  #loggedThrough = 0

  async open(): Promise<KeptState> {
    const topics = new Map<string, { topic: string; messages: number; bytes: number }>()
    for (const { topic, payload } of this.#rows.values()) {
      const sum = topics.get(topic) ?? { topic, messages: 0, bytes: 0 }
      topics.set(topic, { topic, messages: sum.messages + 1, bytes: sum.bytes + payload.length })
    }
    return {
      name: '6d656d6f7279',
      last: this.#last,
      loggedThrough: this.#loggedThrough,
      topics: [...topics.values()],
    }
  }

  async apply({ add, remove, move, deliveries, loggedThrough }: Change): Promise<void> {
    this.#loggedThrough = loggedThrough
    for (const number of remove) this.#rows.delete(number)
    for (const { number, deliveries: count } of deliveries) {
      const row = this.#rows.get(number)
      if (row) this.#rows.set(number, { ...row, deliveries: count })
    }
    const moved = move.flatMap(({ number, to, topic }) => {
      const row = this.#rows.get(number)
      this.#rows.delete(number)
      return row ? [{ ...row, number: to, topic }] : []
    })
    const fresh = [...add.map(row => ({ ...row, payload: row.payload.slice() })), ...moved]
    for (const row of fresh.sort((a, b) => a.number - b.number)) {
      this.#rows.set(row.number, row)
      this.#last = Math.max(this.#last, row.number)
    }
  }

  async read({ topic, after, through, maxMessages, maxBytes }: KeptQuery): Promise<KeptPage> {
    const rows: KeptRow[] = []
    let bytes = 0
    for (const row of this.#rows.values()) {
      if (row.number <= after || row.number > through || (topic !== undefined && row.topic !== topic))
        continue
      bytes += row.payload.length
      if (rows.length > 0 && (rows.length === maxMessages || bytes > maxBytes)) return { rows, more: true }
      rows.push(row)
    }
    return { rows, more: false }
  }

  async close(): Promise<void> {}
}

/**
 * Items of the log, the oldest first, in whatever order they come: putting in and taking out cost a handful of
 * comparisons each, also when a thousand pullers give back what they had.
 */
export class OffsetHeap<Item extends { readonly offset: number }> {
  /** A binary heap: no item is older than the one at half its index. */
  readonly #items: Item[] = []

  get size(): number {
    return this.#items.length
  }

  /** The oldest one. */
  get first(): Item | undefined {
    return this.#items[0]
  }

  push(item: Item): void {
    const items = this.#items
    let at = items.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = items[above]
      if (parent === undefined || parent.offset <= item.offset) break
      items[at] = parent
      at = above
    }
    items[at] = item
  }

  /** Takes the oldest one out. */
  pop(): Item | undefined {
    const [first] = this.#items
    const last = this.#items.pop()
    if (last !== undefined && this.#items.length > 0) this.#sink(last)
    return first
  }

  /** Puts an item into the place at the top, and then below whatever is older. */
  #sink(item: Item): void {
    const items = this.#items
    let at = 0
    for (;;) {
      const below = this.#olderBelow(at)
      const child = items[below]
      if (child === undefined || child.offset >= item.offset) break
      items[at] = child
      at = below
    }
    items[at] = item
  }

  #olderBelow(at: number): number {
    const left = this.#items[2 * at + 1]
    const right = this.#items[2 * at + 2]
    return left !== undefined && right !== undefined && right.offset < left.offset ? 2 * at + 2 : 2 * at + 1
  }
}

/** A queue that does not shift its whole array each time one is taken. */
export class Fifo<Item extends object> {
  readonly #items: (Item | undefined)[]
  #taken = 0

  constructor(items: readonly Item[] = []) {
    this.#items = [...items]
  }

  get length(): number {
    return this.#items.length - this.#taken
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  /** Takes the first one out. */
  shift(): Item | undefined {
    if (this.length === 0) return undefined
    const item = this.#items[this.#taken]
    // What was taken waits for the next cut, but must not be kept alive by it.
    this.#items[this.#taken] = undefined
    this.#taken++
    if (this.#taken > 64 && this.#taken * 2 > this.#items.length) {
      this.#items.splice(0, this.#taken)
      this.#taken = 0
    }
    return item
  }

  *[Symbol.iterator](): Generator<Item> {
    for (let i = this.#taken; i < this.#items.length; i++) {
      const item = this.#items[i]
      if (item !== undefined) yield item
    }
  }
}

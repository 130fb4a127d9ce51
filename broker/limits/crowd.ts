/** How many are there of each name. */
export class Crowd {
  readonly #counts = new Map<string, number>()

  /** Whether one more is too many; a limit of 0 is none. */
  isFull(name: string, limit: number): boolean {
    return limit > 0 && (this.#counts.get(name) ?? 0) >= limit
  }

  enter(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  /** Once for each that has entered. */
  leave(name: string): void {
    const count = this.#counts.get(name) ?? 0
    if (count > 1) this.#counts.set(name, count - 1)
    else this.#counts.delete(name)
  }
}

/** Lets a test wait for what something remembers. */
export class Watchers {
  readonly #watchers = new Set<() => void>()

  /** Resolves when the condition holds: it is looked at now, and at each `tell`. */
  until(condition: () => boolean): Promise<void> {
    return new Promise(resolve => {
      const check = () => {
        if (!condition()) return
        this.#watchers.delete(check)
        resolve()
      }
      this.#watchers.add(check)
      check()
    })
  }

  /** Something has changed. */
  tell(): void {
    for (const check of [...this.#watchers]) check()
  }
}

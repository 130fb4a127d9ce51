/**
 * Runs calls, some at a time, and gives one that is asked for while it is under way the same answer. Threat: a
 * thousand subscribers that resume from one place would make the broker read it a thousand times.
 */
export class SharedCalls<Answer> {
  readonly #atOnce: number
  readonly #underWay = new Map<string, Promise<Answer>>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(atOnce: number) {
    this.#atOnce = atOnce
  }

  /** @param key calls of one key are the same. */
  run(key: string, call: () => Promise<Answer>): Promise<Answer> {
    const known = this.#underWay.get(key)
    if (known) return known
    const answer = this.#inTurn(call).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, answer)
    return answer
  }

  async #inTurn(call: () => Promise<Answer>): Promise<Answer> {
    if (this.#running >= this.#atOnce) await new Promise<void>(resolve => this.#waiting.push(resolve))
    else this.#running++
    try {
      return await call()
    } finally {
      // The place goes to the next in line, if there is one.
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running--
    }
  }
}

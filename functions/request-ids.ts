/** What an id may be that a proxy has given. */
const given = /^[\w.-]{1,64}$/

/** Names the requests of this process, so that an answer and a line of the log can be found by each other. */
export class RequestIds {
  readonly #prefix: string
  #count = 0

  /** @param random as `Math.random`: tells this process from the others. */
  constructor(random: () => number) {
    this.#prefix = Math.floor(random() * 36 ** 6)
      .toString(36)
      .padStart(6, '0')
  }

  /** @param told by a proxy that is believed. */
  next(told?: string | null): string {
    if (told && given.test(told)) return told
    return `${this.#prefix}-${(++this.#count).toString(36)}`
  }
}

import { type Code, codes } from './codes.ts'

/** How often each error was given for an answer since the process began. */
export class Refusals {
  readonly #counts = new Map<Code, number>()

  add(code: Code, count = 1): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + count)
  }

  /** Every code, so that a first refusal shows as a step and not as a beginning. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      Object.keys(codes)
        .map(code => [code, 0])
        .concat([...this.#counts]),
    )
  }
}

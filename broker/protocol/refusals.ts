import { type Code, codes } from './codes.ts'

/** An error, or what is told of it. */
export interface Refused {
  readonly code: Code
  /** The limit that was the reason. */
  readonly setting?: string | undefined
}

/** How often each error was given for an answer since the process began, and each limit was the reason. */
export class Refusals {
  readonly #counts = new Map<Code, number>()
  readonly #limits: Map<string, number>

  /** @param limits the settings that are known to be limits; one that is hit otherwise shows from then on. */
  constructor(limits: readonly string[] = []) {
    this.#limits = new Map(limits.map(setting => [setting, 0]))
  }

  add({ code, setting }: Refused, count = 1): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + count)
    if (setting !== undefined) this.#limits.set(setting, (this.#limits.get(setting) ?? 0) + count)
  }

  /** By setting. */
  get limits(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#limits)
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

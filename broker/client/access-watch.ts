import type { Access } from '../protocol/index.ts'

/** Knows what the broker said last of its rules, and tells when it has said so first, or something else than before. */
export class AccessWatch {
  #access: Access | undefined
  readonly #listeners = new Set<() => void>()

  /** Undefined until the broker has said so. */
  get access(): Access | undefined {
    return this.#access
  }

  /** @returns what ends it. */
  onChange(listener: () => void): () => void {
    // Each has an entry of its own, so that one function may listen twice.
    const entry = () => listener()
    this.#listeners.add(entry)
    return () => this.#listeners.delete(entry)
  }

  take(access: Access): void {
    const before = this.#access
    this.#access = access
    if (before?.version === access.version) return
    for (const listener of [...this.#listeners]) listener()
  }
}

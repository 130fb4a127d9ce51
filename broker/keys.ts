import type { KeyEntry } from './journal/journal.ts'

export interface KeyBounds {
  /** How long a key is remembered. */
  readonly idempotencyMs: number
  /** How many are remembered at most; the oldest go first. */
  readonly maxIdempotencyKeys: number
}

/** The idempotency keys of the recent past, so that a repeat gets the first id. */
export class KeyTable {
  bounds: KeyBounds
  /** Keys that went before their time because there were too many. */
  forgottenEarly = 0
  // A Map iterates in the order of insertion, which is the order of time: the oldest stand in front.
  readonly #entries = new Map<string, KeyEntry>()

  constructor(bounds: KeyBounds) {
    this.bounds = bounds
  }

  get size(): number {
    return this.#entries.size
  }

  find(identity: string, topic: string, key: string, nowMs: number): KeyEntry | undefined {
    const entry = this.#entries.get(nameOf(identity, topic, key))
    return entry && !this.#isOver(entry, nowMs) ? entry : undefined
  }

  remember(entry: KeyEntry): void {
    const name = nameOf(entry.identity, entry.topic, entry.key)
    this.#entries.delete(name)
    this.#entries.set(name, entry)
    for (const [oldest, { timeMs }] of this.#entries) {
      const tooMany = this.#entries.size > this.bounds.maxIdempotencyKeys
      const isOver = entry.timeMs - timeMs > this.bounds.idempotencyMs
      if (!tooMany && !isOver) break
      if (!isOver) this.forgottenEarly++
      this.#entries.delete(oldest)
    }
  }

  forget(entry: KeyEntry): void {
    this.#entries.delete(nameOf(entry.identity, entry.topic, entry.key))
  }

  /** What is still to be remembered at a moment, oldest first. */
  *current(nowMs: number): Generator<KeyEntry> {
    for (const entry of this.#entries.values()) if (!this.#isOver(entry, nowMs)) yield entry
  }

  #isOver(entry: KeyEntry, nowMs: number): boolean {
    return nowMs - entry.timeMs > this.bounds.idempotencyMs
  }
}

// No part can hold a NUL: topics and keys are checked for control characters, identities are names.
function nameOf(identity: string, topic: string, key: string): string {
  return `${identity}\0${topic}\0${key}`
}

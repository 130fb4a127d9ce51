import type { Timer } from '../../broker/history/historian.ts'

/** Time that passes when a test says so. */
export class TestTimer {
  nowMs = 0
  #waiting: { readonly dueMs: number; readonly callback: () => void }[] = []

  readonly start: Timer = (delayMs, callback) => {
    const waiting = { dueMs: this.nowMs + delayMs, callback }
    this.#waiting.push(waiting)
    return () => {
      this.#waiting = this.#waiting.filter(other => other !== waiting)
    }
  }

  /** How many have been started and neither called back nor been cancelled. */
  get pending(): number {
    return this.#waiting.length
  }

  pass(ms: number): void {
    this.nowMs += ms
    const due = this.#waiting.filter(({ dueMs }) => dueMs <= this.nowMs)
    this.#waiting = this.#waiting.filter(({ dueMs }) => dueMs > this.nowMs)
    for (const { callback } of due) callback()
  }
}

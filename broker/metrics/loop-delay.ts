import type { Reading } from './reading.ts'

/** How often a timer is looked at. Node's own `monitorEventLoopDelay` wakes the process a hundred times as often. */
const sampleMs = 1000

/** Nobody has asked for so long: nobody is looked at for any more. */
const idleMs = 5 * 60_000

/** Upper ends of the histogram, in seconds. */
const ends = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export interface LoopDelayParts {
  /** A clock that never goes back. */
  readonly nowMs: () => number
  /** Calls back once. It is no reason for the process to stay. */
  readonly timer: (delayMs: number, callback: () => void) => void
}

/**
 * How late a timer comes: what everything in the process waits for the event loop. Measured once a second, and only
 * while somebody asks.
 */
export class LoopDelay {
  readonly #parts: LoopDelayParts
  readonly #counts = ends.map(() => 0)
  #count = 0
  #sumMs = 0
  #isLooking = false
  #askedMs = 0

  constructor(parts: LoopDelayParts) {
    this.#parts = parts
  }

  /** What was measured, from the first time on that this was asked for. */
  read(): Reading {
    this.#askedMs = this.#parts.nowMs()
    if (!this.#isLooking) this.#begin()
    const name = 'postern_event_loop_delay_seconds'
    let sum = 0
    const buckets = ends.map((end, i) => {
      sum += this.#counts[i] ?? 0
      return { metricName: `${name}_bucket`, labels: { le: String(end) }, value: sum }
    })
    return {
      name,
      help: 'How late a timer comes that is looked at once a second.',
      type: 'histogram',
      aggregator: 'sum',
      values: [
        ...buckets,
        { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: this.#count },
        { metricName: `${name}_sum`, labels: {}, value: this.#sumMs / 1000 },
        { metricName: `${name}_count`, labels: {}, value: this.#count },
      ],
    }
  }

  #begin(): void {
    this.#isLooking = true
    const dueMs = this.#parts.nowMs() + sampleMs
    this.#parts.timer(sampleMs, () => this.#sample(dueMs))
  }

  #sample(dueMs: number): void {
    const nowMs = this.#parts.nowMs()
    const lateMs = Math.max(0, nowMs - dueMs)
    const at = ends.findIndex(end => lateMs <= 1000 * end)
    if (at >= 0) this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#count++
    this.#sumMs += lateMs
    this.#isLooking = false
    if (nowMs - this.#askedMs < idleMs) this.#begin()
  }
}

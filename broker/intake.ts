import type { Batch, Message, Run } from './protocol/index.ts'

/** What waits here has no messages yet, and is mostly held by the tail too: about what one turn at full speed brings. */
const maxWaitingMessages = 4096
const maxWaitingBytes = 1024 * 1024

/** Shorter runs are not counted: on a log of many topics the counting would cost more than what it saves. */
const longRun = 8

/** What comes out of an intake. */
export interface Taken {
  /** In the order of the log. */
  readonly messages: readonly Message[]
  /** Topics with the highest offset of what was left out, because enough newer messages follow it. */
  readonly skipped: Map<string, number>
}

/**
 * Batches that the history has not looked into yet. On a busy topic most messages have left the history before anybody
 * asks for it: those are never made.
 */
export class Intake {
  #waiting: { readonly batch: Batch; readonly runs: readonly Run[] }[] = []
  #messages = 0
  #bytes = 0

  /** Offset of the oldest message that waits; undefined when none does. */
  get first(): number | undefined {
    return this.#waiting[0]?.batch.first
  }

  get isFull(): boolean {
    return this.#messages >= maxWaitingMessages || this.#bytes >= maxWaitingBytes
  }

  push(batch: Batch, runs: readonly Run[]): void {
    if (batch.count === 0) return
    this.#waiting.push({ batch, runs })
    this.#messages += batch.count
    this.#bytes += batch.bytes.length
  }

  /** Takes everything out, of each topic at least the newest so many. */
  take(perTopic: number): Taken {
    const skipped = new Map<string, number>()
    const counts = new Map<string, number>()
    const chosen: Message[][] = []
    for (const { batch, runs } of this.#waiting.reverse()) {
      const messages = batch.read(({ topic, count, last }) => {
        if (count < longRun && counts.size === 0) return count
        const newer = counts.get(topic) ?? 0
        counts.set(topic, newer + count)
        const wanted = Math.min(count, Math.max(0, perTopic - newer))
        if (wanted < count && !skipped.has(topic)) skipped.set(topic, last - wanted)
        return wanted
      }, runs)
      chosen.push(messages)
    }
    this.#waiting = []
    this.#messages = 0
    this.#bytes = 0
    return { messages: chosen.reverse().flat(), skipped }
  }
}

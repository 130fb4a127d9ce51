/** What a functions process tells of those who are connected to it. */
export interface AudienceReport {
  readonly subscribers: number
  /** Messages that it has handed to subscribers since it has started. */
  readonly delivered: number
}

/** Everybody who is connected to functions processes, as these tell it. */
export class Audience {
  readonly #reports = new Map<string, AudienceReport & { readonly seenMs: number }>()
  #delivered = 0

  /** Subscribers of all processes. */
  get subscribers(): number {
    let sum = 0
    for (const { subscribers } of this.#reports.values()) sum += subscribers
    return sum
  }

  /** Messages that were handed to subscribers. Never goes back, whoever comes and goes. */
  get delivered(): number {
    return this.#delivered
  }

  report(peer: string, report: AudienceReport, nowMs: number): void {
    // What a process did before it came here was counted elsewhere, or never.
    const before = this.#reports.get(peer) ?? report
    this.#delivered += Math.max(0, report.delivered - before.delivered)
    this.#reports.set(peer, { ...report, seenMs: nowMs })
  }

  /** Forgets the subscribers of processes that have been silent for longer. */
  expire(nowMs: number, silentMs: number): void {
    for (const [peer, { seenMs }] of this.#reports) if (nowMs - seenMs > silentMs) this.#reports.delete(peer)
  }
}

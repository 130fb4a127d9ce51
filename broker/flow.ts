export interface FlowBounds {
  /** Receipts are withheld while even the fastest functions process is further behind. */
  readonly maxLagBytes: number
  /** A functions process that has been silent for longer holds nothing back. */
  readonly peerTimeoutMs: number
}

/** Enough to see every step of a log that is within its bounds; an odd one out is never the last. */
const maxEnds = 4095

interface Peer {
  offset: number
  seenMs: number
}

/**
 * Flow control: publishers wait for their receipts while the functions cannot follow. Only the fastest functions
 * process counts, so that a stopped one delays nobody.
 */
export class Flow {
  bounds: FlowBounds
  readonly #peers = new Map<string, Peer>()
  // Ends of batches that the fastest process has not reported yet, with the bytes of the log up to there.
  #ends: { readonly offset: number; readonly bytes: number }[] = []
  #publishedBytes = 0
  #consumedBytes = 0
  #withheld: (() => void)[] = []

  constructor(bounds: FlowBounds) {
    this.bounds = bounds
  }

  get peers(): number {
    return this.#peers.size
  }

  get withheld(): number {
    return this.#withheld.length
  }

  /** How far the fastest functions process is behind; 0 when there is none. */
  get lagBytes(): number {
    return this.#peers.size === 0 ? 0 : this.#publishedBytes - this.#consumedBytes
  }

  /** Whether publishers have to wait. */
  get isLagging(): boolean {
    return this.lagBytes > this.bounds.maxLagBytes
  }

  /** A functions process has come this far. */
  report(peer: string, offset: number, nowMs: number): void {
    this.#peers.set(peer, { offset, seenMs: nowMs })
    this.#advance(offset)
    this.#settle()
  }

  /** A batch has gone out. */
  published(last: number, bytes: number): void {
    this.#publishedBytes += bytes
    if (this.#peers.size === 0) this.#consumedBytes = this.#publishedBytes
    else this.#ends.push({ offset: last, bytes: this.#publishedBytes })
    // A process that reports without coming further must not let them grow: coarser steps serve as well.
    if (this.#ends.length > maxEnds) this.#ends = this.#ends.filter((_, i) => i % 2 === 1)
  }

  /** Runs what a publisher waits for now, or when the functions have followed. */
  whenFollowed(release: () => void): void {
    if (!this.isLagging && this.#withheld.length === 0) release()
    else this.#withheld.push(release)
  }

  /** Forgets peers that have been silent, and with them what they held back. */
  expire(nowMs: number): void {
    for (const [name, { seenMs }] of this.#peers) {
      if (nowMs - seenMs > this.bounds.peerTimeoutMs) this.#peers.delete(name)
    }
    if (this.#peers.size === 0) {
      this.#ends = []
      this.#consumedBytes = this.#publishedBytes
    }
    this.#settle()
  }

  #advance(offset: number): void {
    let reached = 0
    for (const end of this.#ends) {
      if (end.offset > offset) break
      this.#consumedBytes = end.bytes
      reached++
    }
    if (reached > 0) this.#ends.splice(0, reached)
  }

  #settle(): void {
    if (this.isLagging) return
    const released = this.#withheld
    this.#withheld = []
    for (const release of released) release()
  }
}

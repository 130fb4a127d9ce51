import type { Batch } from './batch.ts'
import type { Position } from './id.ts'

/** What a batch takes in memory beside its bytes: measured with batches of one small message each. */
export const batchOverheadBytes = 312

/** What a batch takes in memory. */
export function heldBytes(batch: Batch): number {
  return batch.bytes.length + batchOverheadBytes
}

/** The newest batches of one epoch, without a hole, bounded in bytes of memory: what repairs and resumes are read from. */
export class Tail {
  readonly #maxBytes: number
  readonly #batches: (Batch | undefined)[] = []
  #dropped = 0
  #bytes = 0
  #epoch: string
  #floor: number
  #last: number

  /** @param maxBytes the oldest batches beyond it are dropped; the newest one always stays. */
  constructor(maxBytes: number, start: Position) {
    this.#maxBytes = maxBytes
    this.#epoch = start.epoch
    this.#floor = start.offset
    this.#last = start.offset
  }

  /** The newest position: that of the last message. */
  get position(): Position {
    return { epoch: this.#epoch, offset: this.#last }
  }

  /** Every message after this offset is here. */
  get floor(): number {
    return this.#floor
  }

  /** What all of it takes in memory. */
  get byteLength(): number {
    return this.#bytes
  }

  /** Whether everything after a position can be read from here. */
  reachesBack(position: Position): boolean {
    return position.epoch === this.#epoch && position.offset >= this.#floor && position.offset <= this.#last
  }

  /** Appends the batch that follows the last one. */
  push(batch: Batch): void {
    if (batch.epoch !== this.#epoch || batch.first !== this.#last + 1)
      throw new RangeError(`batch ${batch.epoch}-${batch.first} does not follow ${this.#epoch}-${this.#last}`)
    if (batch.last < batch.first) return
    this.#batches.push(batch)
    this.#bytes += heldBytes(batch)
    this.#last = batch.last
    while (this.#bytes > this.#maxBytes && this.#dropped < this.#batches.length - 1) this.#dropOldest()
  }

  /** Forgets everything and goes on from another place. */
  restart(start: Position): void {
    this.#batches.length = 0
    this.#dropped = 0
    this.#bytes = 0
    this.#epoch = start.epoch
    this.#floor = start.offset
    this.#last = start.offset
  }

  /** The batches that hold messages after an offset, oldest first; the first may also hold older ones. */
  *after(offset: number): Generator<Batch> {
    for (let i = this.#indexAfter(offset); i < this.#batches.length; i++) {
      const batch = this.#batches[i]
      if (batch) yield batch
    }
  }

  #indexAfter(offset: number): number {
    let low = this.#dropped
    let high = this.#batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#batches[middle]?.last ?? 0) > offset) high = middle
      else low = middle + 1
    }
    return low
  }

  #dropOldest(): void {
    const oldest = this.#batches[this.#dropped]
    if (!oldest) return
    this.#bytes -= heldBytes(oldest)
    this.#floor = oldest.last
    // Dropped places wait for the next cut, their batches do not: 64 of the largest would be far beyond the bound.
    this.#batches[this.#dropped] = undefined
    this.#dropped++
    // Shifting one by one costs the whole array each time; cutting half of it at once costs nothing worth naming.
    if (this.#dropped > 64 && this.#dropped * 2 > this.#batches.length) {
      this.#batches.splice(0, this.#dropped)
      this.#dropped = 0
    }
  }
}

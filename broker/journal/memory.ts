import type { Batch } from '../protocol/index.ts'
import type { Journal, KeyEntry, Recovery } from './journal.ts'

/** The smallest journal: it survives as long as the object does. The reference for what the others must do. */
export class MemoryJournal implements Journal {
  readonly #batches: Batch[] = []
  readonly #keys: KeyEntry[] = []
  #last = 0
  #keptThrough = 0

  append(batch: Batch, keys: readonly KeyEntry[], keptThrough = 0): void {
    this.#batches.push(batch)
    this.#keys.push(...keys)
    this.#last = batch.last
    this.#keptThrough = Math.max(this.#keptThrough, keptThrough)
  }

  retire(through: number): void {
    while (this.#batches[0] && this.#batches[0].last <= through) this.#batches.shift()
  }

  close(): void {}

  /** What a restart would find. */
  recover(epoch: string): Recovery {
    return {
      epoch,
      last: this.#last,
      pastEpochs: [],
      batches: [...this.#batches],
      keys: [...this.#keys],
      keptThrough: this.#keptThrough,
      broken: this.#last > 0 ? undefined : 'empty',
    }
  }
}

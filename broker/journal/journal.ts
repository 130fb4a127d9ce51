import type { Batch } from '../protocol/index.ts'

/** A publication that was made under an idempotency key. */
export interface KeyEntry {
  readonly identity: string
  readonly topic: string
  readonly key: string
  /** Tells one publication's content from another's. */
  readonly fingerprint: string
  readonly epoch: string
  readonly offset: number
  readonly timeMs: number
}

/** An epoch that has ended, and the last offset of it that is known. */
export interface PastEpoch {
  readonly epoch: string
  readonly last: number
}

/**
 * The tail of the log on something that survives the process.
 *
 * A journal MUST have handed the batch and its keys, as one, to what survives a `kill -9` before `append` returns;
 * it MAY leave syncing to the operating system. When `append` throws, nothing of the batch may come back after a
 * restart. Batches are appended in order, without a hole.
 */
export interface Journal {
  /**
   * @param keptThrough kept messages up to this number are in the log now: remembered with the batch, for as long as
   * there is a journal.
   * @throws when it cannot be written; the broker then refuses the batch.
   */
  append(batch: Batch, keys: readonly KeyEntry[], keptThrough?: number): void
  /** Everything up to this offset may be forgotten. What is still shared with newer batches may stay. */
  retire(through: number): void
  /** Marks the end as clean and syncs: after a restart of the machine the epoch goes on. */
  close(): void
}

/** What a journal remembers at start. */
export interface Recovery {
  /** The epoch that goes on, or the new one. */
  readonly epoch: string
  /** Offset of the last message. */
  readonly last: number
  readonly pastEpochs: readonly PastEpoch[]
  /** Whole batches in order, those of past epochs included. */
  readonly batches: readonly Batch[]
  readonly keys: readonly KeyEntry[]
  /** Kept messages up to this number are in the log; 0 where none is known to be. */
  readonly keptThrough: number
  /** Why a new epoch was begun; undefined when the log goes on. */
  readonly broken: 'empty' | 'torn' | 'power-loss' | undefined
}

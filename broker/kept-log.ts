import type { KeptLog } from './keeper.ts'
import type { KeptRow } from './kept/store.ts'
import { type Batch, BatchWriter, noEpoch, type Position } from './protocol/index.ts'

/** The log, as it takes batches of kept messages. */
export interface KeptBatchLog {
  /**
   * @param batch without a place yet, which it gets.
   * @param rows the messages that are in it.
   * @returns the place of the first of them, or undefined when the journal cannot be written.
   */
  logKeptBatch(batch: Batch, rows: readonly KeptRow[]): Position | undefined
}

interface Encoded {
  readonly batch: Batch
  readonly rows: readonly KeptRow[]
}

/** Puts kept messages into the log in batches of its size. */
export class KeptBatches implements KeptLog {
  readonly #log: KeptBatchLog
  readonly #writer = new BatchWriter()
  /** What was encoded before it was kept, by its first row. Without that row nobody asks for it. */
  readonly #prepared = new WeakMap<KeptRow, readonly Encoded[]>()

  constructor(log: KeptBatchLog) {
    this.#log = log
  }

  /** Encodes what is about to be kept. */
  prepare(rows: readonly KeptRow[]): void {
    const [first] = rows
    if (first) this.#prepared.set(first, this.#encode(rows))
  }

  logKept(rows: readonly KeptRow[]): Position[] {
    const places: Position[] = []
    for (const { batch, rows: logged } of this.#encoded(rows)) {
      const first = this.#log.logKeptBatch(batch, logged)
      if (!first) break
      for (let i = 0; i < logged.length; i++) places.push({ epoch: first.epoch, offset: first.offset + i })
    }
    return places
  }

  /** As it was prepared, where that is exactly these rows: some may be left of what was kept before. */
  #encoded(rows: readonly KeptRow[]): readonly Encoded[] {
    const prepared = rows[0] && this.#prepared.get(rows[0])
    if (rows[0]) this.#prepared.delete(rows[0])
    const count = prepared?.reduce((sum, encoded) => sum + encoded.rows.length, 0)
    return prepared && count === rows.length ? prepared : this.#encode(rows)
  }

  #encode(rows: readonly KeptRow[]): Encoded[] {
    const encoded: Encoded[] = []
    let gathered: KeptRow[] = []
    const finish = () => {
      encoded.push({
        batch: this.#writer.finish({ epoch: noEpoch, first: 0, timeMs: 0 }),
        rows: gathered,
      })
      gathered = []
    }
    for (const row of rows) {
      if (this.#writer.isFullFor(row)) finish()
      this.#writer.add(row)
      gathered.push(row)
    }
    if (gathered.length > 0) finish()
    return encoded
  }
}

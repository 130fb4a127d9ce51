import type { KeptLog } from './keeper.ts'
import type { KeptRow } from './kept/store.ts'
import { BatchWriter, type Position } from './protocol/index.ts'

/** The log, as it takes batches of kept messages. */
export interface KeptBatchLog {
  /**
   * @param rows the messages that are in the writer.
   * @returns the place of the first of them, or undefined when the journal cannot be written.
   */
  logKeptBatch(writer: BatchWriter, rows: readonly KeptRow[]): Position | undefined
}

/** Puts kept messages into the log in batches of its size. */
export class KeptBatches implements KeptLog {
  readonly #log: KeptBatchLog
  readonly #writer = new BatchWriter()

  constructor(log: KeptBatchLog) {
    this.#log = log
  }

  logKept(rows: readonly KeptRow[]): Position[] {
    const places: Position[] = []
    let gathered: KeptRow[] = []
    const log = () => {
      const first = this.#log.logKeptBatch(this.#writer, gathered)
      if (!first) return false
      const { epoch, offset } = first
      places.push(...gathered.map((_, i) => ({ epoch, offset: offset + i })))
      gathered = []
      return true
    }
    for (const row of rows) {
      if (this.#writer.isFullFor(row) && !log()) return places
      this.#writer.add(row)
      gathered.push(row)
    }
    if (gathered.length > 0) log()
    return places
  }
}

import type { KeptKey, KeptRow } from './store.ts'

/**
 * Rows on their way from one thread to another: figures and payloads in two buffers that change hands. Cloned one by
 * one, the objects, texts and buffers of rows would cost more than their insertion.
 */
export interface PackedRows {
  /** Of each row `width` figures. */
  readonly figures: Float64Array<ArrayBuffer>
  readonly payloads: Uint8Array<ArrayBuffer>
  /** Each topic with its type once. */
  readonly labels: readonly Label[]
  /** Of rows that have one, by their places. */
  readonly keys: ReadonlyMap<number, KeptKey>
}

interface Label {
  readonly topic: string
  readonly type: string
}

/** Number, time, deliveries, whether it is binary, place of its label, end of its payload. */
const width = 6

export function packRows(rows: readonly KeptRow[]): PackedRows {
  const figures = new Float64Array(width * rows.length)
  const payloads = new Uint8Array(rows.reduce((sum, { payload }) => sum + payload.length, 0))
  const labels = new Labels()
  const keys = new Map<number, KeptKey>()
  let end = 0
  for (const [i, row] of rows.entries()) {
    payloads.set(row.payload, end)
    end += row.payload.length
    const at = width * i
    figures[at] = row.number
    figures[at + 1] = row.timeMs
    figures[at + 2] = row.deliveries
    figures[at + 3] = row.binary ? 1 : 0
    figures[at + 4] = labels.placeOf(row)
    figures[at + 5] = end
    if (row.idempotency) keys.set(i, row.idempotency)
  }
  return { figures, payloads, labels: labels.all, keys }
}

/** @returns the rows as they were. Their payloads are views of one buffer. */
export function unpackRows({ figures, payloads, labels, keys }: PackedRows): KeptRow[] {
  const rows: KeptRow[] = []
  let start = 0
  for (let at = 0; at < figures.length; at += width) {
    const label = labels[figures[at + 4] ?? 0]
    const end = figures[at + 5] ?? start
    rows.push({
      number: figures[at] ?? 0,
      topic: label?.topic ?? '',
      type: label?.type ?? '',
      timeMs: figures[at + 1] ?? 0,
      binary: figures[at + 3] === 1,
      deliveries: figures[at + 2] ?? 0,
      idempotency: keys.get(rows.length),
      payload: payloads.subarray(start, end),
    })
    start = end
  }
  return rows
}

/** Topics with their types, each once. */
class Labels {
  readonly all: Label[] = []
  readonly #places = new Map<string, number>()
  #place = 0

  placeOf({ topic, type }: Label): number {
    // One often follows itself.
    const last = this.all[this.#place]
    if (last?.topic === topic && last.type === type) return this.#place
    // Neither can hold a NUL.
    const name = `${topic}\0${type}`
    this.#place = this.#places.get(name) ?? this.all.push({ topic, type }) - 1
    this.#places.set(name, this.#place)
    return this.#place
  }
}

/** What is handed over with the rows. */
export function buffersOf({ figures, payloads }: PackedRows): ArrayBuffer[] {
  return [figures.buffer, payloads.buffer]
}

import type { KeptKey, KeptRow } from './store.ts'

/**
 * Rows on their way from one thread to another: figures and payloads in one buffer, which changes hands or is seen by
 * both. Cloned one by one, the objects, texts and buffers of rows would cost more than their insertion.
 */
export interface PackedRows<B extends ArrayBufferLike = ArrayBufferLike> {
  /** Of each row `width` figures. */
  readonly figures: Float64Array<B>
  readonly payloads: Uint8Array<B>
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

/** @param allocate gives at least so many bytes. */
export function packRows<B extends ArrayBufferLike>(
  rows: readonly KeptRow[],
  allocate: (bytes: number) => B,
): PackedRows<B> {
  let payloadBytes = 0
  for (const { payload } of rows) payloadBytes += payload.length
  const figureBytes = Float64Array.BYTES_PER_ELEMENT * width * rows.length
  const buffer = allocate(figureBytes + payloadBytes)
  const figures = new Float64Array(buffer, 0, width * rows.length)
  const payloads = new Uint8Array(buffer, figureBytes, payloadBytes)
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

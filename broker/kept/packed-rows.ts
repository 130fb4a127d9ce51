import type { KeptKey, KeptRow } from './store.ts'

/**
 * Rows on their way from one thread to another: column by column, and all payloads in one buffer that changes hands.
 * Cloned one by one, their objects and buffers would cost more than the insertion.
 */
export interface PackedRows {
  readonly numbers: readonly number[]
  readonly topics: readonly string[]
  readonly types: readonly string[]
  readonly timesMs: readonly number[]
  readonly binary: readonly boolean[]
  readonly deliveries: readonly number[]
  /** Of those that have one, by their places in the rows. */
  readonly keys: ReadonlyMap<number, KeptKey>
  /** Where each payload ends. */
  readonly ends: readonly number[]
  readonly payloads: Uint8Array<ArrayBuffer>
}

export function packRows(rows: readonly KeptRow[]): PackedRows {
  const keys = new Map<number, KeptKey>()
  const ends: number[] = []
  let end = 0
  for (const { payload } of rows) {
    end += payload.length
    ends.push(end)
  }
  const payloads = new Uint8Array(end)
  for (const [i, { payload, idempotency }] of rows.entries()) {
    payloads.set(payload, (ends[i] ?? 0) - payload.length)
    if (idempotency) keys.set(i, idempotency)
  }
  return {
    numbers: rows.map(({ number }) => number),
    topics: rows.map(({ topic }) => topic),
    types: rows.map(({ type }) => type),
    timesMs: rows.map(({ timeMs }) => timeMs),
    binary: rows.map(({ binary }) => binary),
    deliveries: rows.map(({ deliveries }) => deliveries),
    keys,
    ends,
    payloads,
  }
}

/** @returns the rows as they were. Their payloads are views of one buffer. */
export function unpackRows(packed: PackedRows): KeptRow[] {
  const { numbers, topics, types, timesMs, binary, deliveries, keys, ends, payloads } = packed
  return numbers.map((number, i) => ({
    number,
    topic: topics[i] ?? '',
    type: types[i] ?? '',
    timeMs: timesMs[i] ?? 0,
    binary: binary[i] ?? false,
    deliveries: deliveries[i] ?? 0,
    idempotency: keys.get(i),
    payload: payloads.subarray(ends[i - 1] ?? 0, ends[i]),
  }))
}

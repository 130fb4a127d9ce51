import type { Change, KeptQuery, KeptRow, KeptStore } from '../../broker/kept/store.ts'

/** A message as it is kept, with what a test does not care about filled in. */
export function rowOf(number: number, fields: Partial<KeptRow> & { readonly text?: string } = {}): KeptRow {
  const { text = `message ${number}`, ...rest } = fields
  return {
    number,
    topic: 'sms',
    type: '',
    binary: false,
    payload: new Uint8Array(Buffer.from(text)),
    timeMs: 1_800_000_000_123,
    deliveries: 0,
    idempotency: undefined,
    ...rest,
  }
}

export function changeOf(parts: Partial<Change> = {}): Change {
  return { add: [], remove: [], move: [], deliveries: [], loggedThrough: 0, ...parts }
}

/** Everything of a topic, or of all. */
export async function readAll(store: KeptStore, topic?: string): Promise<readonly KeptRow[]> {
  const query: KeptQuery = { after: 0, through: 2 ** 50, maxMessages: 10_000, maxBytes: 2 ** 30 }
  return (await store.read(topic === undefined ? query : { topic, ...query })).rows
}

export function numbersOf(rows: readonly KeptRow[]): number[] {
  return rows.map(({ number }) => number)
}

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { makeKeptStore } from '../../broker/kept/open.ts'
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

/** Makes the store of a broker, with so many messages of 200 bytes: of `sms`, or of topics from `user/0` on, in turns. */
export async function fillSqlite(folder: string, messages: number, topics = 0): Promise<void> {
  const store = await makeKeptStore({ connector: 'node-sqlite', options: {}, table: 'postern_kept' }, folder)
  await store.open()
  await store.close()
  const database = new DatabaseSync(join(folder, 'kept.sqlite'))
  database.exec(`BEGIN;
    WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < ${messages})
    INSERT INTO postern_kept (data_id, channel, data, created, type, is_binary, deliveries)
    SELECT i, ${topics > 0 ? `'user/' || (i % ${topics})` : `'sms'`}, zeroblob(200), '2026-01-01 00:00:00.000', '', 1, 0 FROM number;
    UPDATE postern_kept_state SET last = ${messages}, logged = ${messages};
    COMMIT`)
  database.close()
}

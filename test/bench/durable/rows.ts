/**
 * The control: the rows that the broker keeps, inserted with node:sqlite and nothing else, in a table of the same form
 * with the same safety. Usage: rows.ts FILE
 * `insert rows=N bytes=N seconds=N|count=N` puts so many rows into each transaction, and writes what became of it.
 */
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { Command } from '../load/command.ts'
import { clockUs, Histogram } from '../load/histogram.ts'
import { createPayload } from '../load/payload.ts'

const [file = ''] = process.argv.slice(2)
const database = new DatabaseSync(file)
database.exec(`
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  CREATE TABLE kept (
    data_id INTEGER NOT NULL PRIMARY KEY, channel TEXT NOT NULL, data BLOB NOT NULL, created TEXT NOT NULL,
    type TEXT NOT NULL, is_binary INTEGER NOT NULL, deliveries INTEGER NOT NULL, identity TEXT,
    idempotency_key TEXT, fingerprint TEXT);
  CREATE INDEX kept_channel ON kept (channel);
`)
const insert = database.prepare(`
  INSERT INTO kept (data_id, channel, data, created, type, is_binary, deliveries)
  VALUES (?, 'bench', ?, '2026-01-01 00:00:00.000', '', 1, 0)
`)
let number = 0

function insertAll(command: Command) {
  const rows = command.number('rows', 1)
  const bytes = command.number('bytes', 100)
  const count = command.number('count', Number.POSITIVE_INFINITY)
  const startedUs = clockUs()
  const endUs = startedUs + command.number('seconds', 3600) * 1e6
  const latencies = new Histogram()
  let messages = 0
  while (messages < count && clockUs() < endUs) {
    const beganUs = clockUs()
    const end = Math.min(messages + rows, count)
    database.exec('BEGIN IMMEDIATE')
    for (; messages < end; messages++) insert.run(++number, createPayload(bytes, messages, beganUs))
    database.exec('COMMIT')
    latencies.add(clockUs() - beganUs)
  }
  return {
    messages,
    seconds: (clockUs() - startedUs) / 1e6,
    wrong: 0,
    p50Us: latencies.quantileUs(0.5),
    p99Us: latencies.quantileUs(0.99),
  }
}

process.send?.({})
process.on('disconnect', () => process.exit())
for await (const line of createInterface(process.stdin)) {
  process.stdout.write(`${JSON.stringify(insertAll(new Command(line)))}\n`)
}

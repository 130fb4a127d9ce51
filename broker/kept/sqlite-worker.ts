import { parentPort, workerData } from 'node:worker_threads'
import { createDatabase } from 'db0'
import { sqlite } from './dialect.ts'
import { packRows, unpackRows } from './packed-rows.ts'
import { SqlStore } from './sql.ts'
import type { SqliteAnswer, SqliteCall, SqliteOptions, SqliteResult } from './sqlite.ts'
import { sqliteConnector } from './sqlite-connector.ts'
import { KeptStoreError } from './store.ts'

/*
 * The thread in which SQLite runs: a sync of a slow disk takes a tenth of a second, and nothing else may wait for it.
 */

const { path, table, owner }: SqliteOptions = workerData
const store = new SqlStore(createDatabase(sqliteConnector(path)), sqlite, table, owner)

parentPort?.on('message', ({ id, call }: { id: number; call: SqliteCall }) => {
  perform(call).then(
    result => answer({ id, result }, 'page' in result ? [result.page.payloads.buffer] : []),
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error)
      const { isCertain, isTaken } =
        error instanceof KeptStoreError ? error : { isCertain: false, isTaken: false }
      answer({ id, error: { reason, isCertain, isTaken } })
    },
  )
})

async function perform(call: SqliteCall): Promise<SqliteResult> {
  switch (call.what) {
    case 'open':
      return { state: await store.open() }
    case 'apply':
      await store.apply({ ...call.change, add: unpackRows(call.change.add) })
      return {}
    case 'read': {
      const { rows, more } = await store.read(call.query)
      return { page: packRows(rows, bytes => new ArrayBuffer(bytes)), more }
    }
    case 'close':
      await store.close()
      return {}
  }
}

function answer(told: SqliteAnswer, handedOver: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(told, handedOver)
}

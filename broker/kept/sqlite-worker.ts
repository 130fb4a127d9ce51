import { parentPort, workerData } from 'node:worker_threads'
import { createDatabase } from 'db0'
import connector from 'db0/connectors/node-sqlite'
import { sqlite } from './dialect.ts'
import { SqlStore } from './sql.ts'
import type { SqliteAnswer, SqliteCall, SqliteOptions } from './sqlite.ts'
import { KeptStoreError } from './store.ts'

/*
 * The thread in which SQLite runs: a sync of a slow disk takes a tenth of a second, and nothing else may wait for it.
 */

const { path, table, owner }: SqliteOptions = workerData
const store = new SqlStore(createDatabase(connector({ path })), sqlite, table, owner)

parentPort?.on('message', ({ id, call }: { id: number; call: SqliteCall }) => {
  perform(call).then(
    result => answer({ id, result }),
    (error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error)
      const { isCertain, isTaken } =
        error instanceof KeptStoreError ? error : { isCertain: false, isTaken: false }
      answer({ id, error: { reason, isCertain, isTaken } })
    },
  )
})

function perform(call: SqliteCall): Promise<unknown> {
  switch (call.what) {
    case 'open':
      return store.open()
    case 'apply':
      return store.apply(call.change)
    case 'read':
      return store.read(call.query)
    case 'close':
      return store.close()
  }
}

function answer(told: SqliteAnswer): void {
  parentPort?.postMessage(told)
}

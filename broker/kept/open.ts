import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { MariadbStore } from './mariadb.ts'
import { SqliteStore } from './sqlite.ts'
import type { KeptStore } from './store.ts'

/** Where messages are kept. */
export interface KeptStoreSetting {
  /** A connector of db0: `node-sqlite`, or `mysql2` for MariaDB and MySQL. */
  readonly connector: 'node-sqlite' | 'mysql2'
  /** Handed to the connector as they are. `node-sqlite` without `path` keeps its file in the given folder. */
  readonly options: Readonly<Record<string, unknown>>
  readonly table: string
}

/** A server in the same network answers in milliseconds, also when its disk is slow. */
const patienceMs = 5000

/**
 * Makes the store that a setting describes. Whether it can be reached shows when it is opened.
 *
 * @param folder where SQLite keeps its file unless the options say otherwise.
 * @throws Error where the package `mysql2` is needed and missing.
 */
export async function makeKeptStore(setting: KeptStoreSetting, folder: string): Promise<KeptStore> {
  const { options, table } = setting
  const owner = randomBytes(6).toString('hex')
  if (setting.connector === 'node-sqlite') {
    const { path } = options
    return new SqliteStore({
      path: typeof path === 'string' ? path : join(folder, 'kept.sqlite'),
      table,
      owner,
    })
  }
  const lib = await loadMysql2()
  const { default: connector } = await import('db0/connectors/mysql2')
  return new MariadbStore({
    // Times come as they are in the table: nothing must take them for times of this machine's zone.
    connector: () => connector({ connectTimeout: patienceMs, ...options, dateStrings: true, lib }),
    table,
    owner,
    patienceMs,
  })
}

async function loadMysql2(): Promise<typeof import('mysql2/promise')> {
  try {
    const module = await import('mysql2/promise')
    // In a bundle it has no names.
    return 'createConnection' in module ? module : Reflect.get(module, 'default')
  } catch (cause) {
    throw new Error(
      'The setting kept.connector is "mysql2": it needs the package "mysql2", which is not installed.',
      { cause },
    )
  }
}

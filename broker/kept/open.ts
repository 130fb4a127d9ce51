import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Connection, ConnectionOptions } from 'mysql2/promise'
import type { Bound } from './dialect.ts'
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
  const lib = withBoundValues(await loadMysql2())
  const { default: connector } = await import('db0/connectors/mysql2')
  return new MariadbStore({
    // Times come as they are in the table: nothing must take them for times of this machine's zone.
    connector: () => connector({ connectTimeout: patienceMs, ...options, dateStrings: true, lib }),
    table,
    owner,
    patienceMs,
  })
}

type Mysql2 = typeof import('mysql2/promise')

/**
 * db0 gives statements and their values to `query`, for which the driver itself writes the values into the text. Prepared
 * statements leave that to the server.
 */
function withBoundValues(lib: Mysql2): Mysql2 {
  function createConnection(options: string): Promise<Connection>
  function createConnection(options: ConnectionOptions): Promise<Connection>
  async function createConnection(options: string | ConnectionOptions): Promise<Connection> {
    const connection = await lib.createConnection(typeof options === 'string' ? { uri: options } : options)
    const query = connection.query.bind(connection)
    return Object.defineProperty(connection, 'query', {
      value: (statement: string, values?: readonly Bound[]) =>
        values === undefined ? query(statement) : connection.execute(statement, values.map(toExact)),
    })
  }
  return { ...lib, createConnection }
}

/** The driver sends a number as a DOUBLE, which MySQL takes for no LIMIT. */
function toExact(value: Bound): Bound {
  return typeof value === 'number' ? String(value) : value
}

async function loadMysql2(): Promise<Mysql2> {
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

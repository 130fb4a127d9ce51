import { type Connector, createDatabase, type Database } from 'db0'
import { mysql } from './dialect.ts'
import { SqlStore } from './sql.ts'
import {
  type Change,
  type KeptPage,
  type KeptQuery,
  type KeptState,
  type KeptStore,
  KeptStoreError,
} from './store.ts'

export interface MariadbOptions {
  /** Makes a connector of db0 for a new connection. */
  readonly connector: () => Connector
  readonly table: string
  /** Names this process. */
  readonly owner: string
  /** A server that has not answered for so long is taken for lost. */
  readonly patienceMs: number
}

/** What is used of a connection of mysql2. */
interface Connection {
  on(event: 'error', listener: () => void): unknown
  destroy(): void
}

interface Link {
  readonly store: SqlStore
  readonly opened: Promise<KeptState>
  destroy(): void
}

/** Kept messages in a table of MariaDB or MySQL. After any failure the next call makes a new connection. */
export class MariadbStore implements KeptStore {
  readonly #options: MariadbOptions
  #link: Link | undefined
  #isOwned = false
  #isClosed = false

  constructor(options: MariadbOptions) {
    this.#options = options
  }

  open(): Promise<KeptState> {
    this.#link?.destroy()
    this.#link = undefined
    return this.#call(async (_, opened) => opened)
  }

  apply(change: Change): Promise<void> {
    return this.#call(store => store.apply(change))
  }

  read(query: KeptQuery): Promise<KeptPage> {
    return this.#call(store => store.read(query))
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const link = this.#link
    if (!link) return
    try {
      await this.#answer(link.store.close())
    } catch {
      // What hangs would hang at the end of the process too.
      link.destroy()
    }
  }

  async #call<T>(work: (store: SqlStore, opened: KeptState) => Promise<T>): Promise<T> {
    if (this.#isClosed) throw new KeptStoreError('the store is closed', { isCertain: true })
    this.#link ??= this.#connect()
    const link = this.#link
    let opened: KeptState
    try {
      opened = await this.#answer(link.opened)
    } catch (error) {
      this.#drop(link)
      const isTaken = error instanceof KeptStoreError && error.isTaken
      throw new KeptStoreError(messageOf(error), { isCertain: true, isTaken, cause: error })
    }
    this.#isOwned = true
    try {
      return await this.#answer(work(link.store, opened))
    } catch (error) {
      this.#drop(link)
      throw error
    }
  }

  #connect(): Link {
    const database = createDatabase(this.#options.connector())
    const { table, owner } = this.#options
    const store = new SqlStore(database, mysql, table, owner, this.#isOwned)
    let destroy = () => {}
    const link: Link = { store, opened: open(), destroy: () => destroy() }
    const drop = () => this.#drop(link)
    return link

    async function open(): Promise<KeptState> {
      const connection: unknown = await database.getInstance()
      if (isConnection(connection)) {
        destroy = () => connection.destroy()
        // One that the server ends while nothing is under way.
        connection.on('error', () => drop())
      }
      await assertSynced(database)
      return store.open()
    }
  }

  #drop(link: Link): void {
    link.destroy()
    if (this.#link === link) this.#link = undefined
  }

  async #answer<T>(call: Promise<T>): Promise<T> {
    const { patienceMs } = this.#options
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new KeptStoreError(`no answer for ${patienceMs / 1000} s`)), patienceMs)
    })
    try {
      return await Promise.race([call, timeout])
    } finally {
      clearTimeout(timer)
      call.catch(() => {})
    }
  }
}

/** Of these each commit has been synced when it returns (innodb_flush_log_at_trx_commit). */
const syncedModes = [1, 3]

/** Threat: a server that syncs once a second loses with its power what has a receipt. */
async function assertSynced(database: Database): Promise<void> {
  const found = await database.prepare('SELECT @@innodb_flush_log_at_trx_commit AS mode').get()
  const mode = typeof found === 'object' && found !== null ? Number(Reflect.get(found, 'mode')) : undefined
  if (mode !== undefined && syncedModes.includes(mode)) return
  throw new KeptStoreError(
    `innodb_flush_log_at_trx_commit is ${mode}, so that a commit is not synced: allowed is ${syncedModes.join(' or ')}`,
    { isCertain: true },
  )
}

function isConnection(value: unknown): value is Connection {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['on', 'destroy'].every(name => typeof Reflect.get(value, name) === 'function')
  )
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

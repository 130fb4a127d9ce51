import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite'
import type { Connector, PreparedStatement, Primitive, Statement } from 'db0'
import nodeSqlite from 'db0/connectors/node-sqlite'

/**
 * The connector of db0, which prepares a statement anew each time it runs; here each text is prepared once, for as
 * long as the connection lives: who uses it has a bounded number of texts.
 *
 * @param path the file. It is made when it is missing, with its folder.
 */
export function sqliteConnector(path: string): Connector<DatabaseSync> {
  const connector = nodeSqlite({ path })
  const statements = new Map<string, Statement>()
  return {
    ...connector,
    prepare(sql) {
      const known = statements.get(sql)
      if (known) return known
      const statement = new CachedStatement(async () => (await connector.getInstance()).prepare(sql))
      statements.set(sql, statement)
      return statement
    },
  }
}

class CachedStatement implements Statement {
  readonly #prepare: () => Promise<StatementSync>
  #prepared: StatementSync | undefined

  constructor(prepare: () => Promise<StatementSync>) {
    this.#prepare = prepare
  }

  async all(...params: Primitive[]): Promise<unknown[]> {
    const statement = this.#prepared ?? (await this.#ready())
    return statement.all(...asInput(params))
  }

  async get(...params: Primitive[]): Promise<unknown> {
    const statement = this.#prepared ?? (await this.#ready())
    return statement.get(...asInput(params))
  }

  async run(...params: Primitive[]): Promise<{ success: boolean }> {
    const statement = this.#prepared ?? (await this.#ready())
    return { success: true, ...statement.run(...asInput(params)) }
  }

  bind(...params: Primitive[]): PreparedStatement {
    return {
      bind: (...others) => this.bind(...others),
      all: () => this.all(...params),
      get: () => this.get(...params),
      run: () => this.run(...params),
    }
  }

  async #ready(): Promise<StatementSync> {
    this.#prepared = await this.#prepare()
    return this.#prepared
  }
}

/** SQLite says itself what it cannot bind. */
function asInput(params: Primitive[]): SQLInputValue[] {
  return params as SQLInputValue[]
}

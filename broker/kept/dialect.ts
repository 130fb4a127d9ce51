/** A value as a statement binds it. */
export type Bound = string | number | Uint8Array | null

/** What differs between the engines. */
export interface Dialect {
  /** The types of the columns, and what goes with the table. */
  readonly types: {
    readonly number: string
    readonly count: string
    /** Compared byte by byte: no two different topics are equal. */
    readonly topic: string
    readonly label: string
    readonly time: string
    readonly payload: string
    /** What else stands in the table. */
    readonly rest: string
    readonly options: string
  }
  /** How long a payload is, without reading it. */
  readonly size: string
  /** Statements for after the tables. */
  readonly afterwards: (table: string) => readonly string[]
  /** Statements for each new connection. */
  readonly prelude: readonly string[]
  readonly begin: string
  /** Where the connector says how many rows a statement has changed. */
  readonly changed: string
  /** Appended to a read whose row is written next. */
  readonly lock: string
  readonly toText: (text: string) => Bound
  readonly fromText: (value: unknown) => string
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const sqlite: Dialect = {
  types: {
    number: 'INTEGER',
    count: 'INTEGER',
    topic: 'TEXT',
    label: 'TEXT',
    time: 'TEXT',
    payload: 'BLOB',
    rest: '',
    options: '',
  },
  size: 'LENGTH(data)',
  afterwards: table => [`CREATE INDEX IF NOT EXISTS ${table}_channel ON ${table} (channel)`],
  // FULL: a commit has been synced when it returns, which in WAL mode is one sync of one file.
  prelude: ['PRAGMA journal_mode = WAL', 'PRAGMA synchronous = FULL', 'PRAGMA busy_timeout = 2000'],
  begin: 'BEGIN IMMEDIATE',
  changed: 'changes',
  lock: '',
  toText: text => text,
  fromText: String,
}

/**
 * MariaDB and MySQL. Texts are kept as bytes: their collations take texts for equal that are not, and a text that is
 * bound as bytes needs no escaping that a mode of the server could turn off.
 */
export const mysql: Dialect = {
  types: {
    number: 'BIGINT',
    count: 'INT',
    topic: 'VARBINARY(255)',
    label: 'VARBINARY(255)',
    time: 'DATETIME(3)',
    payload: 'LONGBLOB',
    // For the length of a payload all of it would be read: a start with a gigabyte would take longer than an answer may.
    rest: ', bytes INT AS (LENGTH(data)) STORED, KEY channel (channel, data_id, bytes)',
    options: ' ENGINE = InnoDB',
  },
  size: 'bytes',
  afterwards: () => [],
  prelude: [
    // Strict: what does not fit is refused, not cut.
    "SET SESSION sql_mode = 'STRICT_ALL_TABLES', innodb_lock_wait_timeout = 2, autocommit = 1",
  ],
  begin: 'START TRANSACTION',
  changed: 'affectedRows',
  lock: ' FOR UPDATE',
  toText: text => Buffer.from(text),
  fromText: value => (value instanceof Uint8Array ? decoder.decode(value) : String(value)),
}

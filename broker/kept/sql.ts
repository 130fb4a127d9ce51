import { randomBytes } from 'node:crypto'
import type { Database, Primitive } from 'db0'
import type { Bound, Dialect } from './dialect.ts'
import {
  type Change,
  type KeptPage,
  type KeptQuery,
  type KeptRow,
  type KeptState,
  type KeptStore,
  KeptStoreError,
} from './store.ts'

/** What the payloads of one statement may be together, beside the first: it has to fit the packets of a server. */
const maxStatementBytes = 512 * 1024

/** A statement of so many rows or numbers is read by the engine in one go. */
const maxStatementSize = 128

const columns =
  'data_id, channel, data, created, type, is_binary, deliveries, identity, idempotency_key, fingerprint'

const rowMark = '(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'

const binaryFlag = 1

/** The tables of kept messages in any engine that db0 reaches. One connection; one transaction at a time. */
export class SqlStore implements KeptStore {
  readonly #database: Database
  readonly #dialect: Dialect
  readonly #table: string
  readonly #owner: string
  #isOwned: boolean
  /** Statements that name several things, by their beginning and number. */
  readonly #texts = new Map<string, string>()
  #created = { timeMs: Number.NaN, text: '' }
  #turn: Promise<unknown> = Promise.resolve()
  #isClosed = false

  /**
   * @param table becomes part of statements: letters, digits and `_`.
   * @param owner names this process, and is taken for the owner of the store by every later connection of it.
   * @param isOwned whether `owner` has taken the store over on an earlier connection.
   */
  constructor(database: Database, dialect: Dialect, table: string, owner: string, isOwned = false) {
    this.#database = database
    this.#dialect = dialect
    this.#table = table
    this.#owner = owner
    this.#isOwned = isOwned
  }

  open(): Promise<KeptState> {
    return this.#inTurn(async () => {
      for (const statement of this.#dialect.prelude) await this.#exec(statement)
      await this.#create()
      const { name, last, loggedThrough } = await this.#transact(() => this.#own())
      this.#isOwned = true
      const found = await this.#all(
        `SELECT channel, COUNT(*) AS messages, SUM(${this.#dialect.size}) AS bytes FROM ${this.#table} GROUP BY channel`,
      )
      const topics = found.map(row => ({
        topic: this.#dialect.fromText(row['channel']),
        messages: Number(row['messages']),
        bytes: Number(row['bytes']),
      }))
      return { name, last, loggedThrough, topics }
    })
  }

  apply(change: Change): Promise<void> {
    return this.#inTurn(() =>
      this.#transact(async () => {
        const last = highestOf(change)
        if (!(await this.#advance(last, change.loggedThrough)) && (await this.#isKept(last))) return
        await this.#add(change.add)
        await this.#move(change.move)
        await this.#count(change.deliveries)
        await this.#remove(change.remove)
      }),
    )
  }

  read({ topic, after, through, maxMessages, maxBytes }: KeptQuery): Promise<KeptPage> {
    return this.#inTurn(async () => {
      const where = topic === undefined ? '' : 'channel = ? AND '
      const bound = [...(topic === undefined ? [] : [this.#dialect.toText(topic)]), after]
      const sizes = await this.#all(
        `SELECT data_id, ${this.#dialect.size} AS bytes FROM ${this.#table} WHERE ${where}data_id > ? AND data_id <= ? ORDER BY data_id LIMIT ?`,
        [...bound, through, maxMessages + 1],
      )
      // Their sizes first: the page must not be in memory before it is known how large it is.
      let bytes = 0
      const beyond = sizes.findIndex((row, i) => {
        bytes += Number(row['bytes'])
        return i === maxMessages || (i > 0 && bytes > maxBytes)
      })
      const end = beyond === -1 ? sizes.at(-1) : sizes[beyond - 1]
      if (!end) return { rows: [], more: false }
      const rows = await this.#all(
        `SELECT ${columns} FROM ${this.#table} WHERE ${where}data_id > ? AND data_id <= ? ORDER BY data_id`,
        [...bound, Number(end['data_id'])],
      )
      return { rows: rows.map(row => this.#toRow(row)), more: beyond !== -1 }
    })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#turn
    await this.#database.dispose()
  }

  async #create(): Promise<void> {
    const { types, afterwards } = this.#dialect
    await this.#exec(
      `CREATE TABLE IF NOT EXISTS ${this.#table} (
        data_id ${types.number} NOT NULL PRIMARY KEY, channel ${types.topic} NOT NULL,
        data ${types.payload} NOT NULL, created ${types.time} NOT NULL, type ${types.label} NOT NULL,
        is_binary ${types.count} NOT NULL, deliveries ${types.count} NOT NULL, identity ${types.label},
        idempotency_key ${types.label}, fingerprint ${types.label}${types.rest})${types.options}`,
    )
    await this.#exec(
      `CREATE TABLE IF NOT EXISTS ${this.#table}_state (
        id ${types.count} NOT NULL PRIMARY KEY, store ${types.label} NOT NULL, owner ${types.label} NOT NULL,
        last ${types.number} NOT NULL, logged ${types.number} NOT NULL)${types.options}`,
    )
    for (const statement of afterwards(this.#table)) await this.#exec(statement)
  }

  /**
   * Reads the state and locks it, so that whatever an earlier connection has left under way is over. Threat: two
   * brokers on one store would hand out each other's messages and give the same numbers.
   */
  async #own(): Promise<Omit<KeptState, 'topics'>> {
    const { fromText, toText, lock } = this.#dialect
    const [found] = await this.#all(
      `SELECT store, owner, last, logged FROM ${this.#table}_state WHERE id = 1${lock}`,
    )
    if (!found) {
      const name = randomBytes(6).toString('hex')
      await this.#run(
        `INSERT INTO ${this.#table}_state (id, store, owner, last, logged) VALUES (1, ?, ?, 0, 0)`,
        [toText(name), toText(this.#owner)],
      )
      return { name, last: 0, loggedThrough: 0 }
    }
    if (fromText(found['owner']) !== this.#owner) {
      if (this.#isOwned)
        throw new KeptStoreError(`another broker uses the table ${this.#table} now`, {
          isCertain: true,
          isTaken: true,
        })
      await this.#run(`UPDATE ${this.#table}_state SET owner = ? WHERE id = 1`, [toText(this.#owner)])
    }
    return {
      name: fromText(found['store']),
      last: Number(found['last']),
      loggedThrough: Number(found['logged']),
    }
  }

  /**
   * Notes how far a change takes the store. The write locks the state as {@link #own} does, and reads nothing.
   *
   * @param last the highest number that the change gives, 0 when it gives none.
   * @returns false when the store is another broker's, has come so far already, or had nothing to note.
   */
  async #advance(last: number, loggedThrough: number): Promise<boolean> {
    const owner = this.#dialect.toText(this.#owner)
    const changed = await this.#run(
      `UPDATE ${this.#table}_state SET last = CASE WHEN last < ? THEN ? ELSE last END, logged = CASE WHEN logged < ? THEN ? ELSE logged END WHERE id = 1 AND owner = ? AND (last < ? OR ? = 0)`,
      [last, last, loggedThrough, loggedThrough, owner, last, last],
    )
    // Taken for done already, what is being kept would be left out.
    if (typeof changed !== 'number') throw new KeptStoreError('it does not say what a statement has changed')
    return changed > 0
  }

  /** Whether a change is in the store whose commit was not confirmed: numbers are given in the order of the changes. */
  async #isKept(last: number): Promise<boolean> {
    const state = await this.#own()
    return last > 0 && state.last >= last
  }

  async #add(rows: readonly KeptRow[]): Promise<void> {
    for (let at = 0; at < rows.length; ) {
      const size = this.#sizeOf(rows, at)
      const bound: Bound[] = []
      for (const row of rows.slice(at, at + size)) this.#bind(row, bound)
      at += size
      await this.#run(this.#textFor(`INSERT INTO ${this.#table} (${columns}) VALUES `, rowMark, size), bound)
    }
  }

  /** A statement that names so many of something. Put together anew, a long text would cost as much as its run. */
  #textFor(beginning: string, mark: string, names: number, ending = ''): string {
    const key = `${names} ${beginning}`
    const known = this.#texts.get(key)
    if (known !== undefined) return known
    const text = `${beginning}${Array.from({ length: names }, () => mark).join(', ')}${ending}`
    this.#texts.set(key, text)
    return text
  }

  /** How many rows fit one statement, from one of them on. */
  #sizeOf(rows: readonly KeptRow[], at: number): number {
    let bytes = 0
    const beyond = rows.findIndex((row, i) => {
      if (i < at) return false
      bytes += row.payload.length
      return i > at && bytes > maxStatementBytes
    })
    return statementSize((beyond === -1 ? rows.length : beyond) - at)
  }

  async #move(moves: Change['move']): Promise<void> {
    for (const { number, to, topic } of moves) {
      await this.#run(`UPDATE ${this.#table} SET data_id = ?, channel = ? WHERE data_id = ?`, [
        to,
        this.#dialect.toText(topic),
        number,
      ])
    }
  }

  async #count(counts: Change['deliveries']): Promise<void> {
    const numbers = new Map<number, number[]>()
    for (const { number, deliveries } of counts) {
      const same = numbers.get(deliveries)
      if (same) same.push(number)
      else numbers.set(deliveries, [number])
    }
    for (const [deliveries, same] of numbers) {
      await this.#runForAll(`UPDATE ${this.#table} SET deliveries = ? WHERE data_id IN`, [deliveries], same)
    }
  }

  async #remove(numbers: readonly number[]): Promise<void> {
    await this.#runForAll(`DELETE FROM ${this.#table} WHERE data_id IN`, [], numbers)
  }

  async #runForAll(sql: string, bound: readonly Bound[], numbers: readonly number[]): Promise<void> {
    for (let at = 0; at < numbers.length; ) {
      const some = numbers.slice(at, at + statementSize(numbers.length - at))
      at += some.length
      await this.#run(this.#textFor(`${sql} (`, '?', some.length, ')'), [...bound, ...some])
    }
  }

  /** Does something as one, and tells of a failure whether it may have been kept all the same. */
  async #transact<T>(work: () => Promise<T>): Promise<T> {
    let isCommitting = false
    try {
      await this.#exec(this.#dialect.begin)
      const result = await work()
      isCommitting = true
      await this.#exec('COMMIT')
      return result
    } catch (error) {
      // Where this fails too, the connection is gone, and the transaction with it.
      await this.#exec('ROLLBACK').catch(() => {})
      if (error instanceof KeptStoreError) throw error
      throw new KeptStoreError(messageOf(error), { isCertain: !isCommitting, cause: error })
    }
  }

  /** One after the other: on one connection a read would see what is not committed. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work)
    this.#turn = result.catch(() => {})
    return result.catch((error: unknown) => {
      throw error instanceof KeptStoreError ? error : new KeptStoreError(messageOf(error), { cause: error })
    })
  }

  async #exec(sql: string): Promise<void> {
    await this.#database.exec(sql)
  }

  async #all(sql: string, bound: readonly Bound[] = []): Promise<readonly Record<string, unknown>[]> {
    const rows = await this.#database.prepare(sql).all(...asPrimitives(bound))
    return rows.filter(isRecord)
  }

  /** @returns how many rows it has changed, where the connector tells. */
  async #run(sql: string, bound: readonly Bound[]): Promise<unknown> {
    const told = await this.#database.prepare(sql).run(...asPrimitives(bound))
    return Reflect.get(told, this.#dialect.changed)
  }

  /** Appends the values of a row, in the order of the columns. */
  #bind(row: KeptRow, bound: Bound[]): void {
    const { toText } = this.#dialect
    const { idempotency } = row
    bound.push(row.number, toText(row.topic), row.payload, this.#createdAt(row.timeMs), toText(row.type))
    bound.push(row.binary ? binaryFlag : 0, row.deliveries)
    if (!idempotency) bound.push(null, null, null)
    else bound.push(toText(idempotency.identity), toText(idempotency.key), toText(idempotency.fingerprint))
  }

  /** What came in one turn has one time, and writing it out takes as long as inserting a row. */
  #createdAt(timeMs: number): string {
    if (timeMs !== this.#created.timeMs) {
      const text = new Date(timeMs).toISOString().replace('T', ' ').slice(0, -1)
      this.#created = { timeMs, text }
    }
    return this.#created.text
  }

  #toRow(row: Record<string, unknown>): KeptRow {
    const { fromText } = this.#dialect
    const payload = row['data']
    return {
      number: Number(row['data_id']),
      topic: fromText(row['channel']),
      type: fromText(row['type']),
      binary: Number(row['is_binary']) === binaryFlag,
      payload: payload instanceof Uint8Array ? payload : new Uint8Array(),
      timeMs: Date.parse(`${fromText(row['created']).replace(' ', 'T')}Z`),
      deliveries: Number(row['deliveries']),
      idempotency:
        row['idempotency_key'] === null
          ? undefined
          : {
              identity: fromText(row['identity']),
              key: fromText(row['idempotency_key']),
              fingerprint: fromText(row['fingerprint']),
            },
    }
  }
}

/**
 * Of so many rows or numbers that are left, at least one: how many the next statement names. Powers of two: eight texts are
 * all there are, each of which is prepared once.
 */
function statementSize(left: number): number {
  return 2 ** Math.floor(Math.log2(Math.min(left, maxStatementSize)))
}

/** The connectors bind bytes as well, which db0's types leave out. */
function asPrimitives(bound: readonly Bound[]): Primitive[] {
  return bound as Primitive[]
}

/** The highest number that a change gives, 0 when it gives none. */
function highestOf({ add, move }: Change): number {
  return Math.max(0, add.at(-1)?.number ?? 0, ...move.map(({ to }) => to))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

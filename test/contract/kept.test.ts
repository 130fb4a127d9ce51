import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { MemoryStore } from '../../broker/kept/memory.ts'
import { makeKeptStore } from '../../broker/kept/open.ts'
import { type KeptStore, KeptStoreError } from '../../broker/kept/store.ts'
import { hasMariadb } from '../support/installed.ts'
import { changeOf, numbersOf, readAll, rowOf } from '../support/kept-rows.ts'
import { type MariadbServer, startMariadb } from '../support/mariadb.ts'
import { temporaryFolder } from '../support/processes.ts'

/** Opens the same store again and again, each time as another process would. */
type Opener = () => Promise<KeptStore>

async function memory(): Promise<Opener> {
  const store = new MemoryStore()
  return async () => store
}

async function sqlite(): Promise<Opener> {
  const folder = await temporaryFolder()
  return () => makeKeptStore({ connector: 'node-sqlite', options: {}, table: 'kept' }, folder)
}

let server: MariadbServer | undefined
let tables = 0

async function mariadb(): Promise<Opener> {
  const table = `kept_${++tables}`
  return () => makeKeptStore({ connector: 'mysql2', options: { ...server?.options }, table }, '')
}

const engines = [
  { name: 'memory', engine: memory, isShared: true },
  { name: 'SQLite', engine: sqlite, isShared: false },
]

describe.each(engines)('a store in $name', ({ engine, isShared }) => describeStore(engine, isShared))

describe.skipIf(!hasMariadb())('a store in MariaDB (needs mariadbd)', () => {
  const ends: (() => Promise<void>)[] = []
  beforeAll(async () => {
    server = await startMariadb(end => ends.push(end))
  })
  afterAll(async () => {
    for (const end of ends.reverse()) await end()
  })

  describeStore(mariadb, false)

  it('reads no payload for knowing how much there is', async () => {
    const open = await mariadb()
    const { store } = await opened(open)
    await store.apply(changeOf({ add: [1, 2, 3].map(number => rowOf(number)) }))
    await store.apply(changeOf({ deliveries: [{ number: 1, deliveries: 1 }] }))
    const { default: mysql } = await import('mysql2/promise')
    const connection = await mysql.createConnection({ ...server?.options })
    onTestFinished(() => connection.end())
    const [plan] = await connection.query(
      `EXPLAIN SELECT channel, COUNT(*), SUM(bytes) FROM kept_${tables} GROUP BY channel`,
    )
    expect(plan).toMatchObject([{ key: 'channel', Extra: expect.stringContaining('Using index') }])
  })

  it('is not opened on a server that does not sync each commit', async () => {
    const careless = await startMariadb(onTestFinished, ['--innodb-flush-log-at-trx-commit=2'])
    const store = await makeKeptStore(
      { connector: 'mysql2', options: { ...careless.options }, table: 'kept' },
      '',
    )
    onTestFinished(() => store.close())
    await expect(store.open()).rejects.toThrow('innodb_flush_log_at_trx_commit is 2')
  })

  it('finds back to a server that was killed, with nothing lost and nothing twice', async () => {
    if (!server) return
    const { store } = await opened(await mariadb())
    await store.apply(changeOf({ add: [rowOf(1)] }))
    await server.stop('SIGKILL')
    const change = changeOf({ add: [rowOf(2)], remove: [1] })
    await expect(store.apply(change)).rejects.toBeInstanceOf(KeptStoreError)
    await expect(store.read({ after: 0, through: 9, maxMessages: 9, maxBytes: 9 })).rejects.toThrow()
    await server.start()
    await store.apply(change)
    await store.apply(change)
    expect(numbersOf(await readAll(store))).toEqual([2])
  })
})

async function opened(open: Opener) {
  const store = await open()
  onTestFinished(() => store.close())
  return { store, state: await store.open() }
}

function describeStore(engine: () => Promise<Opener>, isShared: boolean): void {
  it('begins empty, with a name that it keeps', async () => {
    const open = await engine()
    const { state } = await opened(open)
    expect(state).toEqual({ name: expect.any(String), last: 0, loggedThrough: 0, topics: [] })
    expect(state.name).toMatch(/^[0-9a-f]{12}$/)
    expect((await opened(open)).state.name).toBe(state.name)
  })

  it('gives back what was added, as it was', async () => {
    const { store } = await opened(await engine())
    const rows = [
      rowOf(1, { text: '{"text":"it’s","n":12345678901234567890}', type: 'msg' }),
      rowOf(2, { binary: true, payload: new Uint8Array([0, 255, 39, 92, 13, 10]) }),
      rowOf(3, { payload: new Uint8Array(), deliveries: 1 }),
      rowOf(7, { topic: "o'brien; -- \\ ☎/x", timeMs: 1_700_000_000_001 }),
      rowOf(9, { idempotency: { key: 'a"b', identity: 'amy', fingerprint: 'f' } }),
      rowOf(10, { idempotency: { key: 'k', identity: '', fingerprint: 'f' } }),
      rowOf(11, { payload: new Uint8Array(300_000).fill(7), binary: true }),
    ]
    await store.apply(changeOf({ add: rows }))
    const read = await readAll(store)
    expect(read.map(row => ({ ...row, payload: [...row.payload.slice(0, 100)] }))).toEqual(
      rows.map(row => ({ ...row, payload: [...row.payload.slice(0, 100)] })),
    )
    expect(read.at(-1)?.payload.length).toBe(300_000)
  })

  it('takes no topic for another one that is nearly the same', async () => {
    const { store } = await opened(await engine())
    const topics = ['10', '1e1', 'a', 'A', 'a ', 'á', 'ß', 'ss', 'a/b']
    await store.apply(changeOf({ add: topics.map((topic, i) => rowOf(i + 1, { topic })) }))
    for (const [i, topic] of topics.entries()) expect(numbersOf(await readAll(store, topic))).toEqual([i + 1])
  })

  it('does all of a change, and does it once however often it is asked', async () => {
    const { store } = await opened(await engine())
    await store.apply(changeOf({ add: [rowOf(1), rowOf(2), rowOf(3), rowOf(4)] }))
    const change = changeOf({
      add: [rowOf(5)],
      remove: [1, 99],
      move: [{ number: 2, to: 6, topic: '$dead/sms' }],
      deliveries: [
        { number: 3, deliveries: 1 },
        { number: 4, deliveries: 2 },
      ],
      loggedThrough: 4,
    })
    for (let i = 0; i < 3; i++) {
      await store.apply(change)
      const rows = await readAll(store)
      expect(rows.map(({ number, topic, deliveries }) => [number, topic, deliveries])).toEqual([
        [3, 'sms', 1],
        [4, 'sms', 2],
        [5, 'sms', 0],
        [6, '$dead/sms', 0],
      ])
    }
  })

  it('adds and removes thousands at once', async () => {
    const { store } = await opened(await engine())
    const rows = Array.from({ length: 3000 }, (_, i) => rowOf(i + 1))
    await store.apply(changeOf({ add: rows }))
    await store.apply(changeOf({ remove: numbersOf(rows).filter(number => number !== 1500) }))
    expect(numbersOf(await readAll(store))).toEqual([1500])
  })

  it('reads in pages with bounds, of one topic or of all', async () => {
    const { store } = await opened(await engine())
    const rows = [1, 2, 3, 4, 5, 6].map(number =>
      rowOf(number, { text: 'x'.repeat(100), topic: number % 2 ? 'odd' : 'even' }),
    )
    await store.apply(changeOf({ add: rows }))
    const page = async (
      after: number,
      through: number,
      maxMessages: number,
      maxBytes: number,
      topic = '',
    ) => {
      const { rows, more } = await store.read({
        ...(topic && { topic }),
        after,
        through,
        maxMessages,
        maxBytes,
      })
      return [...numbersOf(rows), more]
    }
    expect(await page(0, 100, 10, 1000)).toEqual([1, 2, 3, 4, 5, 6, false])
    expect(await page(2, 4, 10, 1000)).toEqual([3, 4, false])
    expect(await page(0, 100, 2, 1000)).toEqual([1, 2, true])
    expect(await page(4, 100, 2, 1000)).toEqual([5, 6, false])
    expect(await page(0, 100, 10, 250)).toEqual([1, 2, true])
    expect(await page(0, 100, 10, 1)).toEqual([1, true])
    expect(await page(0, 100, 2, 1000, 'even')).toEqual([2, 4, true])
    expect(await page(4, 100, 2, 1000, 'even')).toEqual([6, false])
    expect(await page(0, 100, 10, 1000, 'none')).toEqual([false])
  })

  it('remembers everything when it is opened again', async () => {
    const open = await engine()
    const first = await opened(open)
    await first.store.apply(
      changeOf({
        add: [rowOf(1), rowOf(2, { text: 'four' }), rowOf(3, { topic: 'other', text: '' })],
        loggedThrough: 2,
      }),
    )
    await first.store.apply(changeOf({ add: [rowOf(4)], remove: [1], loggedThrough: 3 }))
    await first.store.apply(changeOf({ remove: [4], loggedThrough: 3 }))
    await first.store.close()
    await first.store.close()
    const { state } = await opened(open)
    expect({ ...state, topics: state.topics.toSorted((a, b) => (a.topic < b.topic ? -1 : 1)) }).toEqual({
      name: first.state.name,
      last: 4,
      loggedThrough: 3,
      topics: [
        { topic: 'other', messages: 1, bytes: 0 },
        { topic: 'sms', messages: 1, bytes: 4 },
      ],
    })
  })

  if (isShared) return

  it('does nothing more for whom another one has taken it over from', async () => {
    const open = await engine()
    const { store: old } = await opened(open)
    await old.apply(changeOf({ add: [rowOf(1)] }))
    const { store } = await opened(open)
    const failure = await old.apply(changeOf({ add: [rowOf(2, { text: 'late' })] })).catch(error => error)
    expect(failure).toMatchObject({ isTaken: true })
    await store.apply(changeOf({ add: [rowOf(2, { text: 'mine' })] }))
    const rows = await readAll(store)
    expect(rows.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['message 1', 'mine'])
  })

  it('tells of a change that it certainly did not make', async () => {
    const { store } = await opened(await engine())
    const tooLong = rowOf(1, { topic: 'a', deliveries: Number.NaN })
    const failure = await store.apply(changeOf({ add: [tooLong, rowOf(1)] })).catch(error => error)
    expect(failure).toMatchObject({ isCertain: true })
    expect(await readAll(store)).toEqual([])
    await store.apply(changeOf({ add: [rowOf(1)] }))
    expect(numbersOf(await readAll(store))).toEqual([1])
  })
}

it('keeps its file where the options say, and in the folder of the data otherwise', async () => {
  const folder = await temporaryFolder()
  const path = join(folder, 'below', 'mine.sqlite')
  const first = await makeKeptStore({ connector: 'node-sqlite', options: { path }, table: 'kept' }, folder)
  await first.open()
  await first.apply(changeOf({ add: [rowOf(1)] }))
  await first.close()
  const other = await makeKeptStore({ connector: 'node-sqlite', options: {}, table: 'kept' }, folder)
  expect((await other.open()).last).toBe(0)
  await other.close()
  const again = await makeKeptStore({ connector: 'node-sqlite', options: { path }, table: 'kept' }, folder)
  expect((await again.open()).last).toBe(1)
  await again.close()
})

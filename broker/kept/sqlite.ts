import { Worker } from 'node:worker_threads'
import { type PackedRows, packRows, unpackRows } from './packed-rows.ts'
import { SharedMemory } from './shared-memory.ts'
import {
  type Change,
  type KeptPage,
  type KeptQuery,
  type KeptState,
  type KeptStore,
  KeptStoreError,
} from './store.ts'

export interface SqliteOptions {
  /** The file. It is made when it is missing, with its folder. */
  readonly path: string
  readonly table: string
  /** Names this process. */
  readonly owner: string
}

/** What the thread is asked. */
export type SqliteCall =
  | { readonly what: 'open' }
  | {
      readonly what: 'apply'
      readonly change: Omit<Change, 'add'> & { readonly add: PackedRows<SharedArrayBuffer> }
    }
  | { readonly what: 'read'; readonly query: KeptQuery }
  | { readonly what: 'close' }

/** What comes of it. */
export type SqliteResult =
  | { readonly state: KeptState }
  | { readonly page: PackedRows<ArrayBuffer>; readonly more: boolean }
  | Readonly<Record<string, never>>

/** What it answers. */
export type SqliteAnswer =
  | { readonly id: number; readonly result: SqliteResult }
  | {
      readonly id: number
      readonly error: { readonly reason: string; readonly isCertain: boolean; readonly isTaken: boolean }
    }

interface Pending {
  readonly resolve: (result: SqliteResult) => void
  readonly reject: (error: KeptStoreError) => void
}

/** What the thread may take for its objects: pages and changes are at most a few MiB. */
const threadLimits = { maxYoungGenerationSizeMb: 4, maxOldGenerationSizeMb: 64 }

/** Kept messages in a file of SQLite, by a thread of its own. */
export class SqliteStore implements KeptStore {
  readonly #options: SqliteOptions
  readonly #memory = new SharedMemory()
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | undefined
  #lastId = 0
  #closing: Promise<void> | undefined

  constructor(options: SqliteOptions) {
    this.#options = options
  }

  async open(): Promise<KeptState> {
    const result = await this.#call({ what: 'open' })
    return 'state' in result ? result.state : never()
  }

  async apply(change: Change): Promise<void> {
    const add = packRows(change.add, bytes => this.#memory.take(bytes))
    try {
      await this.#call({ what: 'apply', change: { ...change, add } })
    } finally {
      this.#memory.giveBack(add.payloads.buffer)
    }
  }

  async read(query: KeptQuery): Promise<KeptPage> {
    const result = await this.#call({ what: 'read', query })
    if (!('page' in result)) return never()
    // A message that stays for long must not keep the whole page that it came in.
    const rows = unpackRows(result.page).map(row => ({ ...row, payload: Buffer.from(row.payload) }))
    return { rows, more: result.more }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (!this.#worker) return
    await this.#call({ what: 'close' })
    await this.#worker.terminate()
  }

  async #call(call: SqliteCall): Promise<SqliteResult> {
    if (!this.#worker) {
      this.#worker = this.#start()
      // After a thread that has ended.
      if (call.what !== 'open') await this.#ask(this.#worker, { what: 'open' })
    }
    return this.#ask(this.#worker, call)
  }

  #ask(worker: Worker, call: SqliteCall): Promise<SqliteResult> {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId
      this.#pending.set(id, { resolve, reject })
      worker.postMessage({ id, call })
    })
  }

  #start(): Worker {
    const worker = new Worker(new URL('./sqlite-worker.ts', import.meta.url), {
      workerData: this.#options,
      resourceLimits: threadLimits,
    })
    worker.on('message', (answer: SqliteAnswer) => this.#settle(answer))
    worker.on('error', error => this.#fail(error.message))
    // A thread that has ended is started again by the next call; what it had under way is in doubt.
    worker.on('exit', () => this.#fail('its thread has ended'))
    return worker
  }

  #settle(answer: SqliteAnswer): void {
    const pending = this.#pending.get(answer.id)
    this.#pending.delete(answer.id)
    if ('result' in answer) pending?.resolve(answer.result)
    else pending?.reject(new KeptStoreError(answer.error.reason, answer.error))
  }

  #fail(reason: string): void {
    this.#worker = undefined
    const pending = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of pending) reject(new KeptStoreError(reason))
  }
}

function never(): never {
  throw new KeptStoreError('its thread has answered something else')
}

import { isObject, readJson } from './message.ts'
import type { Draft, DraftStore } from './outbox.ts'

const nameKey = 'postern.name'
const loginKey = 'postern.login'
const ownKey = 'postern.own'

/** So many ids of own messages are remembered: more than a history usually shows. */
const maxOwnIds = 1_000

/** The part of `localStorage` that is used here. */
export type Shelf = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>

/** The browser's storage, or one that lasts as long as the page where the browser allows none. */
export function browserShelf(): Shelf {
  try {
    // Merely reading the property throws when storage is forbidden.
    return window.localStorage
  } catch {
    return memoryShelf()
  }
}

export function memoryShelf(): Shelf {
  const items = new Map<string, string>()
  return {
    get length() {
      return items.size
    },
    key: index => [...items.keys()][index] ?? null,
    getItem: key => items.get(key) ?? null,
    setItem: (key, value) => void items.set(key, value),
    removeItem: key => void items.delete(key),
  }
}

/** The name that the reader writes under. */
export class OwnName {
  readonly #shelf: Shelf

  constructor(shelf: Shelf) {
    this.#shelf = shelf
  }

  get value(): string {
    return this.#shelf.getItem(nameKey) ?? ''
  }

  set value(name: string) {
    store(this.#shelf, nameKey, name)
  }
}

/** Who has logged in with this browser, for its pages: the cookie itself no page can read. */
export class LoginMark {
  readonly #shelf: Shelf

  constructor(shelf: Shelf) {
    this.#shelf = shelf
  }

  /** Empty: nobody that is known of. */
  get name(): string {
    return readName(readJson(this.#shelf.getItem(loginKey) ?? ''))
  }

  /** Another login of the same name is news too. */
  set name(name: string) {
    if (name === '') this.#shelf.removeItem(loginKey)
    else store(this.#shelf, loginKey, JSON.stringify({ name, atMs: Date.now() }))
  }

  /** @param key what has changed in the storage; null means everything. */
  isChanged(key: string | null): boolean {
    return key === loginKey || key === null
  }
}

function readName(mark: unknown): string {
  return isObject(mark) && typeof mark['name'] === 'string' ? mark['name'] : ''
}

/** The ids of messages that were written in this browser, shared by its pages. */
export class OwnMessages {
  readonly #shelf: Shelf
  #ids: Set<string>

  constructor(shelf: Shelf) {
    this.#shelf = shelf
    this.#ids = this.#read()
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  add(id: string): void {
    // Read again first: another page may have added to it.
    const ids = [...this.#ids.union(this.#read()).add(id)].slice(-maxOwnIds)
    this.#ids = new Set(ids)
    store(this.#shelf, ownKey, JSON.stringify(ids))
  }

  /** Takes in what another page has added. @param key what has changed in the storage; null means everything. */
  refresh(key: string | null): boolean {
    if (key !== ownKey && key !== null) return false
    this.#ids = this.#read()
    return true
  }

  #read(): Set<string> {
    const ids = readJson(this.#shelf.getItem(ownKey) ?? '[]')
    return new Set(Array.isArray(ids) ? ids.filter(id => typeof id === 'string') : [])
  }
}

/** The drafts of one room, each an item of its own, so that pages do not overwrite each other's. */
export class BrowserDrafts implements DraftStore {
  readonly #shelf: Shelf
  readonly #prefix: string

  constructor(shelf: Shelf, topic: string) {
    this.#shelf = shelf
    this.#prefix = `postern.unsent:${encodeURIComponent(topic)}:`
  }

  load(): Draft[] {
    const drafts: Draft[] = []
    for (let i = 0; i < this.#shelf.length; i++) {
      const key = this.#shelf.key(i)
      if (!key?.startsWith(this.#prefix)) continue
      const draft = readDraft(readJson(this.#shelf.getItem(key) ?? ''))
      if (draft) drafts.push(draft)
    }
    return drafts
  }

  put(draft: Draft): void {
    store(this.#shelf, this.#prefix + draft.key, JSON.stringify(draft))
  }

  delete(key: string): void {
    this.#shelf.removeItem(this.#prefix + key)
  }

  /** The key of the draft that a change of the storage removed. */
  removedBy(change: { readonly key: string | null; readonly newValue: string | null }): string | undefined {
    if (change.newValue !== null || !change.key?.startsWith(this.#prefix)) return undefined
    return change.key.slice(this.#prefix.length)
  }
}

function readDraft(value: unknown): Draft | undefined {
  if (!isObject(value)) return undefined
  const { key, from, text, createdMs, doubtSinceMs } = value
  if (typeof key !== 'string' || typeof from !== 'string' || typeof text !== 'string') return undefined
  if (typeof createdMs !== 'number') return undefined
  return { key, from, text, createdMs, ...(typeof doubtSinceMs === 'number' ? { doubtSinceMs } : {}) }
}

function store(shelf: Shelf, key: string, value: string): void {
  try {
    shelf.setItem(key, value)
  } catch {
    // The storage is full: what is kept lasts as long as the page.
  }
}

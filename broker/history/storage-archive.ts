import type { Storage } from 'unstorage'
import type { Archive } from './archive.ts'

/** How bytes are handed to a driver: as they are, or as base64, which whatever can keep a text gives back. */
export type StorageEncoding = 'bytes' | 'base64'

/** Keeps segments in any storage of unstorage. */
export class StorageArchive implements Archive {
  readonly #storage: Storage
  readonly #encoding: StorageEncoding
  readonly #release: () => unknown

  /** @param release what else has to be let go of at the end. */
  constructor(storage: Storage, encoding: StorageEncoding, release: () => unknown = () => {}) {
    this.#storage = storage
    this.#encoding = encoding
    this.#release = release
  }

  list(): Promise<string[]> {
    return this.#storage.getKeys()
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    const value: unknown =
      this.#encoding === 'bytes' ? await this.#storage.getItemRaw(name) : await this.#storage.getItem(name)
    if (value === null || value === undefined) return undefined
    // The fs driver resolves with the error when a file cannot be read.
    if (value instanceof Error) throw value
    if (this.#encoding === 'base64' && typeof value === 'string') {
      return Buffer.from(value.slice(value.indexOf(':') + 1), 'base64')
    }
    if (value instanceof Uint8Array) return value
    if (value instanceof ArrayBuffer) return new Uint8Array(value)
    throw new TypeError(`the driver gave back neither bytes nor nothing, but ${typeof value}`)
  }

  async write(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#encoding === 'base64') {
      // The prefix keeps unstorage from taking a text of digits for a number.
      return this.#storage.setItem(name, `base64:${Buffer.from(bytes).toString('base64')}`)
    }
    // The memory driver keeps the very object that it is given.
    return this.#storage.setItemRaw(name, new Uint8Array(bytes))
  }

  remove(name: string): Promise<void> {
    return this.#storage.removeItem(name)
  }

  async close(): Promise<void> {
    await this.#storage.dispose()
    await this.#release()
  }
}

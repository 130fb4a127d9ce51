import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  writevSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Batch } from '../protocol/index.ts'
import { encodeBatchEntry, encodeEnd, encodeHead, encodeKeys, journalFormat } from './entry.ts'
import { cutTorn, nextName, readFolder, recover } from './folder.ts'
import type { Journal, KeyEntry, Recovery } from './journal.ts'

export interface FileJournalOptions {
  readonly folder: string
  /** A file is closed and the next one begun when this much has been added to it. */
  readonly fileBytes: number
  /** Names the running boot of the machine; undefined where that cannot be told, and no unclean end is trusted. */
  readonly boot: string | undefined
  readonly newEpoch: () => string
  /** Offsets up to here have been given, as the history knows, even where the journal is gone. */
  readonly after: number
  /**
   * The keys that the next file begins with, because the files that hold them may be retired. From the first append
   * on it gives those of the recovery too.
   */
  readonly currentKeys: () => Iterable<KeyEntry>
  /** A file has been closed; its last offset. */
  readonly onRotated: (last: number) => void
}

interface ClosedFile {
  readonly path: string
  readonly last: number
  readonly bytes: number
}

interface OpenFile {
  readonly path: string
  readonly handle: number
  /** What it began with. */
  readonly headBytes: number
  bytes: number
}

/** The tail journal in files of a folder, written through the page cache: it survives the process, not the power. */
export class FileJournal implements Journal {
  readonly #options: FileJournalOptions
  readonly #boot: string
  #recovery: Recovery
  #closed: ClosedFile[]
  /** Files without a message. They go when another one has taken over their head and keys. */
  #empty: string[]
  #file: OpenFile | undefined
  #last: number
  #keptThrough: number
  #isClosed = false

  /** Reads what the folder holds. A log that goes on is not touched before the first append. */
  constructor(options: FileJournalOptions) {
    mkdirSync(options.folder, { recursive: true })
    this.#options = options
    this.#boot = options.boot ?? `unknown-${options.newEpoch()}`
    const found = readFolder(options.folder)
    this.#recovery = recover(found, this.#boot, options)
    this.#last = this.#recovery.last
    this.#keptThrough = this.#recovery.keptThrough
    this.#closed = found.flatMap(({ path, last, bytes }) =>
      last === undefined ? [] : [{ path, last, bytes }],
    )
    this.#empty = found.flatMap(({ path, last }) => (last === undefined ? [path] : []))
    if (!this.#recovery.broken) return
    // The new epoch first: a start that found nothing torn any more would go on as if nothing were lost.
    this.#file = this.#beginFirst(this.#recovery.keys)
    cutTorn(found)
  }

  /** What was found at start. Its batches and keys are there until the first append. */
  get recovery(): Recovery {
    return this.#recovery
  }

  /** The size of all files. */
  get byteLength(): number {
    return this.#closed.reduce((sum, { bytes }) => sum + bytes, this.#file?.bytes ?? 0)
  }

  append(batch: Batch, keys: readonly KeyEntry[], keptThrough = 0): void {
    if (this.#isClosed) throw new Error('the journal is closed')
    let file = this.#opened()
    if (file.bytes - file.headBytes >= this.#options.fileBytes) file = this.#rotate(file)
    write(file, encodeBatchEntry(batch.bytes, keys, keptThrough))
    this.#last = batch.last
    this.#keptThrough = Math.max(this.#keptThrough, keptThrough)
    if (this.#recovery.batches.length > 0) this.#recovery = { ...this.#recovery, batches: [], keys: [] }
  }

  retire(through: number): void {
    // Until this process has begun a file, the keys stand in the old ones alone.
    if (!this.#file) return
    const isRetired = (file: ClosedFile) => file.last <= through
    for (const { path } of this.#closed.filter(isRetired)) rmSync(path, { force: true })
    this.#closed = this.#closed.filter(file => !isRetired(file))
  }

  close(): void {
    if (this.#isClosed) return
    const file = this.#opened()
    write(file, encodeEnd())
    this.#isClosed = true
    for (const { path } of this.#closed) syncPath(path)
    fsyncSync(file.handle)
    closeSync(file.handle)
    syncPath(this.#options.folder)
  }

  #opened(): OpenFile {
    this.#file ??= this.#beginFirst(this.#options.currentKeys())
    return this.#file
  }

  /**
   * The first file of this process is synced: if a power loss took it whole, an earlier file with a clean end would
   * look like the newest one, and ids would be given again.
   */
  #beginFirst(keys: Iterable<KeyEntry>): OpenFile {
    const file = this.#begin(keys)
    fsyncSync(file.handle)
    syncPath(this.#options.folder)
    for (const path of this.#empty) rmSync(path, { force: true })
    this.#empty = []
    return file
  }

  #rotate(old: OpenFile): OpenFile {
    const file = this.#begin(this.#options.currentKeys())
    this.#file = file
    closeSync(old.handle)
    this.#closed.push({ path: old.path, last: this.#last, bytes: old.bytes })
    this.#options.onRotated(this.#last)
    return file
  }

  #begin(keys: Iterable<KeyEntry>): OpenFile {
    const { folder } = this.#options
    const { epoch, pastEpochs } = this.#recovery
    const head = encodeHead({
      format: journalFormat,
      epoch,
      after: this.#last,
      boot: this.#boot,
      pastEpochs: [...pastEpochs],
      keptThrough: this.#keptThrough,
    })
    // A key whose message is not in the journal yet would outlive a message that never gets there.
    const settled = [...keys].filter(key => key.epoch !== epoch || key.offset <= this.#last)
    const begin = [...head, ...encodeKeys(settled)]
    const path = join(folder, nextName(readdirSync(folder), this.#last))
    const file = { path, handle: openSync(path, 'wx'), headBytes: lengthOf(begin), bytes: 0 }
    try {
      write(file, begin)
    } catch (error) {
      closeSync(file.handle)
      rmSync(path, { force: true })
      throw error
    }
    return file
  }
}

/** Writes all of it or, as far as the system lets us, nothing: half an entry would read as a torn tail. */
function write(file: OpenFile, parts: readonly Uint8Array[]): void {
  const length = lengthOf(parts)
  try {
    let done = writevSync(file.handle, parts, file.bytes)
    while (done < length)
      done += writevSync(file.handle, [Buffer.concat(parts).subarray(done)], file.bytes + done)
  } catch (error) {
    ftruncateSync(file.handle, file.bytes)
    throw error
  }
  file.bytes += length
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.length, 0)
}

function syncPath(path: string): void {
  // Windows cannot sync a folder, and syncs no file that is open for reading only.
  if (process.platform === 'win32') return
  const handle = openSync(path, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}

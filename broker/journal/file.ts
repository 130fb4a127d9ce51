import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Batch } from '../protocol/index.ts'
import {
  decodeFile,
  type Entry,
  encodeBatchEntry,
  encodeEnd,
  encodeHead,
  encodeKeys,
  type JournalHead,
} from './entry.ts'
import type { Journal, KeyEntry, PastEpoch, Recovery } from './journal.ts'

/** Past epochs are remembered to tell where an old id stands; each is one power loss. */
const maxPastEpochs = 64

export interface FileJournalOptions {
  readonly folder: string
  /** A file is closed and the next one begun at this size. */
  readonly fileBytes: number
  /** Names the running boot of the machine; undefined where that cannot be told, and no unclean end is trusted. */
  readonly boot: string | undefined
  readonly newEpoch: () => string
  /** The keys that the next file begins with, because the files that hold them may be retired. */
  readonly currentKeys: () => Iterable<KeyEntry>
  /** A file has been closed; its last offset. */
  readonly onRotated: (last: number) => void
}

interface ClosedFile {
  readonly path: string
  readonly last: number
  readonly bytes: number
}

/** The tail journal in files of a folder, written through the page cache: it survives the process, not the power. */
export class FileJournal implements Journal {
  readonly recovery: Recovery
  readonly #options: FileJournalOptions
  readonly #boot: string
  #closed: ClosedFile[]
  #file: number
  #path: string
  #bytes = 0
  #last: number

  /** Reads what the folder holds, and begins a new file. */
  constructor(options: FileJournalOptions) {
    mkdirSync(options.folder, { recursive: true })
    this.#options = options
    this.#boot = options.boot ?? `unknown-${options.newEpoch()}`
    const found = readFolder(options.folder)
    this.recovery = recover(found, this.#boot, options.newEpoch)
    this.#closed = []
    for (const { path, last, bytes } of found) {
      if (last === undefined) unlinkSync(path)
      else this.#closed.push({ path, last, bytes })
    }
    this.#last = this.recovery.last
    ;[this.#path, this.#file] = this.#begin(this.recovery.keys)
  }

  /** The size of all files. */
  get byteLength(): number {
    return this.#closed.reduce((sum, { bytes }) => sum + bytes, this.#bytes)
  }

  append(batch: Batch, keys: readonly KeyEntry[]): void {
    if (this.#bytes >= this.#options.fileBytes) this.#rotate()
    this.#write(encodeBatchEntry(batch.bytes, keys))
    this.#last = batch.last
  }

  retire(through: number): void {
    const kept: ClosedFile[] = []
    for (const file of this.#closed) {
      if (file.last <= through) unlinkSync(file.path)
      else kept.push(file)
    }
    this.#closed = kept
  }

  close(): void {
    this.#write(encodeEnd())
    fsyncSync(this.#file)
    closeSync(this.#file)
  }

  #rotate(): void {
    const closed = { path: this.#path, last: this.#last, bytes: this.#bytes }
    const old = this.#file
    ;[this.#path, this.#file] = this.#begin(this.#options.currentKeys())
    closeSync(old)
    this.#closed.push(closed)
    this.#options.onRotated(closed.last)
  }

  #begin(keys: Iterable<KeyEntry>): [path: string, file: number] {
    // Two files may begin after the same offset: a broker that was started and stopped without a message between.
    const name = String(this.#last).padStart(15, '0')
    const used = readdirSync(this.#options.folder)
    let path = ''
    for (let n = 0; path === '' || used.includes(path); n++)
      path = `${name}.${String(n).padStart(4, '0')}.journal`
    path = join(this.#options.folder, path)
    const file = openSync(path, 'wx')
    const { epoch, pastEpochs } = this.recovery
    const head = encodeHead({
      format: 1,
      epoch,
      after: this.#last,
      boot: this.#boot,
      pastEpochs: [...pastEpochs],
    })
    this.#bytes = 0
    const begin = Buffer.concat([head, encodeKeys([...keys])])
    writeWhole(file, begin, 0)
    this.#bytes = begin.length
    return [path, file]
  }

  #write(bytes: Uint8Array): void {
    try {
      writeWhole(this.#file, bytes, this.#bytes)
    } catch (error) {
      // Half an entry would read as a torn tail, and cost the epoch.
      ftruncateSync(this.#file, this.#bytes)
      throw error
    }
    this.#bytes += bytes.length
  }
}

function writeWhole(file: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done)
  }
}

interface FoundFile {
  readonly path: string
  readonly bytes: number
  readonly torn: boolean
  readonly entries: readonly Entry[]
  /** Offset of the last message in it. */
  readonly last: number | undefined
}

function readFolder(folder: string): FoundFile[] {
  const names = readdirSync(folder).filter(name => name.endsWith('.journal'))
  return names.sort().map(name => {
    const path = join(folder, name)
    const content = readFileSync(path)
    const { entries, soundBytes } = decodeFile(content)
    const torn = soundBytes < content.length
    // Otherwise the next start would find the same tear, and begin yet another epoch.
    if (torn) truncateSync(path, soundBytes)
    const last = entries.findLast(entry => entry.kind === 'batch')?.batch.last
    return { path, bytes: soundBytes, torn, entries, last }
  })
}

function recover(found: readonly FoundFile[], boot: string, newEpoch: () => string): Recovery {
  const entries = found.flatMap(file => file.entries)
  const batches = entries.flatMap(entry => (entry.kind === 'batch' ? [entry.batch] : []))
  const keys = entries.flatMap(entry => (entry.kind === 'keys' || entry.kind === 'batch' ? entry.keys : []))
  const head = entries.findLast(entry => entry.kind === 'head')?.head
  const last = Math.max(head?.after ?? 0, batches.at(-1)?.last ?? 0)
  const broken = whyBroken(found, head, boot)
  if (!broken && head) return { epoch: head.epoch, last, pastEpochs: head.pastEpochs, batches, keys, broken }
  const pastEpochs: PastEpoch[] = head
    ? [...head.pastEpochs, { epoch: head.epoch, last }].slice(-maxPastEpochs)
    : []
  return { epoch: newEpoch(), last, pastEpochs, batches, keys, broken }
}

function whyBroken(
  found: readonly FoundFile[],
  head: JournalHead | undefined,
  boot: string,
): Recovery['broken'] {
  if (!head) return found.some(file => file.torn) ? 'torn' : 'empty'
  if (found.some(file => file.torn) || hasHole(found, head.epoch)) return 'torn'
  const wasEnded = found.at(-1)?.entries.at(-1)?.kind === 'end'
  return wasEnded || head.boot === boot ? undefined : 'power-loss'
}

/** A file that went missing in the middle is as bad as a torn one. */
function hasHole(found: readonly FoundFile[], epoch: string): boolean {
  let last: number | undefined
  for (const entry of found.flatMap(file => file.entries)) {
    if (entry.kind !== 'batch' || entry.batch.epoch !== epoch) continue
    if (last !== undefined && entry.batch.first !== last + 1) return true
    last = entry.batch.last
  }
  return false
}

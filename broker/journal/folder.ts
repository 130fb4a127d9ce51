import { readdirSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { decodeFile, type Entry, type FileContent, type JournalHead } from './entry.ts'
import type { KeyEntry, PastEpoch, Recovery } from './journal.ts'

/** Past epochs are remembered to tell where an old id stands; each is one power loss. */
const maxPastEpochs = 64

/** The offset after which a file begins, and a number for those that begin at the same place: sorted is in order. */
const namePattern = /^(\d{15})\.(\d{4})\.journal$/

/** A file of a journal as it was found. */
export interface FoundFile {
  readonly path: string
  /** Bytes up to the first entry that is not whole. */
  readonly bytes: number
  readonly torn: boolean
  readonly entries: readonly Entry[]
  /** Offset of the last message in it. */
  readonly last: number | undefined
}

/**
 * Reads the files of a journal in their order. Files of other names are not looked at.
 *
 * @throws Error when one is of another format.
 */
export function readFolder(folder: string): FoundFile[] {
  const names = readdirSync(folder).filter(name => namePattern.test(name))
  return names.sort().map(name => {
    const path = join(folder, name)
    const content = readFileSync(path)
    const { entries, soundBytes } = read(path, content)
    const last = entries.findLast(entry => entry.kind === 'batch')?.batch.last
    return { path, bytes: soundBytes, torn: soundBytes < content.length, entries, last }
  })
}

/** Threat: a file of another version that counts as torn would be cut off, and its messages lost. */
function read(path: string, content: Buffer): FileContent {
  try {
    return decodeFile(content)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(
      `The journal cannot be read: ${path}: ${reason}. Use the version that has written it, or move the folder away: a new log then begins.`,
    )
  }
}

/** Cuts off what is torn, so that the next start does not find it again. */
export function cutTorn(found: readonly FoundFile[]): void {
  for (const { path, bytes, torn, last } of found) if (torn && last !== undefined) truncateSync(path, bytes)
}

/** The name of a file that begins after an offset, behind those that begin there already. */
export function nextName(used: readonly string[], after: number): string {
  const prefix = String(after).padStart(15, '0')
  const numbers = used.flatMap(name => {
    const found = namePattern.exec(name)
    return found?.[1] === prefix ? [Number(found[2])] : []
  })
  return `${prefix}.${String(Math.max(-1, ...numbers) + 1).padStart(4, '0')}.journal`
}

export interface RecoverOptions {
  readonly newEpoch: () => string
  /** Offsets up to here have been given, whatever the files say. */
  readonly after: number
}

/** What the files of a journal remember, and whether the log can go on. */
export function recover(
  found: readonly FoundFile[],
  boot: string,
  { newEpoch, after }: RecoverOptions,
): Recovery {
  const entries = found.flatMap(file => file.entries)
  const batches = entries.flatMap(entry => (entry.kind === 'batch' ? [entry.batch] : []))
  const keys = latest(
    entries.flatMap(entry => (entry.kind === 'keys' || entry.kind === 'batch' ? entry.keys : [])),
  )
  const keptThrough = entries.reduce((most, entry) => Math.max(most, keptThroughOf(entry)), 0)
  const head = entries.findLast(entry => entry.kind === 'head')?.head
  const last = Math.max(after, head?.after ?? 0, batches.at(-1)?.last ?? 0)
  const broken = whyBroken(found, head, boot, last)
  if (!broken && head)
    return { epoch: head.epoch, last, pastEpochs: head.pastEpochs, batches, keys, keptThrough, broken }
  const pastEpochs: PastEpoch[] = head
    ? [...head.pastEpochs, { epoch: head.epoch, last }].slice(-maxPastEpochs)
    : []
  return { epoch: newEpoch(), last, pastEpochs, batches, keys, keptThrough, broken }
}

function keptThroughOf(entry: Entry): number {
  if (entry.kind === 'head') return entry.head.keptThrough
  return entry.kind === 'batch' ? entry.keptThrough : 0
}

/** Each key once, as it stands last: a file begins with those of the files before it. */
function latest(keys: readonly KeyEntry[]): KeyEntry[] {
  const byName = new Map<string, KeyEntry>()
  for (const entry of keys) {
    const name = JSON.stringify([entry.identity, entry.topic, entry.key])
    byName.delete(name)
    byName.set(name, entry)
  }
  return [...byName.values()]
}

function whyBroken(
  found: readonly FoundFile[],
  head: JournalHead | undefined,
  boot: string,
  last: number,
): Recovery['broken'] {
  if (!head) return found.some(file => file.torn) ? 'torn' : 'empty'
  if (found.some(file => file.torn) || hasHole(found, head.epoch, last)) return 'torn'
  const wasEnded = found.at(-1)?.entries.at(-1)?.kind === 'end'
  return wasEnded || head.boot === boot ? undefined : 'power-loss'
}

/** A file that went missing is as bad as a torn one. */
function hasHole(found: readonly FoundFile[], epoch: string, last: number): boolean {
  let reached: number | undefined
  for (const entry of found.flatMap(file => file.entries)) {
    if (entry.kind === 'head' && entry.head.epoch === epoch) {
      if (reached !== undefined && entry.head.after !== reached) return true
      reached = entry.head.after
    } else if (entry.kind === 'batch' && entry.batch.epoch === epoch) {
      if (reached !== undefined && entry.batch.first !== reached + 1) return true
      reached = entry.batch.last
    }
  }
  return reached !== undefined && reached < last
}

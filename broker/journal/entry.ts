import { crc32 } from 'node:zlib'
import * as v from 'valibot'
import { type Batch, decodeBatch } from '../protocol/index.ts'
import type { KeyEntry } from './journal.ts'

/*
 * A journal file is a run of entries: u32 length of what follows the checksum, u32 CRC-32 of it, u8 kind, body.
 * Numbers are big-endian.
 */
const prefixBytes = 8
const kinds = { head: 1, keys: 2, batch: 3, end: 4 } as const

/** What this version writes and reads. */
export const journalFormat = 2

const headSchema = v.object({
  format: v.literal(journalFormat),
  epoch: v.string(),
  /** Offset after which this file begins. */
  after: v.number(),
  /** Names the boot of the machine: another one means that unsynced writes may be lost. */
  boot: v.string(),
  pastEpochs: v.array(v.object({ epoch: v.string(), last: v.number() })),
  /** Kept messages up to this number were in the log when the file was begun. */
  keptThrough: v.optional(v.number(), 0),
})

/** What every format has said of itself. */
const formatSchema = v.object({ format: v.number() })

/** The first entry of each file. */
export type JournalHead = v.InferOutput<typeof headSchema>

const keysSchema = v.array(
  v.object({
    identity: v.string(),
    topic: v.string(),
    key: v.string(),
    fingerprint: v.string(),
    epoch: v.string(),
    offset: v.number(),
    timeMs: v.number(),
  }),
)

/** What stands in front of a batch: its keys, with what it says of kept messages where it has any. */
const besideSchema = v.union([
  v.pipe(
    keysSchema,
    v.transform(keys => ({ keys, keptThrough: 0 })),
  ),
  v.object({ keys: keysSchema, keptThrough: v.number() }),
])

export type Entry =
  | { readonly kind: 'head'; readonly head: JournalHead }
  | { readonly kind: 'keys'; readonly keys: readonly KeyEntry[] }
  | {
      readonly kind: 'batch'
      readonly batch: Batch
      readonly keys: readonly KeyEntry[]
      readonly keptThrough: number
    }
  /** The broker stopped in order after this. */
  | { readonly kind: 'end' }

export function encodeHead(head: JournalHead): Uint8Array[] {
  return frame(kinds.head, Buffer.from(JSON.stringify(head)))
}

export function encodeKeys(keys: readonly KeyEntry[]): Uint8Array[] {
  return frame(kinds.keys, Buffer.from(JSON.stringify(keys)))
}

/** The body is u32 length of the keys, the keys, the batch: one write, so that neither comes back alone. */
export function encodeBatchEntry(
  batch: Uint8Array,
  keys: readonly KeyEntry[],
  keptThrough = 0,
): Uint8Array[] {
  const beside = keptThrough > 0 ? { keys, keptThrough } : keys
  const keysJson = keptThrough > 0 || keys.length > 0 ? JSON.stringify(beside) : ''
  const beginning = Buffer.allocUnsafe(4 + Buffer.byteLength(keysJson))
  beginning.writeUInt32BE(beginning.length - 4)
  beginning.write(keysJson, 4)
  return frame(kinds.batch, beginning, batch)
}

export function encodeEnd(): Uint8Array[] {
  return frame(kinds.end, new Uint8Array())
}

/** The parts of an entry, to be written one after the other. A batch is not copied. */
function frame(kind: number, beginning: Uint8Array, batch?: Uint8Array): Uint8Array[] {
  const first = Buffer.allocUnsafe(prefixBytes + 1 + beginning.length)
  first.writeUInt32BE(1 + beginning.length + (batch?.length ?? 0), 0)
  first.writeUInt8(kind, prefixBytes)
  first.set(beginning, prefixBytes + 1)
  const checksum = crc32(first.subarray(prefixBytes))
  first.writeUInt32BE(batch ? crc32(batch, checksum) : checksum, 4)
  return batch ? [first, batch] : [first]
}

/** What could be read of a file. */
export interface FileContent {
  readonly entries: readonly Entry[]
  /** Bytes up to the first entry that is not whole; the size of the file when all are. */
  readonly soundBytes: number
}

/**
 * Reads entries up to the first one that is torn.
 *
 * @throws Error when the file is whole, but of another format.
 */
export function decodeFile(file: Buffer): FileContent {
  const entries: Entry[] = []
  let at = 0
  while (at + prefixBytes < file.length) {
    const length = file.readUInt32BE(at)
    const end = at + prefixBytes + length
    if (length === 0 || end > file.length) break
    const content = file.subarray(at + prefixBytes, end)
    if (crc32(content) !== file.readUInt32BE(at + 4)) break
    const entry = decodeEntry(content.readUInt8(0), content.subarray(1))
    if (!entry) break
    entries.push(entry)
    at = end
  }
  return { entries, soundBytes: at }
}

function decodeEntry(kind: number, body: Buffer): Entry | undefined {
  switch (kind) {
    case kinds.head: {
      const json = parseJson(body)
      const claimed = v.safeParse(formatSchema, json)
      if (claimed.success && claimed.output.format !== journalFormat) {
        throw new Error(`it has format ${claimed.output.format}, and this version reads ${journalFormat}`)
      }
      const head = v.safeParse(headSchema, json)
      return head.success ? { kind: 'head', head: head.output } : undefined
    }
    case kinds.keys: {
      const keys = v.safeParse(keysSchema, parseJson(body))
      return keys.success ? { kind: 'keys', keys: keys.output } : undefined
    }
    case kinds.batch: {
      if (body.length < 4) return undefined
      const keyBytes = body.readUInt32BE(0)
      if (4 + keyBytes > body.length) return undefined
      const beside = v.safeParse(besideSchema, keyBytes > 0 ? parseJson(body.subarray(4, 4 + keyBytes)) : [])
      // A copy: the tail would keep whole files for what it has left of them.
      const batch = decodeBatch(new Uint8Array(body.subarray(4 + keyBytes)))
      return beside.success && batch ? { kind: 'batch', batch, ...beside.output } : undefined
    }
    case kinds.end:
      return { kind: 'end' }
    default:
      return undefined
  }
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}

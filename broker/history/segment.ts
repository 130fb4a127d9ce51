import { crc32 } from 'node:zlib'
import { decodeBatch, encodeMessages, type Message, maxOffset } from '../protocol/index.ts'
import type { Section } from '../retained.ts'
import { ArchiveError } from './archive.ts'

// Begins like no text and like no batch.
const magic = [0xff, 0x50, 0x48] as const
const segmentVersion = 2

/*
 * Numbers big-endian.
 *    0  magic
 *    3  u8   version
 *    4  u32  CRC-32 of everything that follows
 *    8  u48  from
 *   14  u48  through
 *   20  u48  forgotten through
 *   26  u32  dropped topics
 *   30  for each of them: u48 dropped through, u8 bytes of the topic, topic
 *       until the end: u32 length, a batch of sparse records
 */
const checkedFrom = 8
const headerBytes = 30
const offsetBytes = 6
const droppedBytes = offsetBytes + 1
const lengthBytes = 4

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The stretch of the log that a segment stands for. */
export interface Range {
  readonly from: number
  readonly through: number
}

/** Decimal digits of the largest offset: names of one length sort as their offsets do. */
const nameDigits = String(maxOffset).length
const namePattern = new RegExp(`^([0-9]{${nameDigits}})-([0-9]{${nameDigits}})$`)

/** The name under which the segment of a range is kept: what a lost one held can still be told. */
export function formatRange({ from, through }: Range): string {
  return `${String(from).padStart(nameDigits, '0')}-${String(through).padStart(nameDigits, '0')}`
}

/** Reads the range in a name, or gives undefined for one that no segment has. */
export function parseRange(name: string): Range | undefined {
  const found = namePattern.exec(name)
  const range = { from: Number(found?.[1]), through: Number(found?.[2]) }
  return range.from >= 1 && range.from <= range.through ? range : undefined
}

/** Writes a section as one immutable run of bytes. */
export function encodeSegment(section: Section): Uint8Array {
  const batches = encodeMessages(section.messages)
  const topics = [...section.dropped].map(([topic, offset]) => ({ topic: Buffer.from(topic), offset }))
  let length = headerBytes
  for (const { topic } of topics) length += droppedBytes + topic.length
  for (const batch of batches) length += lengthBytes + batch.length

  const bytes = Buffer.alloc(length)
  bytes.set(magic, 0)
  bytes.writeUInt8(segmentVersion, magic.length)
  bytes.writeUIntBE(section.from, 8, offsetBytes)
  bytes.writeUIntBE(section.through, 14, offsetBytes)
  bytes.writeUIntBE(section.forgottenThrough, 20, offsetBytes)
  bytes.writeUInt32BE(topics.length, 26)
  let at = headerBytes
  for (const { topic, offset } of topics) {
    bytes.writeUIntBE(offset, at, offsetBytes)
    bytes.writeUInt8(topic.length, at + offsetBytes)
    bytes.set(topic, at + droppedBytes)
    at += droppedBytes + topic.length
  }
  for (const batch of batches) {
    bytes.writeUInt32BE(batch.length, at)
    bytes.set(batch, at + lengthBytes)
    at += lengthBytes + batch.length
  }
  bytes.writeUInt32BE(crc32(bytes.subarray(checkedFrom)), 4)
  return bytes
}

/**
 * Reads a segment, or gives undefined for bytes that are torn or none. Payloads are views.
 *
 * @throws ArchiveError for one of another version: taken for a torn one it would be forgotten.
 */
export function decodeSegment(segment: Uint8Array): Section | undefined {
  // Where a Uint8Array's `slice` copies, a Buffer's is a view: a message copied out of it would keep all of it.
  const bytes = new Uint8Array(segment.buffer, segment.byteOffset, segment.byteLength)
  if (bytes.length < headerBytes || magic.some((byte, i) => bytes[i] !== byte)) return undefined
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.readUInt32BE(4) !== crc32(bytes.subarray(checkedFrom))) return undefined
  const version = view.readUInt8(magic.length)
  if (version !== segmentVersion) {
    throw new ArchiveError(
      `The history cannot be read (history.store): a segment has version ${version}, and this version of Postern reads ${segmentVersion}. Use the one that has written it, or move the history away.`,
    )
  }
  try {
    return decodeContent(bytes, view)
  } catch {
    // Lengths that do not add up under a right checksum: something else has written it.
    return undefined
  }
}

function decodeContent(bytes: Uint8Array, view: Buffer): Section | undefined {
  const dropped = new Map<string, number>()
  let at = headerBytes
  for (let left = view.readUInt32BE(26); left > 0; left--) {
    const end = at + droppedBytes + view.readUInt8(at + offsetBytes)
    dropped.set(decoder.decode(bytes.subarray(at + droppedBytes, end)), view.readUIntBE(at, offsetBytes))
    at = end
  }
  const messages: Message[] = []
  while (at < bytes.length) {
    const end = at + lengthBytes + view.readUInt32BE(at)
    const batch = decodeBatch(bytes.subarray(at + lengthBytes, end))
    if (!batch || end > bytes.length) return undefined
    for (const message of batch.messages) messages.push(message)
    at = end
  }
  return {
    from: view.readUIntBE(8, offsetBytes),
    through: view.readUIntBE(14, offsetBytes),
    forgottenThrough: view.readUIntBE(20, offsetBytes),
    dropped,
    messages,
  }
}

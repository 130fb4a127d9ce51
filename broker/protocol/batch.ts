import { epochBytes } from './id.ts'
import { Message, type Publication } from './message.ts'

/**
 * Gathering ends at this size: one write to a socket, and what a stopped peer can hold back is the stream's
 * high-water mark times this.
 */
export const maxBatchBytes = 64 * 1024

/** Gathering ends at this count: 64 messages of 1 KiB or 256 small ones already cost next to nothing each. */
export const maxBatchMessages = 256

// 0xFF never occurs in UTF-8, so that no text can be taken for a batch. The last byte is the version.
const magic = [0xff, 0x50, 0x42, 0x01] as const

/*
 * Header, 32 bytes, numbers big-endian:
 *    0  magic
 *    4  u8   flags: bit 0 sparse
 *    5  u8   0
 *    6  u16  records
 *    8  u32  bytes of the records
 *   12  6 B  epoch
 *   18  u48  offset of the first record (sparse: 0)
 *   24  u48  time in Unix milliseconds (sparse: 0)
 *   30  u16  0
 * Record: only when sparse u48 offset, u48 time; then
 *    0  u8   flags: bit 0 binary
 *    1  u8   bytes of the topic
 *    2  u8   bytes of the type
 *    3  u8   0
 *    4  u32  bytes of the payload
 *    8  topic, type, payload
 */
const headerBytes = 32
const recordBytes = 8
const placeBytes = 12
const sparseFlag = 1
const binaryFlag = 1

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** A run of messages of one epoch. */
export interface Batch {
  readonly epoch: string
  /** Offset of the first message; of an empty batch the next one that will be given. */
  readonly first: number
  /** Offset of the last message; `first - 1` when there is none. */
  readonly last: number
  readonly messages: readonly Message[]
  readonly bytes: Uint8Array
}

/** What a batch takes on the wire for one publication, its header left out. */
export function recordSize(publication: Publication): number {
  // Three bytes of UTF-8 is the most that one UTF-16 unit takes: an upper bound, without encoding.
  return recordBytes + 3 * (publication.topic.length + publication.type.length) + publication.payload.length
}

/** Where a sparse record stands in the log. */
export interface Place {
  readonly offset: number
  readonly timeMs: number
}

/** Builds batches in one working buffer, which grows to the largest batch and is used again. */
export class BatchWriter {
  #buffer = new Uint8Array(4096)
  #view = new DataView(this.#buffer.buffer)
  #length = headerBytes
  #count = 0
  readonly #topic = new LastText()
  readonly #type = new LastText()

  get count(): number {
    return this.#count
  }

  /** The size of the batch so far. */
  get byteLength(): number {
    return this.#length
  }

  /** Whether gathering should end before another publication of this size is added. */
  isFullFor(publication: Publication): boolean {
    if (this.#count === 0) return false
    return this.#count >= maxBatchMessages || this.#length + recordSize(publication) > maxBatchBytes
  }

  /** Appends a record. With a place the record is a sparse one; the two kinds are not mixed in a batch. */
  add(publication: Publication, place?: Place): void {
    this.#reserve(placeBytes + recordSize(publication))
    if (place) {
      writeUint48(this.#view, this.#length, place.offset)
      writeUint48(this.#view, this.#length + 6, place.timeMs)
      this.#length += placeBytes
    }
    const start = this.#length
    let at = start + recordBytes
    const topic = this.#topic.encode(publication.topic)
    this.#buffer.set(topic, at)
    at += topic.length
    const type = this.#type.encode(publication.type)
    this.#buffer.set(type, at)
    at += type.length
    const { payload } = publication
    this.#buffer.set(payload, at)
    this.#view.setUint8(start, publication.binary ? binaryFlag : 0)
    this.#view.setUint8(start + 1, topic.length)
    this.#view.setUint8(start + 2, type.length)
    this.#view.setUint8(start + 3, 0)
    this.#view.setUint32(start + 4, payload.length)
    this.#length = at + payload.length
    this.#count++
  }

  /** Gives the finished batch, a copy of its own, and starts the next one. */
  finish(header: { readonly epoch: string; readonly first: number; readonly timeMs: number }): Uint8Array {
    return this.#finish(header.epoch, header.first, header.timeMs, 0)
  }

  /** As {@link finish}, for a batch of sparse records. */
  finishSparse(epoch: string): Uint8Array {
    return this.#finish(epoch, 0, 0, sparseFlag)
  }

  /** Forgets what has been added. */
  reset(): void {
    this.#length = headerBytes
    this.#count = 0
  }

  #finish(epoch: string, first: number, timeMs: number, flags: number): Uint8Array {
    this.#buffer.set(magic, 0)
    this.#view.setUint8(4, flags)
    this.#view.setUint8(5, 0)
    this.#view.setUint16(6, this.#count)
    this.#view.setUint32(8, this.#length - headerBytes)
    for (let i = 0; i < epochBytes; i++) {
      this.#view.setUint8(12 + i, Number.parseInt(epoch.slice(2 * i, 2 * i + 2), 16))
    }
    writeUint48(this.#view, 18, first)
    writeUint48(this.#view, 24, timeMs)
    this.#view.setUint16(30, 0)
    const batch = this.#buffer.slice(0, this.#length)
    this.reset()
    return batch
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(needed, 2 * this.#buffer.length))
    grown.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = grown
    this.#view = new DataView(grown.buffer)
  }
}

/** The bytes of the last text, because one topic often follows itself. */
class LastText {
  #text = ''
  #bytes = new Uint8Array()

  encode(text: string): Uint8Array {
    if (text !== this.#text) {
      this.#bytes = encoder.encode(text)
      this.#text = text
    }
    return this.#bytes
  }
}

/** The epoch that stands in a batch which has no place in a log yet. */
export const noEpoch = '0'.repeat(2 * epochBytes)

/** Encodes publications that have no place in the log yet, as publishers send them. */
export function encodePublications(publications: Iterable<Publication>): Uint8Array {
  const writer = new BatchWriter()
  for (const publication of publications) writer.add(publication)
  return writer.finish({ epoch: noEpoch, first: 0, timeMs: 0 })
}

/** Encodes messages that need not follow each other: sparse batches, each of one epoch, in their order. */
export function encodeMessages(messages: readonly Message[]): Uint8Array[] {
  const batches: Uint8Array[] = []
  const writer = new BatchWriter()
  let epoch = messages[0]?.epoch ?? noEpoch
  for (const message of messages) {
    if (message.epoch !== epoch || writer.isFullFor(message)) {
      batches.push(writer.finishSparse(epoch))
      epoch = message.epoch
    }
    writer.add(message, message)
  }
  if (writer.count > 0) batches.push(writer.finishSparse(epoch))
  return batches
}

/** Whether bytes claim to be a batch: they begin with the magic, and the lengths in them add up. */
export function isBatch(bytes: Uint8Array): boolean {
  return decodeBatch(bytes) !== undefined
}

/** Reads a batch, or gives undefined when the bytes are not exactly one. Payloads are views, not copies. */
export function decodeBatch(bytes: Uint8Array): Batch | undefined {
  if (bytes.length < headerBytes || magic.some((byte, i) => bytes[i] !== byte)) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(8) !== bytes.length - headerBytes) return undefined
  const sparse = (view.getUint8(4) & sparseFlag) !== 0
  const epoch = readEpoch(view)
  const first = readUint48(view, 18)
  const batchTimeMs = readUint48(view, 24)
  const count = view.getUint16(6)
  const messages = new Array<Message>(count)
  const label = { topic: '', type: '', binary: false }
  let topicAt = 0
  let topicBytes = 0
  let at = headerBytes
  for (let i = 0; i < count; i++) {
    if (at + (sparse ? placeBytes : 0) + recordBytes > bytes.length) return undefined
    const offset = sparse ? readUint48(view, at) : first + i
    const timeMs = sparse ? readUint48(view, at + 6) : batchTimeMs
    if (sparse) at += placeBytes
    label.binary = (view.getUint8(at) & binaryFlag) !== 0
    const nextTopicAt = at + recordBytes
    const nextTopicBytes = view.getUint8(at + 1)
    const typeAt = nextTopicAt + nextTopicBytes
    const start = typeAt + view.getUint8(at + 2)
    const end = start + view.getUint32(at + 4)
    if (end > bytes.length) return undefined
    try {
      if (nextTopicBytes !== topicBytes || !equal(bytes, topicAt, nextTopicAt, topicBytes)) {
        label.topic = decoder.decode(bytes.subarray(nextTopicAt, typeAt))
      }
      label.type = start === typeAt ? '' : decoder.decode(bytes.subarray(typeAt, start))
    } catch {
      return undefined
    }
    topicAt = nextTopicAt
    topicBytes = nextTopicBytes
    messages[i] = new Message({ epoch, offset, timeMs }, label, bytes, start, end)
    at = end
  }
  if (at !== bytes.length) return undefined
  const last = sparse ? (messages.at(-1)?.offset ?? 0) : first + count - 1
  return { epoch, first: sparse ? (messages[0]?.offset ?? 1) : first, last, messages, bytes }
}

function equal(bytes: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return false
  return true
}

function readEpoch(view: DataView): string {
  let epoch = ''
  for (let i = 0; i < epochBytes; i++)
    epoch += view
      .getUint8(12 + i)
      .toString(16)
      .padStart(2, '0')
  return epoch
}

function readUint48(view: DataView, at: number): number {
  return view.getUint16(at) * 2 ** 32 + view.getUint32(at + 2)
}

function writeUint48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 2 ** 32))
  view.setUint32(at + 2, value % 2 ** 32)
}

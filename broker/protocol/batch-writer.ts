import { Batch, type BatchHead, noEpoch } from './batch.ts'
import { epochBytes } from './id.ts'
import {
  batchVersion,
  binaryFlag,
  headerBytes,
  longBytes,
  longTopicFlag,
  longTypeFlag,
  magic,
  placeBytes,
  recordBytes,
  sparseFlag,
  writeUint48,
} from './layout.ts'
import type { Message, Publication } from './message.ts'

/**
 * Gathering ends at this size: one write to a socket, and what a stopped peer can hold back is the stream's
 * high-water mark times this.
 */
export const maxBatchBytes = 64 * 1024

/** Gathering ends at this count: 64 messages of 1 KiB or 256 small ones already cost next to nothing each. */
export const maxBatchMessages = 256

/** How many topics a writer remembers the bytes of: some hundred kilobytes of the longest. */
const maxLabels = 512

/**
 * What comes from a socket in fewer bytes may lie in a buffer of libzmq's that is as large as this, and would keep all
 * of it: whoever keeps such a frame for longer copies it.
 */
export const sharedBufferBytes = 8 * 1024

const encoder = new TextEncoder()

/** What a batch takes on the wire for one publication, its header left out. */
export function recordSize(publication: Publication): number {
  // Three bytes of UTF-8 is the most that one UTF-16 unit takes: an upper bound, without encoding.
  return recordBytes + 3 * (publication.topic.length + publication.type.length) + publication.payload.length
}

/** Where a batch stands in the log. */
export interface Beginning {
  readonly epoch: string
  /** Offset of its first message. */
  readonly first: number
  readonly timeMs: number
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
  #isUniform = true
  /** That of the last record, because one topic often follows itself. */
  #label = new Label('', '')
  readonly #labels = new Map<string, Label>()

  get count(): number {
    return this.#count
  }

  /** The size of the batch so far. */
  get byteLength(): number {
    return this.#length
  }

  /** Whether gathering should end before another publication of this size is added. */
  isFullFor(publication: Publication): boolean {
    return this.isFull(1, recordSize(publication))
  }

  /** Whether gathering should end before so many more records of so many bytes are added. */
  isFull(count: number, bytes: number): boolean {
    if (this.#count === 0) return false
    return this.#count + count > maxBatchMessages || this.#length + bytes > maxBatchBytes
  }

  /**
   * Appends a record. With a place the record is a sparse one; the two kinds are not mixed in a batch. Its payload is
   * below 256 MiB, four times what a broker can be set to take.
   */
  add(publication: Publication, place?: Place): void {
    const { payload } = publication
    const label = this.#turnTo(publication)
    this.#reserve(placeBytes + recordBytes + label.bytes.length + payload.length)
    if (place) {
      writeUint48(this.#view, this.#length, place.offset)
      writeUint48(this.#view, this.#length + 6, place.timeMs)
      this.#length += placeBytes
    }
    const buffer = this.#buffer
    const { bytes } = label
    const { length } = payload
    const at = this.#length
    buffer[at] = publication.binary ? label.flags | binaryFlag : label.flags
    buffer[at + 1] = label.topicLength
    buffer[at + 2] = label.typeLength
    buffer[at + 3] = 0
    buffer[at + 4] = (length >>> 21) & 0x7f
    buffer[at + 5] = (length >>> 14) & 0x7f
    buffer[at + 6] = (length >>> 7) & 0x7f
    buffer[at + 7] = length & 0x7f
    const labelAt = at + recordBytes
    // Setting an array costs as much as copying dozens of bytes by hand, and a label rarely has more.
    for (let i = 0; i < bytes.length; i++) buffer[labelAt + i] = bytes[i] ?? 0
    const start = labelAt + bytes.length
    if (length > 0) buffer.set(payload, start)
    this.#length = start + length
    this.#count++
  }

  /** Appends the records of a batch that are no sparse ones, as they are. */
  addRecords(batch: Batch): void {
    const { records, count } = batch
    for (const run of batch.runs()) this.#turnTo(run)
    this.#isUniform &&= batch.isUniform
    this.#reserve(records.length)
    this.#buffer.set(records, this.#length)
    this.#length += records.length
    this.#count += count
  }

  /** Gives the finished batch, in bytes of its own, and starts the next one. */
  finish(beginning: Beginning): Batch {
    const count = this.#count
    const isUniform = this.#isUniform
    const bytes = this.#take()
    writeHeader(bytes, count, beginning)
    return denseBatch(bytes, { count, isUniform }, beginning)
  }

  /** As {@link finish}, for a batch of sparse records: only its bytes. */
  finishSparse(epoch: string): Uint8Array {
    const count = this.#count
    const bytes = this.#take()
    writeHeader(bytes, count, { epoch, first: 0, timeMs: 0 }, sparseFlag)
    return bytes
  }

  /** Forgets what has been added. */
  reset(): void {
    this.#length = headerBytes
    this.#count = 0
    this.#isUniform = true
  }

  /** Comes before the record that it is for has been counted. */
  #turnTo({ topic, type }: Labelled): Label {
    if (topic !== this.#label.topic || type !== this.#label.type) {
      if (this.#count > 0) this.#isUniform = false
      this.#label = this.#labelOf(topic, type)
    }
    return this.#label
  }

  /** Encoded once, and remembered with the last type that came with the topic. */
  #labelOf(topic: string, type: string): Label {
    const known = this.#labels.get(topic)
    if (known?.type === type) return known
    if (this.#labels.size >= maxLabels) this.#labels.clear()
    const label = new Label(topic, type)
    this.#labels.set(topic, label)
    return label
  }

  #take(): Uint8Array {
    const bytes = this.#buffer.slice(0, this.#length)
    this.reset()
    return bytes
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

type Labelled = Pick<Publication, 'topic' | 'type'>

/** A topic and a type as they stand in a record. */
class Label {
  readonly topic: string
  readonly type: string
  /** The topic, then the type. */
  readonly bytes: Uint8Array
  readonly topicLength: number
  readonly typeLength: number
  readonly flags: number

  constructor(topic: string, type: string) {
    const topicBytes = encoder.encode(topic)
    const typeBytes = encoder.encode(type)
    this.topic = topic
    this.type = type
    this.bytes = new Uint8Array(topicBytes.length + typeBytes.length)
    this.bytes.set(topicBytes)
    this.bytes.set(typeBytes, topicBytes.length)
    this.topicLength = topicBytes.length & 0x7f
    this.typeLength = typeBytes.length & 0x7f
    this.flags =
      (topicBytes.length < longBytes ? 0 : longTopicFlag) | (typeBytes.length < longBytes ? 0 : longTypeFlag)
  }
}

/** Gives a publisher's batch its place in the log: its bytes are written over, not copied. It is not a sparse one. */
export function placeBatch(batch: Batch, beginning: Beginning): Batch {
  writeHeader(batch.bytes, batch.count, beginning)
  return denseBatch(batch.bytes, batch, beginning)
}

function denseBatch(
  bytes: Uint8Array,
  { count, isUniform }: Pick<BatchHead, 'count' | 'isUniform'>,
  beginning: Beginning,
): Batch {
  const last = beginning.first + count - 1
  return new Batch({ ...beginning, last, count, isUniform, isSparse: false }, bytes)
}

function writeHeader(bytes: Uint8Array, count: number, { epoch, first, timeMs }: Beginning, flags = 0): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, headerBytes)
  bytes.set(magic, 0)
  view.setUint8(3, batchVersion)
  view.setUint8(4, flags)
  view.setUint8(5, 0)
  view.setUint16(6, count)
  view.setUint32(8, bytes.length - headerBytes)
  for (let i = 0; i < epochBytes; i++) {
    view.setUint8(12 + i, Number.parseInt(epoch.slice(2 * i, 2 * i + 2), 16))
  }
  writeUint48(view, 18, first)
  writeUint48(view, 24, timeMs)
  view.setUint16(30, 0)
}

/** Encodes publications that have no place in the log yet, as publishers send them. */
export function encodePublications(publications: Iterable<Publication>): Uint8Array {
  const writer = new BatchWriter()
  for (const publication of publications) writer.add(publication)
  return writer.finish({ epoch: noEpoch, first: 0, timeMs: 0 }).bytes
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

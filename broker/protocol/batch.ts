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
  readUint48,
  recordBytes,
  sparseFlag,
  topBit,
} from './layout.ts'
import { Message } from './message.ts'

/** The epoch that stands in a batch which has no place in a log yet. */
export const noEpoch = '0'.repeat(2 * epochBytes)

/** Messages that follow each other and have the same topic and type. */
export interface Run {
  readonly topic: string
  readonly type: string
  count: number
  /** Offset of its newest. */
  last: number
}

/** How many of a run's messages are wanted, counted from its newest. */
export type Choice = (run: Run) => number

/** Bits that are set in no record's head: the top bits, flags that are not known, the byte that is 0. */
const notALabel = 0xf880_80ff
const notALength = 0x8080_8080

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What stands in front of the records. */
export interface BatchHead {
  readonly epoch: string
  /** Offset of the first message; of an empty batch the next one that will be given. */
  readonly first: number
  /** Offset of the last message; `first - 1` when there is none. */
  readonly last: number
  readonly timeMs: number
  readonly count: number
  /** Whether each record stands at a place of its own. */
  readonly isSparse: boolean
  /** All messages are known to have one topic and type: then there is one run, which nothing has to look for. */
  readonly isUniform: boolean
}

/**
 * A run of messages of one epoch, as bytes. Messages are made of it when they are asked for, and only those: most
 * batches are passed on, kept for a while and dropped without anybody having looked into them.
 */
export class Batch implements BatchHead {
  readonly epoch: string
  readonly first: number
  readonly last: number
  readonly timeMs: number
  readonly count: number
  readonly isSparse: boolean
  readonly isUniform: boolean
  readonly bytes: Uint8Array

  /** @param bytes a whole batch: of a writer, or one that {@link decodeBatch} has looked through. */
  constructor(head: BatchHead, bytes: Uint8Array) {
    this.epoch = head.epoch
    this.first = head.first
    this.last = head.last
    this.timeMs = head.timeMs
    this.count = head.count
    this.isSparse = head.isSparse
    this.isUniform = head.isUniform
    this.bytes = bytes
  }

  /** The records, as a publisher or another writer has put them together. */
  get records(): Uint8Array {
    return this.bytes.subarray(headerBytes)
  }

  /** All messages, made anew at each call. Payloads are views, not copies. */
  get messages(): Message[] {
    return this.read(({ count }) => count)
  }

  /** The messages of the topics that are selected. @param runs as of {@link read}. */
  select(selects: (topic: string) => boolean, runs = this.runs()): Message[] {
    return this.read(({ topic, count }) => (selects(topic) ? count : 0), runs)
  }

  /**
   * Makes the messages that are chosen. Each run is asked about once, the newest first.
   *
   * @param runs those of this batch, for whoever has them already.
   */
  read(choose: Choice, runs: readonly Run[] = this.runs()): Message[] {
    const skips = new Array<number>(runs.length)
    let hasAny = false
    for (let i = runs.length - 1; i >= 0; i--) {
      const run = runs[i]
      if (!run) continue
      const wanted = choose(run)
      skips[i] = run.count - wanted
      hasAny ||= wanted > 0
    }
    return hasAny ? this.#make(runs, skips) : []
  }

  /** What the messages are about, in their order. */
  runs(): Run[] {
    const { bytes, isSparse, first } = this
    const view = viewOf(bytes)
    const runs: Run[] = []
    let at = headerBytes
    if (this.isUniform && this.count > 0) {
      if (isSparse) at += placeBytes
      return [{ ...labelOf(bytes, at), count: this.count, last: this.last }]
    }
    let run: Run | undefined
    let before = 0
    let labelBytes = 0
    for (let index = 0; index < this.count; index++) {
      const last = isSparse ? readUint48(view, at) : first + index
      if (isSparse) at += placeBytes
      if (run && haveOneLabel(bytes, before, at, labelBytes)) {
        run.count++
        run.last = last
      } else {
        labelBytes = payloadAt(bytes, at) - at - recordBytes
        run = { ...labelOf(bytes, at), count: 1, last }
        runs.push(run)
      }
      before = at
      at += recordBytes + labelBytes + payloadLength(bytes, at)
    }
    return runs
  }

  #make(runs: readonly Run[], skips: readonly number[]): Message[] {
    const { bytes, isSparse, epoch, first } = this
    const view = viewOf(bytes)
    const messages: Message[] = []
    let at = headerBytes
    let index = 0
    for (const [i, { topic, type, count }] of runs.entries()) {
      let skip = skips[i] ?? 0
      let labelBytes = -1
      for (let left = count; left > 0; left--, index++) {
        const offset = isSparse ? readUint48(view, at) : first + index
        const timeMs = isSparse ? readUint48(view, at + 6) : this.timeMs
        if (isSparse) at += placeBytes
        if (labelBytes < 0) labelBytes = payloadAt(bytes, at) - at - recordBytes
        const start = at + recordBytes + labelBytes
        const end = start + payloadLength(bytes, at)
        if (skip > 0) skip--
        else {
          const binary = ((bytes[at] ?? 0) & binaryFlag) !== 0
          messages.push(new Message({ epoch, offset, timeMs }, { topic, type, binary }, bytes, start, end))
        }
        at = end
      }
    }
    return messages
  }
}

/** The version that bytes claim as which they are a batch; undefined when they claim to be none. */
export function batchVersionOf(bytes: Uint8Array): number | undefined {
  return magic.some((byte, i) => bytes[i] !== byte) ? undefined : bytes[magic.length]
}

/** How many messages a batch has that is known to be one. */
export function batchCountOf(bytes: Uint8Array): number {
  return viewOf(bytes).getUint16(6)
}

/** Whether bytes claim to be a batch: they begin with the magic, and the lengths in them add up. */
export function isBatch(bytes: Uint8Array): boolean {
  return decodeBatch(bytes) !== undefined
}

/**
 * Looks through bytes once, so that nothing in them can fail later: lengths that add up, topics and types in UTF-8.
 * What a payload is, and whether a topic may be used, is not looked at.
 *
 * @returns undefined when the bytes are not exactly one batch.
 */
export function decodeBatch(bytes: Uint8Array): Batch | undefined {
  if (bytes.length < headerBytes || batchVersionOf(bytes) !== batchVersion) return undefined
  const view = viewOf(bytes)
  if (view.getUint32(8) !== bytes.length - headerBytes) return undefined
  const isSparse = (view.getUint8(4) & sparseFlag) !== 0
  const count = view.getUint16(6)
  let isUniform = true
  let firstPlace = 0
  let lastPlace = 0
  let before = 0
  let labelBytes = 0
  let at = headerBytes
  for (let left = count; left > 0; left--) {
    if (at + (isSparse ? placeBytes : 0) + recordBytes > bytes.length) return undefined
    if (isSparse) {
      lastPlace = readUint48(view, at)
      if (left === count) firstPlace = lastPlace
      at += placeBytes
    }
    if ((view.getUint32(at) & notALabel) !== 0 || (view.getUint32(at + 4) & notALength) !== 0)
      return undefined
    const isNew = before === 0 || !haveOneLabel(bytes, before, at, labelBytes)
    if (isNew) labelBytes = payloadAt(bytes, at) - at - recordBytes
    const end = at + recordBytes + labelBytes + payloadLength(bytes, at)
    if (end > bytes.length || (isNew && !isLabel(bytes, at))) return undefined
    isUniform &&= !isNew || before === 0
    before = at
    at = end
  }
  if (at !== bytes.length) return undefined
  const first = readUint48(view, 18)
  const head = isSparse
    ? { first: count > 0 ? firstPlace : 1, last: lastPlace, timeMs: 0 }
    : { first, last: first + count - 1, timeMs: readUint48(view, 24) }
  return new Batch({ epoch: readEpoch(view), count, isSparse, isUniform, ...head }, bytes)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function topicLength(bytes: Uint8Array, at: number): number {
  const length = bytes[at + 1] ?? 0
  return ((bytes[at] ?? 0) & longTopicFlag) === 0 ? length : length + longBytes
}

function payloadAt(bytes: Uint8Array, at: number): number {
  const typeLength = (bytes[at + 2] ?? 0) + (((bytes[at] ?? 0) & longTypeFlag) === 0 ? 0 : longBytes)
  return at + recordBytes + topicLength(bytes, at) + typeLength
}

function payloadLength(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at + 4] ?? 0) << 21) | ((bytes[at + 5] ?? 0) << 14)
  return high | ((bytes[at + 6] ?? 0) << 7) | (bytes[at + 7] ?? 0)
}

/** Whether two records have the same topic and type: `ab` and `c` are not `a` and `bc`. */
function haveOneLabel(bytes: Uint8Array, a: number, b: number, labelBytes: number): boolean {
  if (bytes[a + 1] !== bytes[b + 1] || bytes[a + 2] !== bytes[b + 2]) return false
  if ((((bytes[a] ?? 0) ^ (bytes[b] ?? 0)) & (longTopicFlag | longTypeFlag)) !== 0) return false
  const end = recordBytes + labelBytes
  for (let i = recordBytes; i < end; i++) if (bytes[a + i] !== bytes[b + i]) return false
  return true
}

/** Whether the topic and the type of a record are texts, each for itself. */
function isLabel(bytes: Uint8Array, at: number): boolean {
  const start = at + recordBytes
  const end = payloadAt(bytes, at)
  let all = 0
  for (let i = start; i < end; i++) all |= bytes[i] ?? 0
  if (all < topBit) return true
  try {
    labelOf(bytes, at)
    return true
  } catch {
    return false
  }
}

function labelOf(bytes: Uint8Array, at: number): { readonly topic: string; readonly type: string } {
  const start = at + recordBytes
  const middle = start + topicLength(bytes, at)
  const end = payloadAt(bytes, at)
  return {
    topic: decoder.decode(bytes.subarray(start, middle)),
    type: middle === end ? '' : decoder.decode(bytes.subarray(middle, end)),
  }
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

import { isUtf8 } from 'node:buffer'
import {
  type Batch,
  batchVersion,
  batchVersionOf,
  decodeBatch,
  maxBatchBytes,
  maxBatchMessages,
  PosternError,
  type Publication,
  parsePublicTopic,
  parseType,
} from '../protocol/index.ts'

// A topic may begin with U+FEFF, which is a mark of nothing here.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What one ZeroMQ message on the ingest socket says. */
export type Ingested =
  /** A batch that can go into the log as it is. */
  | { readonly kind: 'batch'; readonly batch: Batch }
  /** Messages that have to be looked at one by one. */
  | { readonly kind: 'publications'; readonly publications: readonly Publication[] }
  /** What was not understood. */
  | { readonly kind: 'malformed'; readonly error: PosternError }

export interface IngestBounds {
  /** The topic of messages that name none. */
  readonly defaultTopic: string
  readonly maxPayloadBytes: number
}

/** Reads what comes in on the ingest socket. */
export class IngestReader {
  #topicFrame: Uint8Array = new Uint8Array()
  #topic = ''

  /**
   * Reads one ZeroMQ message: `[topic, batch]` is a batch of messages on that topic, which each of them names again or
   * leaves empty; of anything else each frame is a message on the default topic, as Temma's clients send them.
   */
  read(frames: readonly Uint8Array[], bounds: IngestBounds): Ingested {
    const [topicFrame, batchFrame] = frames
    if (frames.length === 2 && topicFrame && batchFrame) {
      const batch = decodeBatch(batchFrame)
      if (batch) return this.#read(topicFrame, batch, bounds)
      const version = batchVersionOf(batchFrame)
      if (version !== undefined && version !== batchVersion)
        return { kind: 'malformed', error: otherVersion(version) }
    }
    return {
      kind: 'publications',
      publications: frames.map(payload => plainPublication(payload, bounds.defaultTopic)),
    }
  }

  #read(topicFrame: Uint8Array, batch: Batch, { maxPayloadBytes }: IngestBounds): Ingested {
    const topic = this.#topicOf(topicFrame)
    if (topic instanceof PosternError) return { kind: 'malformed', error: topic }
    const isSound =
      isGathered(batch) &&
      batch.runs().every(run => run.topic === topic && isType(run.type)) &&
      areTexts(batch) &&
      arePayloadsWithin(batch, maxPayloadBytes)
    if (isSound) return { kind: 'batch', batch }
    return { kind: 'publications', publications: batch.messages.map(message => verified(message, topic)) }
  }

  /** One topic often follows itself, and checking it costs more than the rest of reading a batch. */
  #topicOf(frame: Uint8Array): string | PosternError {
    if (this.#topic !== '' && Buffer.compare(frame, this.#topicFrame) === 0) return this.#topic
    try {
      this.#topic = parsePublicTopic(decoder.decode(frame))
      this.#topicFrame = frame
      return this.#topic
    } catch (error) {
      return error instanceof PosternError ? error : new PosternError('INVALID_UTF8')
    }
  }
}

/** Whether it is as large as the broker's own batches at the most: a larger one is cut by being gathered anew. */
function isGathered({ isSparse, count, bytes }: Batch): boolean {
  return !isSparse && count <= maxBatchMessages && (bytes.length <= maxBatchBytes || count === 1)
}

function otherVersion(version: number): PosternError {
  return new PosternError(
    'UNSUPPORTED_VERSION',
    `The broker reads batches of version ${batchVersion}, not of ${version}.`,
  )
}

function isType(text: string): boolean {
  try {
    return parseType(text) === text
  } catch {
    return false
  }
}

/** Whether what claims to be a text is one. A batch of texts shows it at once, one with bytes in it record by record. */
function areTexts(batch: Batch): boolean {
  return isUtf8(batch.records) || batch.messages.every(({ binary, payload }) => binary || isUtf8(payload))
}

function arePayloadsWithin(batch: Batch, maxPayloadBytes: number): boolean {
  if (batch.records.length <= maxPayloadBytes) return true
  return batch.messages.every(({ payload }) => payload.length <= maxPayloadBytes)
}

function plainPublication(payload: Uint8Array, topic: string): Publication {
  return { topic, type: '', binary: !isUtf8(payload), payload }
}

/**
 * A publication as a peer has sent it, with the topic it is meant for. Threat: bytes that claim to be a text would
 * break the text frames of everybody who is subscribed.
 */
export function verified(message: Publication, topic = message.topic): Publication {
  const { type, payload } = message
  return { topic, type, payload, binary: message.binary || !isUtf8(payload) }
}

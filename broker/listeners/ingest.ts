import { isUtf8 } from 'node:buffer'
import { decodeBatch, PosternError, type Publication, parsePublicTopic } from '../protocol/index.ts'

// A topic may begin with U+FEFF, which is a mark of nothing here.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What one ZeroMQ message on the ingest socket says. */
export interface Ingested {
  readonly publications: readonly Publication[]
  /** What of it was not understood. */
  readonly malformed: PosternError | undefined
}

/**
 * Reads a message of the ingest socket: `[topic, batch]` is a batch of messages on that topic; of anything else each
 * frame is a message on the default topic, as Temma's clients send them.
 */
export function readIngest(frames: readonly Uint8Array[], defaultTopic: string): Ingested {
  const [topicFrame, batchFrame] = frames
  if (frames.length === 2 && topicFrame && batchFrame) {
    const batch = decodeBatch(batchFrame)
    if (batch) return readBatch(topicFrame, batch.messages)
  }
  return {
    publications: frames.map(payload => plainPublication(payload, defaultTopic)),
    malformed: undefined,
  }
}

function readBatch(topicFrame: Uint8Array, messages: readonly Publication[]): Ingested {
  try {
    const topic = parsePublicTopic(decoder.decode(topicFrame))
    return { publications: messages.map(message => verified(message, topic)), malformed: undefined }
  } catch (error) {
    const malformed = error instanceof PosternError ? error : new PosternError('INVALID_UTF8')
    return { publications: [], malformed }
  }
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

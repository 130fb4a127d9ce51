import { Buffer, isUtf8 } from 'node:buffer'
import { formatId, gapType, type Message, type Position } from '#protocol'
import { toEnvelope } from './envelope.ts'
import { encodeTextFrame, headBytes, opcodes, writeFrame } from './websocket-frame.ts'

/** How messages are sent to a subscriber. */
export interface SocketFormat {
  /** Each as JSON with its topic, type and time; otherwise its bare payload, as text or binary. */
  readonly envelope: boolean
  /** Whose topics these are: in an envelope they stand without it, and their types, which say who sent them, not at all. */
  readonly space?: 'bus' | 'push'
}

interface Piece {
  readonly opcode: typeof opcodes.text | typeof opcodes.binary
  readonly payload: Uint8Array
}

/** One frame for each message. They are not masked, so that any number of connections can share them. */
export function encodeMessages(messages: readonly Message[], format: SocketFormat): Buffer {
  return encodeFrames(messages, format).bytes
}

/** The frames of messages, and where that of each begins. */
interface Frames {
  readonly bytes: Buffer
  readonly begins: readonly number[]
}

function encodeFrames(messages: readonly Message[], format: SocketFormat): Frames {
  const pieces = messages.map(message => toPiece(message, format))
  let length = 0
  const begins = pieces.map(({ payload }) => {
    const begin = length
    length += headBytes(payload.length) + payload.length
    return begin
  })
  const bytes = Buffer.allocUnsafe(length)
  let at = 0
  for (const { opcode, payload } of pieces) at = writeFrame(bytes, at, opcode, payload)
  return { bytes, begins }
}

/** Tells a subscriber that gets envelopes that messages before this position are missing. */
export function encodeSocketGap(position: Position): Buffer {
  return encodeTextFrame(JSON.stringify({ id: formatId(position), type: gapType }))
}

function toPiece(message: Message, { envelope, space }: SocketFormat): Piece {
  if (envelope) {
    const whole = toEnvelope(message)
    const shown = space ? { ...whole, topic: whole.topic.slice(space.length + 2), type: '' } : whole
    return { opcode: opcodes.text, payload: Buffer.from(JSON.stringify(shown)) }
  }
  const { binary, payload } = message
  // Doors check the texts that they let in. This is the last of them: a client must fail a text that is not UTF-8.
  return { opcode: binary || !isUtf8(payload) ? opcodes.binary : opcodes.text, payload }
}

/** Writes each list of messages once, however many connections it goes to. */
export class SocketEncoder {
  readonly format: SocketFormat
  readonly #encoded = new WeakMap<readonly Message[], Frames>()

  constructor(format: SocketFormat) {
    this.format = format
  }

  /** @param except leaves out the messages of this type: nothing is encoded for that, and copied only where it must be. */
  encode(messages: readonly Message[], except?: string): Uint8Array {
    const { bytes, begins } = this.#framesOf(messages)
    if (except === undefined) return bytes
    const kept: Uint8Array[] = []
    let from = 0
    for (let i = 0; i < messages.length; i++) {
      if (messages[i]?.type !== except) continue
      const begin = begins[i] ?? 0
      if (begin > from) kept.push(bytes.subarray(from, begin))
      from = begins[i + 1] ?? bytes.length
    }
    if (from === 0) return bytes
    if (from < bytes.length) kept.push(bytes.subarray(from))
    return kept.length === 1 && kept[0] ? kept[0] : Buffer.concat(kept)
  }

  #framesOf(messages: readonly Message[]): Frames {
    const known = this.#encoded.get(messages)
    if (known) return known
    const frames = encodeFrames(messages, this.format)
    this.#encoded.set(messages, frames)
    return frames
  }
}

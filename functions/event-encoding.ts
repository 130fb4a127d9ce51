import { Buffer } from 'node:buffer'
import { formatId, gapType, type Message, type Position } from '#protocol'
import { toBase64, toEnvelope } from './envelope.ts'

/** How messages are written on an event stream. */
export interface EventFormat {
  /** Every payload as base64: the exact bytes, which SSE's own line rules would not keep. */
  readonly base64: boolean
  /** Each message as one line of JSON with its topic, type and time, and without an event name. */
  readonly envelope: boolean
  /** The name of every event; undefined: the type of its message. */
  readonly name: string | undefined
}

/** Keeps a peer's proxies and its own watch awake, and means nothing. */
export const comment = Buffer.from(':\n\n')

/** Words for whoever looks at the stream itself: a browser hands comments to nobody. One line. */
export function encodeComment(text: string): Uint8Array {
  return Buffer.from(`: ${text.replaceAll(/[\r\n]+/g, ' ')}\n\n`)
}

/** Tells a peer how long to wait before it connects again. */
export function encodeRetry(retryMs: number): Uint8Array {
  return Buffer.from(`retry: ${Math.round(retryMs)}\n\n`)
}

/** A block that has only an id: no event for the page, and the place from which the peer resumes. */
export function encodePlace(position: Position): Uint8Array {
  return Buffer.from(`id: ${formatId(position)}\n\n`)
}

/** Tells a peer that messages before this position are missing. */
export function encodeGap(position: Position): Uint8Array {
  const id = formatId(position)
  return Buffer.from(`id: ${id}\nevent: ${gapType}\ndata: ${JSON.stringify({ id })}\n\n`)
}

/** Writes messages as events, one after the other. */
export function encodeEvents(messages: readonly Message[], format: EventFormat): Uint8Array {
  const text = new EventText(messages.reduce((bytes, message) => bytes + sizeHint(message, format), 0))
  for (const message of messages) {
    if (format.envelope) {
      const envelope = JSON.stringify(toEnvelope(message, format.base64))
      text.add(`id: ${message.id}\ndata: ${envelope}\n\n`)
      continue
    }
    const name = eventName(message, format)
    text.add(name === '' ? `id: ${message.id}\n` : `id: ${message.id}\nevent: ${name}\n`)
    if (format.base64 || message.binary) text.add(`data: ${toBase64(message.payload)}\n\n`)
    else {
      text.addLines(message.payload)
      text.add('\n')
    }
  }
  return text.bytes
}

function eventName(message: Message, format: EventFormat): string {
  const name = format.name ?? withoutLineEnds(message.type)
  return message.binary ? `${name || 'message'};base64` : name
}

// Doors check the types that they let in. This is the last of them: whatever came past one must not break framing.
function withoutLineEnds(type: string): string {
  return /[\r\n\0]/.test(type) ? type.replaceAll(/[\r\n\0]/g, ' ') : type
}

function sizeHint(message: Message, format: EventFormat): number {
  const data = format.base64 || message.binary ? Math.ceil(message.weight / 3) * 4 : message.weight
  return data + (format.envelope ? 192 : 64)
}

const carriageReturn = 0x0d
const lineFeed = 0x0a

/** Grows as events are written into it. */
class EventText {
  #buffer: Buffer
  #length = 0

  constructor(sizeHint: number) {
    this.#buffer = Buffer.allocUnsafe(sizeHint)
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  add(text: string): void {
    // Three bytes of UTF-8 is the most that one UTF-16 unit takes.
    this.#reserve(3 * text.length)
    this.#length += this.#buffer.write(text, this.#length)
  }

  /** One `data:` line for each line of a payload, whichever of CR, LF and CRLF ends them. */
  addLines(payload: Uint8Array): void {
    let start = 0
    let nextReturn = payload.indexOf(carriageReturn)
    let nextFeed = payload.indexOf(lineFeed)
    while (nextReturn >= 0 || nextFeed >= 0) {
      const isReturn = nextReturn >= 0 && (nextFeed < 0 || nextReturn < nextFeed)
      const end = isReturn ? nextReturn : nextFeed
      this.#addLine(payload, start, end)
      start = isReturn && nextFeed === end + 1 ? end + 2 : end + 1
      if (nextReturn >= 0 && nextReturn < start) nextReturn = payload.indexOf(carriageReturn, start)
      if (nextFeed >= 0 && nextFeed < start) nextFeed = payload.indexOf(lineFeed, start)
    }
    this.#addLine(payload, start, payload.length)
  }

  #addLine(payload: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start + 7)
    this.#length += this.#buffer.write('data: ', this.#length, 'latin1')
    this.#buffer.set(
      start === 0 && end === payload.length ? payload : payload.subarray(start, end),
      this.#length,
    )
    this.#length += end - start
    this.#buffer[this.#length++] = lineFeed
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length))
    grown.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = grown
  }
}

/** Writes each list of messages once, however many connections it goes to. */
export class EventEncoder {
  readonly #format: EventFormat
  readonly #encoded = new WeakMap<readonly Message[], Uint8Array>()

  constructor(format: EventFormat) {
    this.#format = format
  }

  encode(messages: readonly Message[]): Uint8Array {
    const known = this.#encoded.get(messages)
    if (known) return known
    const bytes = encodeEvents(messages, this.#format)
    this.#encoded.set(messages, bytes)
    return bytes
  }
}

const encoders = new Map<string, EventEncoder>()

/** The one encoder of a format in this process: only so is each list written once. */
export function encoderOf(format: EventFormat): EventEncoder {
  const key = JSON.stringify([format.base64, format.envelope, format.name])
  const known = encoders.get(key)
  if (known) return known
  const encoder = new EventEncoder(format)
  encoders.set(key, encoder)
  return encoder
}

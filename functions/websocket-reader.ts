import { Buffer, isUtf8 } from 'node:buffer'
import { Utf8Stream } from './utf8-stream.ts'
import { closeCodes, isCloseCode, maxControlBytes, opcodes } from './websocket-frame.ts'

/** What a reader finds, in the order in which it came. */
export interface FrameSink {
  /** A whole message. A text is valid UTF-8. */
  onMessage(payload: Uint8Array, binary: boolean): void
  onPing(payload: Uint8Array): void
  /** Nothing is read after it. @param code undefined: the peer gave none. */
  onClose(code: number | undefined): void
}

/** What a peer may not send. */
export class FrameFault extends Error {
  override readonly name = 'FrameFault'
  readonly closeCode: number

  constructor(closeCode: number, reason: string) {
    super(reason)
    this.closeCode = closeCode
  }
}

const nothing = new Uint8Array()

/**
 * Reads the frames that a client sends (RFC 6455, section 5), and nothing but what it allows: no reserved bits, no
 * extension, each frame masked and its length in the shortest form. An idle one holds no bytes.
 */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #maxMessageBytes: () => number
  readonly #keepsMessages: boolean
  /** The begin of a frame, until its head, or the whole of a control frame, is there. */
  #begun: Uint8Array | undefined
  /** What is still to come of the payload of a data frame. */
  #remaining = 0
  #mask = 0
  #isFinal = true
  /** Text or binary while a message is under way, otherwise 0. */
  #opcode = 0
  /** Of the message, as far as its frames have told. */
  #length = 0
  #body: Buffer | undefined
  #bodyLength = 0
  #text: Utf8Stream | undefined
  #isClosed = false
  #isPaused = false
  /** What had been read when it was paused. */
  #unread: Uint8Array | undefined

  /**
   * @param maxMessageBytes the longest message; asked at each frame.
   * @param keepsMessages false: messages are checked as ever, but not kept, and none is handed over.
   */
  constructor(sink: FrameSink, maxMessageBytes: () => number, keepsMessages: boolean) {
    this.#sink = sink
    this.#maxMessageBytes = maxMessageBytes
    this.#keepsMessages = keepsMessages
  }

  /**
   * @param chunk is unmasked in place, and kept while the reader is paused.
   * @throws FrameFault once; nothing is read after it.
   */
  push(chunk: Uint8Array): void {
    if (this.#isPaused) this.#unread = this.#unread ? Buffer.concat([this.#unread, chunk]) : chunk
    else this.#read(this.#begun ? Buffer.concat([this.#begun, chunk]) : viewOf(chunk))
  }

  /** Hands over nothing more, not even of the same chunk: in 64 KiB there is room for ten thousand messages. */
  pause(): void {
    this.#isPaused = true
  }

  /** Goes on where it was paused. @throws FrameFault as `push`. */
  resume(): void {
    this.#isPaused = false
    const unread = this.#unread
    this.#unread = undefined
    if (unread) this.push(unread)
  }

  #read(bytes: Buffer): void {
    this.#begun = undefined
    let at = 0
    while (at < bytes.length && !this.#isClosed) {
      if (this.#isPaused) {
        this.#unread = bytes.subarray(at)
        return
      }
      const next = this.#remaining > 0 ? this.#readPayload(bytes, at) : this.#readFrame(bytes, at)
      if (next === undefined) {
        // A copy: a view would keep all that was read with it.
        this.#begun = new Uint8Array(bytes.subarray(at))
        return
      }
      at = next
    }
  }

  /** @returns where to go on, or undefined when too little is there. */
  #readFrame(bytes: Buffer, at: number): number | undefined {
    const available = bytes.length - at
    if (available < 2) return undefined
    const first = bytes.readUInt8(at)
    const second = bytes.readUInt8(at + 1)
    const opcode = first & 0x0f
    const isFinal = first >= 0x80
    this.#checkHead(first, second)
    const length = lengthAt(bytes, at)
    if (length === undefined) return undefined
    const isControl = opcode >= opcodes.close
    if (!isControl && this.#length + length > this.#maxMessageBytes())
      throw new FrameFault(closeCodes.tooLarge, 'message too large')
    const payloadAt = at + lengthEnd(second) + 4
    if (bytes.length < payloadAt + (isControl ? length : 0)) return undefined
    const mask = bytes.readUInt32BE(payloadAt - 4)
    if (isControl) {
      const payload = bytes.subarray(payloadAt, payloadAt + length)
      unmask(payload, mask)
      this.#control(opcode, payload)
      return payloadAt + length
    }
    if (opcode !== opcodes.continuation) this.#opcode = opcode
    this.#isFinal = isFinal
    this.#length += length
    this.#remaining = length
    this.#mask = mask
    if (length === 0) this.#take(nothing)
    return payloadAt
  }

  #checkHead(first: number, second: number): void {
    const opcode = first & 0x0f
    if (first & 0x70) throw violation('reserved bits')
    if (second < 0x80) throw violation('not masked')
    if (opcode >= opcodes.close) {
      if (opcode > opcodes.pong) throw violation('unknown opcode')
      if (first < 0x80) throw violation('fragmented control frame')
      if ((second & 0x7f) > maxControlBytes) throw violation('control frame too large')
      return
    }
    if (opcode > opcodes.binary) throw violation('unknown opcode')
    const isUnderWay = this.#opcode !== 0
    if (isUnderWay !== (opcode === opcodes.continuation))
      throw violation(isUnderWay ? 'message within a message' : 'continuation of nothing')
  }

  #readPayload(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.#remaining)
    const piece = bytes.subarray(at, end)
    unmask(piece, this.#mask)
    this.#mask = turned(this.#mask, piece.length)
    this.#remaining -= piece.length
    this.#take(piece)
    return end
  }

  /** A piece of the message under way. */
  #take(piece: Uint8Array): void {
    const isLast = this.#isFinal && this.#remaining === 0
    if (isLast && this.#length === piece.length) {
      // The whole message at once, as most are: neither copied nor looked at twice.
      if (this.#opcode === opcodes.text && !isUtf8(piece)) throw invalidText()
      this.#finish(piece)
      return
    }
    if (this.#opcode === opcodes.text) this.#checkText(piece, isLast)
    if (this.#keepsMessages) this.#append(piece)
    if (isLast) this.#finish(this.#body?.subarray(0, this.#bodyLength) ?? nothing)
  }

  #checkText(piece: Uint8Array, isLast: boolean): void {
    this.#text ??= new Utf8Stream()
    if (!this.#text.push(piece) || (isLast && !this.#text.isWhole)) throw invalidText()
  }

  /** Copies: a list of pieces would cost a hundred bytes for each byte of a peer that sends them one by one. */
  #append(piece: Uint8Array): void {
    const needed = this.#bodyLength + piece.length
    if (!this.#body || needed > this.#body.length) {
      // By what has come, not by what the peer has announced.
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * (this.#body?.length ?? 0)))
      if (this.#body) grown.set(this.#body.subarray(0, this.#bodyLength))
      this.#body = grown
    }
    this.#body.set(piece, this.#bodyLength)
    this.#bodyLength = needed
  }

  #finish(payload: Uint8Array): void {
    const binary = this.#opcode === opcodes.binary
    this.#opcode = 0
    this.#length = 0
    this.#body = undefined
    this.#bodyLength = 0
    this.#text = undefined
    if (this.#keepsMessages) this.#sink.onMessage(payload, binary)
  }

  #control(opcode: number, payload: Buffer): void {
    if (opcode === opcodes.ping) this.#sink.onPing(payload)
    if (opcode !== opcodes.close) return
    const code = codeOf(payload)
    this.#isClosed = true
    this.#sink.onClose(code)
  }
}

function codeOf(payload: Buffer): number | undefined {
  if (payload.length === 0) return undefined
  if (payload.length === 1) throw violation('half a close code')
  const code = payload.readUInt16BE(0)
  if (!isCloseCode(code)) throw violation('invalid close code')
  if (!isUtf8(payload.subarray(2))) throw invalidText()
  return code
}

/** Where the length of a payload ends, from the begin of its frame. */
function lengthEnd(second: number): number {
  const short = second & 0x7f
  return short < 126 ? 2 : short === 126 ? 4 : 10
}

function lengthAt(bytes: Buffer, at: number): number | undefined {
  const second = bytes.readUInt8(at + 1)
  const end = lengthEnd(second)
  if (bytes.length < at + end) return undefined
  if (end === 2) return second & 0x7f
  if (end === 4) {
    const length = bytes.readUInt16BE(at + 2)
    if (length < 126) throw violation('length not in its shortest form')
    return length
  }
  const high = bytes.readUInt32BE(at + 2)
  if (high >= 2 ** 31) throw violation('length beyond 63 bits')
  const length = high * 2 ** 32 + bytes.readUInt32BE(at + 6)
  if (length < 65_536) throw violation('length not in its shortest form')
  return length
}

/** RFC 6455, section 5.3. */
function unmask(bytes: Uint8Array, mask: number): void {
  if (mask === 0) return
  const a = mask >>> 24
  const b = (mask >>> 16) & 0xff
  const c = (mask >>> 8) & 0xff
  const d = mask & 0xff
  const { length } = bytes
  const whole = length - (length % 4)
  let at = 0
  // An element of a typed array that is out of bounds cannot be, and the compiler cannot know.
  for (; at < whole; at += 4) {
    bytes[at] = (bytes[at] ?? 0) ^ a
    bytes[at + 1] = (bytes[at + 1] ?? 0) ^ b
    bytes[at + 2] = (bytes[at + 2] ?? 0) ^ c
    bytes[at + 3] = (bytes[at + 3] ?? 0) ^ d
  }
  for (; at < length; at++) bytes[at] = (bytes[at] ?? 0) ^ ((mask >>> (24 - 8 * (at % 4))) & 0xff)
}

/** The mask as it stands after so many bytes. */
function turned(mask: number, bytes: number): number {
  const bits = 8 * (bytes % 4)
  return bits === 0 ? mask : ((mask << bits) | (mask >>> (32 - bits))) >>> 0
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

function violation(reason: string): FrameFault {
  return new FrameFault(closeCodes.protocolError, reason)
}

function invalidText(): FrameFault {
  return new FrameFault(closeCodes.invalidText, 'invalid UTF-8')
}

import { type Opcode, opcodes, readFrame } from './frame.ts'

/** Whom a reader tells what it has found. */
export interface BodyListener {
  message(payload: Buffer): void
  id(id: string): void
  gap(): void
  strange(): void
  begun(): void
  /** Something has to be sent back, as a frame of this opcode. */
  answer(opcode: Opcode, payload: Uint8Array): void
}

/** Takes in what a connection brings, whole or in pieces. */
export interface BodyReader {
  read(bytes: Buffer): void
}

const lineFeed = 0x0a

/** Takes the framing of chunks out. */
export class Unchunker implements BodyReader {
  readonly #to: BodyReader
  #rest: Buffer = Buffer.alloc(0)
  #left = 0

  constructor(to: BodyReader) {
    this.#to = to
  }

  read(bytes: Buffer): void {
    let data = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    while (data.length > 0) {
      if (this.#left === 0) {
        // The line end of the chunk before, if any, and the next size.
        const from = data[0] === 0x0d ? 2 : 0
        const feed = data.indexOf(lineFeed, from)
        if (feed < 0) break
        this.#left = Number.parseInt(data.toString('latin1', from, feed), 16)
        data = data.subarray(feed + 1)
        if (this.#left === 0) return
        continue
      }
      const here = data.subarray(0, this.#left)
      this.#left -= here.length
      data = data.subarray(here.length)
      this.#to.read(here)
    }
    this.#rest = data
  }
}

/** Server-Sent Events. */
export class EventReader implements BodyReader {
  readonly #to: BodyListener
  #rest: Buffer = Buffer.alloc(0)
  #data: Buffer | undefined
  #dataLines = 0
  #isGap = false

  constructor(to: BodyListener) {
    this.#to = to
  }

  read(bytes: Buffer): void {
    const data = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    let from = 0
    for (let feed = data.indexOf(lineFeed); feed >= 0; feed = data.indexOf(lineFeed, from)) {
      const end = feed > from && data[feed - 1] === 0x0d ? feed - 1 : feed
      this.#readLine(data.subarray(from, end))
      from = feed + 1
    }
    this.#rest = data.subarray(from)
  }

  #readLine(line: Buffer): void {
    if (line.length === 0) return this.#endEvent()
    const colon = line.indexOf(0x3a)
    const name = line.toString('latin1', 0, colon)
    const value = line.subarray(line[colon + 1] === 0x20 ? colon + 2 : colon + 1)
    if (name === 'data') {
      this.#data = value
      this.#dataLines++
    } else if (name === 'id') this.#to.id(value.toString('latin1'))
    else if (name === 'event' && value.toString('latin1') === 'gap') this.#isGap = true
  }

  #endEvent(): void {
    if (this.#isGap) this.#to.gap()
    else if (this.#dataLines === 1 && this.#data) this.#to.message(this.#data)
    else if (this.#dataLines > 1) this.#to.strange()
    this.#data = undefined
    this.#dataLines = 0
    this.#isGap = false
  }
}

/** WebSocket: each text is a message. */
export class TextReader implements BodyReader {
  protected readonly to: BodyListener
  #rest: Buffer = Buffer.alloc(0)

  constructor(to: BodyListener) {
    this.to = to
  }

  read(bytes: Buffer): void {
    const data = this.#rest.length > 0 ? Buffer.concat([this.#rest, bytes]) : bytes
    let from = 0
    for (let frame = readFrame(data, from); frame; frame = readFrame(data, from)) {
      from = frame.end
      if (!frame.isSound || frame.opcode === opcodes.binary) this.to.strange()
      else if (frame.opcode === opcodes.text) this.readText(frame.payload)
      else if (frame.opcode === opcodes.ping) this.to.answer(opcodes.pong, frame.payload)
      else if (frame.opcode === opcodes.close) this.to.answer(opcodes.close, frame.payload)
    }
    this.#rest = data.subarray(from)
  }

  protected readText(text: Buffer): void {
    this.to.message(text)
  }
}

/** socket.io, on a WebSocket. Its texts: 0 open, 2 ping, 40 connected, 42 event. */
export class PacketReader extends TextReader {
  protected override readText(text: Buffer): void {
    const event = '42["m","'
    const start = text.toString('latin1', 0, event.length)
    if (start === event) this.to.message(text.subarray(event.length, -2))
    else if (start.startsWith('40')) this.to.begun()
    else if (start.startsWith('0')) this.to.answer(opcodes.text, Buffer.from('40'))
    else if (start.startsWith('2')) this.to.answer(opcodes.text, Buffer.from('3'))
  }
}

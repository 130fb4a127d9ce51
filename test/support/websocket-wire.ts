import { createHash, randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** The kinds of frames that RFC 6455 knows (section 5.2). */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** How long an answer may take on a busy machine. A bound for a broken test, not a wait. */
const answerWithinMs = 20_000

/** Of what has come, when something else has not. */
const shownFrames = 20

/** How the length of a payload is written: in the 7 bits of the second byte, or in 16 or 64 bits behind it. */
export type LengthForm = 7 | 16 | 64

export interface FrameOptions {
  /** Default: true. */
  readonly fin?: boolean
  /** The three reserved bits, as a number from 0 to 7. Default: 0. */
  readonly reserved?: number
  /** False leaves the payload as it is, as a server does. Default: a random key. */
  readonly mask?: Uint8Array | false
  /** Default: the shortest one. */
  readonly lengthForm?: LengthForm
  /** The length that the header claims. Default: that of the payload. */
  readonly claims?: bigint
}

/** One frame as its bytes, right or wrong. */
export function frame(
  opcode: number,
  payload: string | Uint8Array = '',
  { fin = true, reserved = 0, mask = randomBytes(4), lengthForm, claims }: FrameOptions = {},
): Buffer {
  const body = Buffer.from(payload)
  const length = claims ?? BigInt(body.length)
  const form = lengthForm ?? (length < 126n ? 7 : length < 65_536n ? 16 : 64)
  const header = Buffer.alloc(form === 7 ? 2 : form === 16 ? 4 : 10)
  header[0] = (fin ? 0x80 : 0) | (reserved << 4) | opcode
  header[1] = (mask ? 0x80 : 0) | (form === 7 ? Number(length) : form === 16 ? 126 : 127)
  if (form === 16) header.writeUInt16BE(Number(length), 2)
  if (form === 64) header.writeBigUInt64BE(length, 2)
  if (!mask) return Buffer.concat([header, body])
  for (let i = 0; i < body.length; i++) body[i] = (body[i] ?? 0) ^ (mask[i % 4] ?? 0)
  return Buffer.concat([header, mask, body])
}

/** The payload of a close frame. */
export function closing(code: number, reason: string | Uint8Array = ''): Buffer {
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return Buffer.concat([head, Buffer.from(reason)])
}

/** A frame as it came. */
export interface ReceivedFrame {
  readonly fin: boolean
  readonly opcode: number
  readonly payload: Buffer
}

/** The head of an answer to a handshake. */
export interface HandshakeAnswer {
  readonly status: number
  /** By their names in lower case. */
  readonly headers: ReadonlyMap<string, string>
}

export interface HandshakeOptions {
  /** Default: `GET`. */
  readonly method?: string
  /** Added to what a handshake needs, or in its place; undefined leaves one out. */
  readonly headers?: Readonly<Record<string, string | undefined>>
}

/** The bytes of a handshake, right unless the options say otherwise. */
export function handshake(url: string, { method = 'GET', headers = {} }: HandshakeOptions = {}): string {
  const { host, pathname, search } = new URL(url)
  const lines = Object.entries({
    Host: host,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    ...headers,
  }).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}\r\n`]))
  return `${method} ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** What a key is answered with (RFC 6455, section 1.3). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

/**
 * A WebSocket client without manners, on a bare socket: it sends whatever bytes it is told to, answers nothing by
 * itself, and fails when the server sends what no server may. It ends with the test.
 */
export class WebsocketWire {
  readonly socket: Socket
  /** The frames that came, oldest first. */
  readonly frames: ReceivedFrame[] = []
  /** Whether the server has ended the connection, or it is lost. */
  isOver = false
  #answer: HandshakeAnswer | undefined
  #unread: Buffer = Buffer.alloc(0)
  /** What an answer without an upgrade brings. */
  body = ''
  #broken: Error | undefined
  readonly #watchers = new Set<() => void>()

  /** Connects, and sends nothing. */
  constructor(url: string, atEnd: (end: () => void) => void = onTestFinished) {
    const { hostname, port } = new URL(url)
    this.socket = connect({ host: hostname, port: Number(port), noDelay: true })
    atEnd(() => void this.socket.destroy())
    this.socket.on('data', bytes => this.#take(bytes))
    // A server may cut off whoever has misbehaved: the end tells.
    this.socket.on('error', () => {})
    this.socket.on('close', () => this.#end())
    this.socket.on('end', () => this.#end())
  }

  /** Connects and shakes hands. */
  static async open(
    url: string,
    options: HandshakeOptions = {},
    atEnd?: (end: () => void) => void,
  ): Promise<WebsocketWire> {
    const wire = new WebsocketWire(url, atEnd)
    wire.send(handshake(url, options))
    const { status } = await wire.answer()
    if (status !== 101) throw new Error(`The handshake was answered with ${status}: ${wire.body}`)
    return wire
  }

  /** Sends bytes as they are, of any number of frames or of a part of one. */
  send(...bytes: readonly (string | Uint8Array)[]): void {
    for (const part of bytes) this.socket.write(part)
  }

  /** Sends bytes one by one, each in a segment of its own. */
  async trickle(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes) await new Promise(resolve => this.socket.write(Buffer.of(byte), resolve))
  }

  /** The head of the answer to the handshake, once it is there. */
  answer(): Promise<HandshakeAnswer> {
    return this.until(() => this.#answer, 'an answer to the handshake')
  }

  /** Resolves as soon as something can be found. Rejects when the connection has ended without it. */
  until<T>(find: () => T | undefined | false, what = 'what was expected'): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (settled: () => void) => {
        clearTimeout(timer)
        this.#watchers.delete(look)
        settled()
      }
      const refuse = () =>
        settle(() => {
          const last = this.frames.slice(-shownFrames).map(inWords)
          reject(
            new Error(`${what} has not come, but ${this.frames.length} frames: … ${JSON.stringify(last)}`),
          )
        })
      const look = () => {
        const broken = this.#broken
        if (broken) return settle(() => reject(broken))
        const found = find()
        if (found) settle(() => resolve(found))
        else if (this.isOver) refuse()
      }
      const timer = setTimeout(refuse, answerWithinMs)
      this.#watchers.add(look)
      look()
    })
  }

  /** Resolves when the server has ended the connection, with everything that it has told. */
  async over(): Promise<string[]> {
    await this.until(() => this.isOver, 'the end')
    return this.told
  }

  /** Waits for the close frame, and answers it as a good client does. @returns its code; 1005 when it has none. */
  async closed(): Promise<number> {
    const { payload } = await this.until(
      () => this.frames.find(({ opcode }) => opcode === opcodes.close),
      'a close frame',
    )
    this.socket.end(frame(opcodes.close, payload))
    return payload.length === 0 ? 1005 : payload.readUInt16BE()
  }

  /** The frames in words: `text hello`, `binary ff00`, `ping …`, `pong …`, `close 1000 reason`. */
  get told(): string[] {
    return this.frames.map(inWords)
  }

  /** The payloads of the messages, text and binary alike. */
  get payloads(): Buffer[] {
    const isMessage = ({ opcode }: ReceivedFrame) => opcode === opcodes.text || opcode === opcodes.binary
    return this.frames.filter(isMessage).map(({ payload }) => payload)
  }

  #take(bytes: Buffer): void {
    this.#unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes])
    if (!this.#answer && !this.#readAnswer()) return
    try {
      if (this.#answer?.status === 101) this.#readFrames()
      else this.body = this.#unread.toString()
    } catch (error) {
      this.#broken = error instanceof Error ? error : new Error(String(error))
      this.socket.destroy()
    }
    this.#look()
  }

  #readAnswer(): boolean {
    const end = this.#unread.indexOf('\r\n\r\n')
    if (end < 0) return false
    const [first = '', ...lines] = this.#unread.subarray(0, end).toString().split('\r\n')
    this.#unread = this.#unread.subarray(end + 4)
    const headers = lines.map((line): [string, string] => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    })
    this.#answer = { status: Number(first.split(' ')[1]), headers: new Map(headers) }
    return true
  }

  #readFrames(): void {
    let at = 0
    for (;;) {
      const found = readFrame(this.#unread, at)
      if (!found) break
      at = found.end
      this.frames.push(found.frame)
    }
    this.#unread = this.#unread.subarray(at)
  }

  #end(): void {
    this.isOver = true
    this.#look()
  }

  #look(): void {
    for (const look of this.#watchers) look()
  }
}

/**
 * Reads one frame, or gives undefined while it is not all there.
 *
 * @throws Error for what a server must not send: masked, reserved, a length not in its shortest form, a control frame
 *   that is large or a fragment (RFC 6455, sections 5.1, 5.2 and 5.5).
 */
function readFrame(bytes: Buffer, at: number): { frame: ReceivedFrame; end: number } | undefined {
  if (bytes.length < at + 2) return undefined
  const [first = 0, second = 0] = bytes.subarray(at, at + 2)
  if (second & 0x80) throw new Error('The server has masked a frame.')
  if (first & 0x70) throw new Error('The server has set a reserved bit.')
  const form = second === 127 ? 10 : second === 126 ? 4 : 2
  if (bytes.length < at + form) return undefined
  const length =
    form === 10 ? Number(bytes.readBigUInt64BE(at + 2)) : form === 4 ? bytes.readUInt16BE(at + 2) : second
  if (length < (form === 10 ? 65_536 : form === 4 ? 126 : 0))
    throw new Error('The server has not used the shortest form of a length.')
  const opcode = first & 0x0f
  const fin = (first & 0x80) !== 0
  if (opcode >= 8 && (!fin || length > 125)) throw new Error('The server has sent a bad control frame.')
  const end = at + form + length
  if (bytes.length < end) return undefined
  return { frame: { fin, opcode, payload: Buffer.from(bytes.subarray(at + form, end)) }, end }
}

function inWords({ opcode, payload }: ReceivedFrame): string {
  switch (opcode) {
    case opcodes.text:
      return `text ${shortened(payload.toString())}`
    case opcodes.binary:
      return `binary ${shortened(payload.toString('hex'))}`
    case opcodes.ping:
      return `ping ${payload}`
    case opcodes.pong:
      return `pong ${payload}`
    case opcodes.close:
      return payload.length === 0 ? 'close' : `close ${payload.readUInt16BE()} ${payload.subarray(2)}`.trim()
    default:
      return `opcode ${opcode}`
  }
}

function shortened(text: string): string {
  return text.length <= 300 ? text : `${text.slice(0, 20)}… (${text.length})`
}

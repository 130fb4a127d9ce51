import { connect, type Socket } from 'node:net'
import {
  type BodyListener,
  type BodyReader,
  EventReader,
  PacketReader,
  TextReader,
  Unchunker,
} from './body.ts'
import { type Command, expand } from './command.ts'
import { clientFrame } from './frame.ts'
import { clockUs } from './histogram.ts'
import type { Ledger } from './ledger.ts'

/** Connections under way at once: less than any server's queue for those that it has not accepted yet. */
const maxOpening = 128

/** The connections that messages come to. */
export class Subscribers {
  readonly #ledger: Ledger
  readonly #onRead: () => void
  readonly #fail: (reason: string) => void
  #all: Socket[] = []
  #waiting: (() => void)[] = []
  #wanted = 0
  begun = 0
  ended = 0
  lastId = ''

  constructor(ledger: Ledger, onRead: () => void, fail: (reason: string) => void) {
    this.#ledger = ledger
    this.#onRead = onRead
    this.#fail = fail
  }

  get areOpen(): boolean {
    return this.begun === this.#wanted
  }

  /** Adds connections to those that are open. */
  open(command: Command): void {
    const from = this.#wanted
    this.#wanted += command.number('n', 1)
    for (let index = from; index < this.#wanted; index++)
      this.#waiting.push(() => this.#connect(index, command))
    this.#openNext()
  }

  close(): void {
    for (const socket of this.#all) socket.removeAllListeners('close').resetAndDestroy()
    this.#all = []
    this.#waiting = []
    this.#wanted = this.begun = this.ended = 0
    this.lastId = ''
  }

  #openNext(): void {
    while (this.#all.length - this.begun < maxOpening) {
      const next = this.#waiting.shift()
      if (!next) return
      next()
    }
  }

  #connect(index: number, command: Command): void {
    const audience = index % command.number('classes', 1)
    const kind = command.text('kind', 'sse')
    const isSse = kind === 'sse'
    const isStalled = command.number('stalled', 0) > 0
    const begin = command.text('begin', 'head')
    let place = isStalled ? 0 : this.#ledger.join(audience, command.number('missed', 0))
    let isBegun = false
    const socket = connect({ ...command.address, noDelay: true })
    this.#all.push(socket)
    const begun = () => {
      if (isBegun) return
      isBegun = true
      this.begun++
      this.#openNext()
    }
    let nowUs = 0
    const listener: BodyListener = {
      message: payload => {
        place = this.#ledger.received(audience, place, payload, nowUs)
      },
      id: id => {
        if (begin === 'id') begun()
        if (index === 0) this.lastId = id
      },
      gap: () => this.#ledger.gaps++,
      strange: () => this.#ledger.strange++,
      begun,
      answer: (opcode, payload) => void socket.write(clientFrame(opcode, payload)),
    }
    let head = Buffer.alloc(0)
    let body: BodyReader | undefined
    socket.on('data', bytes => {
      nowUs = clockUs()
      if (body) {
        body.read(bytes)
        return this.#onRead()
      }
      head = Buffer.concat([head, bytes])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      const text = head.toString('latin1', 0, end)
      if (!text.startsWith(`HTTP/1.1 ${isSse ? 200 : 101}`))
        return this.#fail(`a stream was refused: ${text}`)
      if (!isSse && !text.includes(accepted)) return this.#fail(`a handshake was not accepted: ${text}`)
      const reader = readerOf(kind, listener)
      body = /\r\ntransfer-encoding: chunked/i.test(text) ? new Unchunker(reader) : reader
      if (begin === 'head') begun()
      if (isStalled) socket.pause()
      else body.read(head.subarray(end + 4))
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      if (!isBegun) return this.#fail('a stream ended before it began')
      this.ended++
      if (!isStalled) this.#ledger.leave(audience)
    })
    socket.write(requestOf(command, index, audience, isSse))
  }
}

function readerOf(kind: string, listener: BodyListener): BodyReader {
  if (kind === 'websocket') return new TextReader(listener)
  return kind === 'socketio' ? new PacketReader(listener) : new EventReader(listener)
}

function requestOf(command: Command, index: number, audience: number, isSse: boolean): string {
  const places = { c: audience, i: index }
  const extras = Array.from({ length: command.number('extras', 0) }, (_, j) =>
    expand(command.text('extra', ''), { ...places, j }),
  )
  const header = command.text('header', '').replaceAll('~', ' ')
  const lines = [
    `GET ${expand(command.text('path', '/'), places)}${extras.join('')} HTTP/1.1`,
    'Host: localhost',
    ...(isSse ? ['Accept: text/event-stream'] : upgrade),
    ...(header === '' ? [] : [header]),
  ]
  return `${lines.join('\r\n')}\r\n\r\n`
}

/** A handshake (RFC 6455, section 4.1), with one key for all: so every server must accept it with the same word. */
const upgrade = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
]
const accepted = 'ICX+Yqv66kxgM0FcWaLWlFLwTAI='

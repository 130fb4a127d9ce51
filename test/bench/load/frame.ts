/** The kinds of frames of a WebSocket (RFC 6455, section 5.2). */
export const opcodes = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

export type Opcode = (typeof opcodes)[keyof typeof opcodes]

const known: ReadonlySet<number> = new Set(Object.values(opcodes))

/** The longest payload of a control frame. */
const maxControlBytes = 125

/** As a server sends it. */
export interface Frame {
  readonly opcode: number
  /** It is all of its message, and nothing of it is what a server must not send. */
  readonly isSound: boolean
  readonly payload: Buffer
  /** Where the next one begins. */
  readonly end: number
}

/** The frame that begins at a byte, undefined while it is not all there. */
export function readFrame(data: Buffer, at: number): Frame | undefined {
  if (data.length < at + 2) return undefined
  const first = data.readUInt8(at)
  const second = data.readUInt8(at + 1)
  const short = second & 0x7f
  const head = short === 126 ? 4 : short === 127 ? 10 : 2
  if (data.length < at + head) return undefined
  const length =
    head === 4 ? data.readUInt16BE(at + 2) : head === 10 ? Number(data.readBigUInt64BE(at + 2)) : short
  const isMasked = (second & 0x80) !== 0
  const begin = at + head + (isMasked ? 4 : 0)
  if (data.length < begin + length) return undefined
  const opcode = first & 0x0f
  const isShortest = length >= (head === 10 ? 65_536 : head === 4 ? 126 : 0)
  const isWhole = (first & 0xf0) === 0x80 && known.has(opcode)
  const isSound = isWhole && !isMasked && isShortest && (opcode < opcodes.close || length <= maxControlBytes)
  return { opcode, isSound, payload: data.subarray(begin, begin + length), end: begin + length }
}

/** The same for all: a mask that can be guessed endangers proxies (section 10.3), and there is none between us. */
const mask = [0x37, 0xfa, 0x21, 0x3d] as const

/** A frame of ours, with at most as much as a control frame holds. */
export function clientFrame(opcode: Opcode, payload: Uint8Array): Buffer {
  const masked = payload.map((byte, i) => byte ^ (mask[i % mask.length] ?? 0))
  return Buffer.concat([Buffer.of(0x80 | opcode, 0x80 | payload.length, ...mask), masked])
}

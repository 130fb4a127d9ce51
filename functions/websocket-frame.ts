import { Buffer } from 'node:buffer'

/** The kinds of frames (RFC 6455, section 5.2). */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** Those that a whole message or a control frame of the server begins with. */
export type Opcode = Exclude<(typeof opcodes)[keyof typeof opcodes], 0>

/** The longest payload of a control frame (RFC 6455, section 5.5). */
export const maxControlBytes = 125

/** Why a connection is closed (RFC 6455, section 7.4.1, and IANA's registry of close codes). */
export const closeCodes = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  invalidText: 1007,
  tooLarge: 1009,
  refused: 1008,
  internal: 1011,
  tryAgainLater: 1013,
  /** Of this project: messages that the peer should have got are no longer there. */
  gap: 4000,
} as const

/** Whether a peer may give a code in a close frame. 1004 to 1006 and 1015 are never sent, and 2000 to 2999 not yet. */
export function isCloseCode(code: number): boolean {
  if (code >= 3000) return code <= 4999
  return code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)
}

/** How many bytes stand before a payload of this length. A server does not mask. */
export function headBytes(length: number): number {
  return length < 126 ? 2 : length < 65_536 ? 4 : 10
}

/** Writes one whole message or control frame. @returns where the next one begins. */
export function writeFrame(target: Buffer, at: number, opcode: Opcode, payload: Uint8Array): number {
  const { length } = payload
  const head = headBytes(length)
  target[at] = 0x80 | opcode
  if (head === 2) target[at + 1] = length
  else if (head === 4) {
    target[at + 1] = 126
    target.writeUInt16BE(length, at + 2)
  } else {
    target[at + 1] = 127
    target.writeUInt32BE(Math.floor(length / 2 ** 32), at + 2)
    target.writeUInt32BE(length % 2 ** 32, at + 6)
  }
  target.set(payload, at + head)
  return at + head + length
}

export function encodeFrame(opcode: Opcode, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(headBytes(payload.length) + payload.length)
  writeFrame(frame, 0, opcode, payload)
  return frame
}

export function encodeTextFrame(text: string): Buffer {
  return encodeFrame(opcodes.text, Buffer.from(text))
}

/** @param code undefined: the close frame says nothing. @param reason cut to what fits, at a whole character. */
export function encodeClose(code: number | undefined, reason: string): Buffer {
  if (code === undefined) return encodeFrame(opcodes.close, new Uint8Array())
  const payload = Buffer.alloc(maxControlBytes)
  payload.writeUInt16BE(code)
  return encodeFrame(opcodes.close, payload.subarray(0, 2 + payload.write(reason, 2)))
}

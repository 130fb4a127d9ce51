/** What stands before the dots: the number of a message, and when it was sent. */
export const headBytes = 16

/** As `payload.h`: the number and the microsecond, eight hexadecimal digits each, then dots. */
export function createPayload(bytes: number, number: number, sentUs: number): Buffer {
  const payload = Buffer.alloc(bytes, '.')
  numberPayload(payload, number, sentUs)
  return payload
}

/** Makes another message of a payload. */
export function numberPayload(payload: Uint8Array, number: number, sentUs: number): void {
  writeNumber(payload, 0, number)
  writeNumber(payload, 8, sentUs)
}

// Digit by digit: by way of a string it would cost more than the rest of sending.
function writeNumber(payload: Uint8Array, at: number, number: number): void {
  for (let i = at + 7, rest = (number % 2 ** 32) | 0; i >= at; i--, rest >>>= 4) {
    const digit = rest & 15
    payload[i] = digit < 10 ? 0x30 + digit : 0x57 + digit
  }
}

/** The number that begins at a byte; undefined when these are not eight digits. */
export function readNumber(payload: Uint8Array, at: number): number | undefined {
  let value = 0
  for (let i = at; i < at + 8; i++) {
    const byte = payload[i] ?? 0
    const digit = byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : byte >= 0x61 && byte <= 0x66 ? byte - 0x57 : 16
    if (digit === 16) return undefined
    value = value * 16 + digit
  }
  return value
}

/** The digits of Z85, which is how ZeroMQ writes bytes as text (RFC 32). */
const digits = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

/** Four bytes are five digits. */
const groupBytes = 4
const groupDigits = 5

const keyBytes = 32
const keyDigits = (keyBytes / groupBytes) * groupDigits

/** Enough to find a key in a list by eye. */
const markDigits = 8

/** A key of CURVE as text: its 32 bytes in Z85. */
export function formatCurveKey(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let text = ''
  for (let at = 0; at < bytes.length; at += groupBytes) {
    let value = view.getUint32(at)
    let group = ''
    for (let digit = 0; digit < groupDigits; digit++) {
      group = digits.charAt(value % digits.length) + group
      value = Math.floor(value / digits.length)
    }
    text += group
  }
  return text
}

/** The 32 bytes of a key, or undefined for a text that is none. */
export function parseCurveKey(text: string): Uint8Array | undefined {
  if (text.length !== keyDigits) return undefined
  const bytes = new Uint8Array(keyBytes)
  const view = new DataView(bytes.buffer)
  for (let group = 0; group * groupDigits < keyDigits; group++) {
    let value = 0
    for (const digit of text.slice(group * groupDigits, (group + 1) * groupDigits)) {
      const worth = digits.indexOf(digit)
      if (worth < 0) return undefined
      value = value * digits.length + worth
    }
    if (value > 0xffff_ffff) return undefined
    view.setUint32(group * groupBytes, value)
  }
  return bytes
}

/** The beginning of a public key, by which a log names it. */
export function curveKeyMark(publicKey: string): string {
  return publicKey.slice(0, markDigits)
}

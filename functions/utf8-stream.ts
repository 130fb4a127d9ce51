import { Buffer, isUtf8 } from 'node:buffer'

/** Checks a text that comes in pieces, and finds what is wrong as soon as it is there. */
export class Utf8Stream {
  /** The begin of a character whose rest has not come. */
  #begun: Uint8Array | undefined

  /** @returns false when what came so far is no begin of a text in UTF-8. */
  push(piece: Uint8Array): boolean {
    const bytes = this.#begun ? Buffer.concat([this.#begun, piece]) : piece
    const whole = wholeLength(bytes)
    const rest = bytes.subarray(whole)
    // A copy: a view would keep all that was read with it.
    this.#begun = rest.length === 0 ? undefined : new Uint8Array(rest)
    return isUtf8(bytes.subarray(0, whole)) && isBegin(rest)
  }

  /** Whether the text may end here. */
  get isWhole(): boolean {
    return this.#begun === undefined
  }
}

/** The length without the last character, if that is not complete. */
function wholeLength(bytes: Uint8Array): number {
  for (let at = bytes.length - 1; at >= 0 && at >= bytes.length - 3; at--) {
    const byte = bytes[at] ?? 0
    if (byte < 0x80) return bytes.length
    if (byte >= 0xc0) return at + characterLength(byte) > bytes.length ? at : bytes.length
  }
  return bytes.length
}

function characterLength(lead: number): number {
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
}

/** Whether some bytes can begin a character (Unicode, table 3-7): only the second byte has a range of its own. */
function isBegin(rest: Uint8Array): boolean {
  const [lead, second] = rest
  if (lead === undefined) return true
  if (lead < 0xc2 || lead > 0xf4) return false
  if (second === undefined) return true
  if (second < (lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80)) return false
  return second <= (lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

/**
 * Decodes a percent-encoded text of a URL, or gives undefined for one that is not exactly that: a `%` without two
 * hexadecimal digits, or bytes that are not UTF-8. What a lenient decoder would mangle must not become a topic.
 */
export function decodePercent(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/**
 * Decodes one name or value of an urlencoded form as browsers and PHP do: `+` is a space, and a `%` that begins
 * no escape stands for itself. Gives undefined when the bytes are not UTF-8.
 */
export function decodeFormText(text: string): string | undefined {
  const encoded = encoder.encode(text)
  const bytes = new Uint8Array(encoded.length)
  let length = 0
  for (let at = 0; at < encoded.length; at++) {
    let byte = encoded[at] ?? 0
    if (byte === plus) byte = space
    else if (byte === percent) {
      const escaped = hexPair(encoded, at + 1)
      if (escaped !== undefined) {
        byte = escaped
        at += 2
      }
    }
    bytes[length++] = byte
  }
  try {
    return utf8.decode(bytes.subarray(0, length))
  } catch {
    return undefined
  }
}

const plus = 0x2b
const space = 0x20
const percent = 0x25

function hexPair(bytes: Uint8Array, at: number): number | undefined {
  const high = hexDigit(bytes[at])
  const low = hexDigit(bytes[at + 1])
  return high === undefined || low === undefined ? undefined : high * 16 + low
}

function hexDigit(byte: number | undefined): number | undefined {
  if (byte === undefined) return undefined
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : undefined
}

const quote = 0x22
const backslash = 0x5c
const colon = 0x3a
const comma = 0x2c

const decoder = new TextDecoder()

/**
 * The text of a member's value as it stands in an object, without the space around it: reading it and writing it again
 * would round large numbers, and changes what PHP makes of `{}`. Of two members with one name it is the last one's, as
 * with `JSON.parse`.
 *
 * @param object a text that is known to be a JSON object, in UTF-8.
 */
export function memberText(object: Uint8Array, name: string): Uint8Array | undefined {
  let found: Uint8Array | undefined
  let at = object.indexOf(quote)
  while (at >= 0) {
    const keyEnd = endOfString(object, at)
    const start = object.indexOf(colon, keyEnd) + 1
    const end = endOfValue(object, start)
    if (JSON.parse(decoder.decode(object.subarray(at, keyEnd))) === name) found = trimmed(object, start, end)
    at = object[end] === comma ? object.indexOf(quote, end) : -1
  }
  return found
}

/** @param start where its opening quote stands. */
function endOfString(bytes: Uint8Array, start: number): number {
  let at = start + 1
  while (at < bytes.length && bytes[at] !== quote) at += bytes[at] === backslash ? 2 : 1
  return at + 1
}

/** Where the comma or the brace behind a member of the outermost object stands. */
function endOfValue(bytes: Uint8Array, start: number): number {
  let depth = 0
  for (let at = start; at < bytes.length; at++) {
    switch (bytes[at]) {
      case quote:
        at = endOfString(bytes, at) - 1
        break
      case 0x7b:
      case 0x5b:
        depth++
        break
      case 0x7d:
      case 0x5d:
        if (depth-- === 0) return at
        break
      case comma:
        if (depth === 0) return at
    }
  }
  return bytes.length
}

function trimmed(bytes: Uint8Array, from: number, to: number): Uint8Array {
  let [start, end] = [from, to]
  while (start < end && (bytes[start] ?? 0) <= 0x20) start++
  while (start < end && (bytes[end - 1] ?? 0) <= 0x20) end--
  return bytes.subarray(start, end)
}

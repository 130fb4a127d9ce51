import { PosternError } from './codes.ts'
import type { Publication } from './message.ts'

/** The clients of PHPMessageBroker take what one read of so many bytes gives them for one document. */
export const maxLegacyBytes = 8192

/** The channel of whoever names none. */
export const genericChannel = 'generic'

/** What stands around the values in a document that brings messages. */
export const messageHead = '{"command":"message","data":['
export const messageTail = ']}'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * A payload as a JSON value, which is what travels on a channel: a text that is JSON as it is, byte for byte; any other
 * text as a string, and bytes as one in base64.
 */
export function channelValue({ binary, payload }: Pick<Publication, 'binary' | 'payload'>): Uint8Array {
  if (binary) return encoder.encode(`"${base64Of(payload)}"`)
  const text = decoder.decode(payload)
  return isJson(text) ? payload : encoder.encode(JSON.stringify(text))
}

/** Whether a value of so many bytes can reach a client of PHPMessageBroker. */
export function fitsLegacy(valueBytes: number): boolean {
  return messageHead.length + valueBytes + messageTail.length <= maxLegacyBytes
}

/**
 * Refuses what no client of PHPMessageBroker could receive, where a topic is for those.
 *
 * @throws PosternError `PAYLOAD_TOO_LARGE`
 */
export function assertLegacySize(publication: Pick<Publication, 'binary' | 'payload'>): void {
  if (fitsLegacy(channelValue(publication).length)) return
  throw new PosternError('PAYLOAD_TOO_LARGE', undefined, {
    limit: maxLegacyBytes - messageHead.length - messageTail.length,
    setting: 'topics: legacy',
  })
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** In pieces: a call with too many arguments fails. */
function base64Of(bytes: Uint8Array): string {
  let characters = ''
  for (let at = 0; at < bytes.length; at += 8192) {
    characters += String.fromCharCode(...bytes.subarray(at, at + 8192))
  }
  return btoa(characters)
}

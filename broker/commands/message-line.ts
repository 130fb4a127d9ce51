import type { Message } from '../protocol/index.ts'

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** Everything that would end the line, move a cursor or turn the direction of a text. */
const control = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

const shortForms: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/**
 * A message as one line for people: id, topic, type in brackets where there is one, and payload. A binary payload is in
 * base64. Threat: what a publisher has sent must not act on the terminal of whoever reads it.
 */
export function messageLine({ id, topic, type, binary, payload }: Message): string {
  const shown = binary ? base64Of(payload) : utf8.decode(payload).replace(control, escaped)
  return `${id} ${topic}${type === '' ? '' : ` [${type}]`} ${shown}\n`
}

/** A message as one line of JSON, as `/history` has it. */
export function messageJson({ id, topic, type, timeMs, binary, payload }: Message): string {
  const time = new Date(timeMs).toISOString()
  const data = binary ? { data: base64Of(payload), encoding: 'base64' } : { data: utf8.decode(payload) }
  return `${JSON.stringify({ id, topic, type, time, ...data })}\n`
}

function base64Of({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('base64')
}

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0
  return shortForms[character] ?? `\\u${code.toString(16).padStart(4, '0')}`
}

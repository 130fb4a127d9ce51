import { isObject, readJson } from '../message.ts'

/** What the server has sent. */
export type Told =
  | { readonly kind: 'message'; readonly payload: Payload; readonly from?: Origin }
  /** A frame of ours is in the log. */
  | { readonly kind: 'receipt'; readonly id: string }
  /** A frame of ours was refused. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Messages before this are missing. */
  | { readonly kind: 'gap' }

export type Payload = { readonly text: string } | { readonly bytes: Uint8Array }

/** What only an envelope tells of a message. */
interface Origin {
  readonly id: string
  readonly topic: string
  readonly type: string
  /** When the broker has accepted it, in Unix milliseconds. */
  readonly timeMs: number
}

/** Reads a frame. @param isEnveloped whether text is JSON about messages, or the messages themselves. */
export function readFrame(data: string | ArrayBuffer, isEnveloped: boolean): Told {
  if (typeof data !== 'string') return { kind: 'message', payload: { bytes: new Uint8Array(data) } }
  const value = isEnveloped ? readJson(data) : undefined
  return (isObject(value) && readEnvelope(value)) || { kind: 'message', payload: { text: data } }
}

function readEnvelope(value: Record<string, unknown>): Told | undefined {
  const { id, topic, type, time, data, encoding, error, gap } = value
  if (isObject(error)) return { kind: 'refused', reason: `${error['code']}: ${error['message']}` }
  if (gap === true || type === 'gap') return { kind: 'gap' }
  if (typeof id !== 'string' || typeof topic !== 'string') return undefined
  if (typeof data !== 'string') return { kind: 'receipt', id }
  const payload = encoding === 'base64' ? { bytes: fromBase64(data) } : { text: data }
  const from = { id, topic, type: String(type ?? ''), timeMs: Date.parse(String(time)) }
  return { kind: 'message', payload, from }
}

/** A payload as a line of the log. */
export function textOf(payload: Payload): string {
  if ('text' in payload) return payload.text === '' ? '(empty)' : payload.text
  const { bytes } = payload
  const shown = Array.from(bytes.subarray(0, maxShownBytes), byte => byte.toString(16).padStart(2, '0'))
  const rest = bytes.length > maxShownBytes ? ' …' : ''
  const count = bytes.length === 1 ? '1 byte' : `${bytes.length} bytes`
  return shown.length === 0 ? count : `${count}: ${shown.join(' ')}${rest}`
}

const maxShownBytes = 64

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), char => char.charCodeAt(0))
}

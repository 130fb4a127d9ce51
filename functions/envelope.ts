import { Buffer } from 'node:buffer'
import type { Delivered } from '#client'
import type { Message } from '#protocol'

/** A message as one JSON object, with everything that is known of it. */
export interface Envelope {
  readonly id: string
  readonly topic: string
  readonly type: string
  /** When the broker accepted it, in ISO 8601. */
  readonly time: string
  readonly data: string
  /** There when `data` is not the text itself. */
  readonly encoding?: 'base64'
}

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** @param base64 encodes texts too, so that their exact bytes can be had. */
export function toEnvelope(message: Message, base64 = false): Envelope {
  const { id, topic, type, binary, payload } = message
  const label = { id, topic, type, time: new Date(message.timeMs).toISOString() }
  return binary || base64
    ? { ...label, data: toBase64(payload), encoding: 'base64' }
    : { ...label, data: utf8.decode(payload) }
}

/** A message that is to be acknowledged. */
export interface ReceivedEnvelope extends Envelope {
  /** How often it has been handed out, this time included. */
  readonly deliveries: number
  /** Somebody may have received it before. */
  readonly redelivered: boolean
}

export function toReceived({ message, deliveries, redelivered }: Delivered): ReceivedEnvelope {
  return { ...toEnvelope(message), deliveries, redelivered }
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
}

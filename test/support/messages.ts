import { Message, type Publication } from '#protocol'

const encoder = new TextEncoder()

/** A message with a place in some log; what a test does not care about has a plain value. */
export function messageOf(
  fields: Partial<Omit<Publication, 'payload'>> & {
    readonly payload?: string | Uint8Array
    readonly offset?: number
  } = {},
): Message {
  const payload =
    typeof fields.payload === 'string' ? encoder.encode(fields.payload) : (fields.payload ?? new Uint8Array())
  return new Message(
    { epoch: '00000000000a', offset: fields.offset ?? 1, timeMs: 0 },
    { topic: fields.topic ?? 'chat', type: fields.type ?? '', binary: fields.binary ?? false },
    payload,
    0,
    payload.length,
  )
}

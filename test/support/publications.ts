import fc from 'fast-check'
import { type Batch, BatchWriter, decodeBatch, type Message, type Publication } from '#protocol'

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** A publication; what a test does not care about has a plain value. */
export function publication(
  fields: Partial<Omit<Publication, 'payload'>> & { readonly payload?: string | Uint8Array } = {},
): Publication {
  const { topic = 'chat', type = '', binary = false, payload = 'hi' } = fields
  return { topic, type, binary, payload: typeof payload === 'string' ? encoder.encode(payload) : payload }
}

/** Publications with their places in a log, as a broker streams them. */
export function batchOf(
  publications: readonly Publication[],
  { epoch = 'aaaaaaaaaaaa', first = 1, timeMs = 1000 } = {},
): Batch {
  const writer = new BatchWriter()
  for (const item of publications) writer.add(item)
  return readBatch(writer.finish({ epoch, first, timeMs }).bytes)
}

export function readBatch(bytes: Uint8Array | undefined): Batch {
  const batch = bytes && decodeBatch(bytes)
  if (!batch) throw new Error('these bytes are no batch')
  return batch
}

/** The payload as text. */
export function textOf({ payload }: Pick<Message, 'payload'>): string {
  return decoder.decode(payload)
}

/** Texts of any UTF-16 units, lone surrogates and control characters included. */
export const anyText: fc.Arbitrary<string> = fc
  .array(fc.oneof(fc.nat(0xff), fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff })), { maxLength: 12 })
  .map(units => String.fromCharCode(...units))

const segment = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'b', 'ab', 'A', 'a b', '.a', '...', 'é', '😀', '$a') },
  {
    weight: 1,
    arbitrary: fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 8 })
      .filter(text => !/[/\p{Cc}\p{Cs}]/u.test(text) && !/^\.{1,2}$/.test(text)),
  },
)

/** Canonical topics, of which many are above or below each other. */
export const topics: fc.Arbitrary<string> = fc
  .array(segment, { minLength: 1, maxLength: 4 })
  .map(segments => segments.join('/'))
  .filter(topic => encoder.encode(topic).length <= 255)

/** Publications of every kind: empty and binary payloads, the longest topics, text outside the BMP. */
export const publications: fc.Arbitrary<Publication> = fc.record({
  topic: fc.oneof(topics, fc.constantFrom('x'.repeat(255), 'é'.repeat(127), `${'😀'.repeat(63)}abc`)),
  type: fc.oneof(fc.constantFrom('', 'msg', '😀'), fc.constant('t'.repeat(255))),
  binary: fc.boolean(),
  payload: fc.oneof(fc.constant(new Uint8Array()), fc.uint8Array({ maxLength: 300 })),
})

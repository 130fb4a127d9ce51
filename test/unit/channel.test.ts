import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assertLegacySize, channelValue, PosternError } from '#protocol'

const valueText = (payload: string | Uint8Array, binary = false) =>
  Buffer.from(channelValue({ binary, payload: Buffer.from(payload) })).toString()

describe('a payload on a channel', () => {
  it.each(['{}', ' {"a" : 2.0}\n', '12345678901234567890', '"x"', 'null'])(
    'that is JSON stays as it is: %j',
    text => {
      expect(valueText(text)).toBe(text)
    },
  )

  it.each(['', 'Hello', '{', "{'a':1}", 'undefined', '\u{feff}{}', '1 2'])(
    'that is none becomes a string: %j',
    text => {
      expect(valueText(text)).toBe(JSON.stringify(text))
    },
  )

  it('that is bytes becomes base64, whatever its size', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20_000, size: 'max' }), bytes => {
        expect(valueText(bytes, true)).toBe(`"${Buffer.from(bytes).toString('base64')}"`)
      }),
      { numRuns: 20 },
    )
  })

  it('is always JSON', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), text => void JSON.parse(valueText(text))))
  })
})

describe('a topic for old receivers', () => {
  const sizeOf = (payload: string, binary = false) =>
    assertLegacySize({ binary, payload: Buffer.from(payload) })

  it('takes what makes a document of 8,192 bytes, and refuses one byte more with the limit', () => {
    expect(() => sizeOf(`"${'x'.repeat(8159)}"`)).not.toThrow()
    expect(() => sizeOf(`"${'x'.repeat(8160)}"`)).toThrow(PosternError)
    expect(() => sizeOf(`"${'x'.repeat(8160)}"`)).toThrow('The limit is 8161 (topics: legacy).')
  })

  it('counts what travels: a text that has to be quoted, bytes in base64', () => {
    expect(() => sizeOf('"'.repeat(4000))).not.toThrow()
    expect(() => sizeOf('"'.repeat(4080))).toThrow(PosternError)
    expect(() => sizeOf('x'.repeat(6120), true)).toThrow(PosternError)
  })
})

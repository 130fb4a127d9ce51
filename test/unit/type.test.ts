import { describe, expect, it } from 'vitest'
import { gapType, parseType } from '#protocol'

describe('parseType', () => {
  it.each(['', 'msg', 'Message', 'with space', 'a:b', '😀', 'Gap', 'x'.repeat(255)])(
    'takes %j as it is',
    type => expect(parseType(type)).toBe(type),
  )

  it.each([
    ['msg;base64', 'must not contain ";"'],
    ['msg\n', 'control characters'],
    ['a\rb', 'control characters'],
    ['a\0b', 'control characters'],
    ['a\u0085b', 'control characters'],
    ['\udfff', 'control characters'],
    [gapType, 'what subscribers are told of gaps with'],
    ['x'.repeat(256), '255 bytes of UTF-8'],
    ['é'.repeat(128), '255 bytes of UTF-8'],
  ])('refuses %j and says why', (type, why) => {
    expect(() => parseType(type)).toThrow(expect.objectContaining({ code: 'INVALID_TYPE' }))
    expect(() => parseType(type)).toThrow(why)
  })
})

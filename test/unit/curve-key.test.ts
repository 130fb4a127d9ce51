import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { curveKeyPair } from 'zeromq'
import { curveKeyMark, formatCurveKey, parseCurveKey } from '#protocol'
import { makeKeyPair } from '../../broker/auth/curve-folder.ts'

describe('a key of CURVE', () => {
  it('is written as the ZeroMQ RFC 32 has it', () => {
    const bytes = Buffer.from('864fd26fb559f75b'.repeat(4), 'hex')
    expect(formatCurveKey(bytes)).toBe('HelloWorld'.repeat(4))
    expect(parseCurveKey('HelloWorld'.repeat(4))).toEqual(new Uint8Array(bytes))
  })

  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), bytes => {
        expect(parseCurveKey(formatCurveKey(bytes))).toEqual(bytes)
      }),
    )
  })

  it('is read as libzmq writes it', () => {
    const { publicKey } = curveKeyPair()
    expect(formatCurveKey(parseCurveKey(publicKey) ?? new Uint8Array())).toBe(publicKey)
  })

  it.each([
    ['is too short', 'a'.repeat(39)],
    ['is too long', 'a'.repeat(41)],
    ['has a digit that is none', `${'a'.repeat(39)}"`],
    ['stands for more than its bytes hold', '#'.repeat(40)],
    ['is empty', ''],
  ])('is none when it %s', (_, text) => expect(parseCurveKey(text)).toBeUndefined())

  it('is named by its beginning', () => expect(curveKeyMark('HelloWorld'.repeat(4))).toBe('HelloWor'))
})

it('makes pairs of keys, no two of them the same', () => {
  const pairs = [makeKeyPair(), makeKeyPair()]
  for (const { publicKey, secretKey } of pairs) {
    expect(parseCurveKey(publicKey)).toBeDefined()
    expect(parseCurveKey(secretKey)).toBeDefined()
  }
  expect(new Set(pairs.flatMap(({ publicKey, secretKey }) => [publicKey, secretKey])).size).toBe(4)
})

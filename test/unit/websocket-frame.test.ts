import { describe, expect, it } from 'vitest'
import { encodeClose, encodeFrame, isCloseCode, opcodes } from '../../functions/websocket-frame.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('a frame of the server', () => {
  it.each([
    ['hello', Buffer.from('Hello'), '810548656c6c6f'],
    ['nothing', Buffer.alloc(0), '8100'],
  ])('is what RFC 6455, section 5.7, shows: %s', (_, payload, wire) => {
    expect(hex(encodeFrame(opcodes.text, payload))).toBe(wire)
  })

  it.each([
    [125, '827d'],
    [126, '827e007e'],
    [65_535, '827effff'],
    [65_536, '827f0000000000010000'],
  ])('has the shortest form of the length %i', (length, head) => {
    const frame = encodeFrame(opcodes.binary, Buffer.alloc(length, 7))
    expect(hex(frame.subarray(0, head.length / 2))).toBe(head)
    expect(frame.length).toBe(head.length / 2 + length)
    expect(frame.at(-1)).toBe(7)
  })

  it('that closes has its code and reason, or nothing', () => {
    expect(hex(encodeClose(1001, 'bye'))).toBe('880503e9627965')
    expect(hex(encodeClose(undefined, ''))).toBe('8800')
  })

  it('that closes is cut to 125 bytes at a whole character', () => {
    const frame = encodeClose(1000, 'é'.repeat(100))
    expect(frame.subarray(4).toString()).toBe('é'.repeat(61))
    expect(frame[1]).toBe(124)
  })
})

it.each([
  [1000, 1003, true],
  [1004, 1006, false],
  [1007, 1014, true],
  [1015, 2999, false],
  [3000, 4999, true],
  [5000, 5000, false],
  [0, 999, false],
])('the close codes %i to %i may come from a peer: %s', (from, to, may) => {
  for (const code of [from, to]) expect(isCloseCode(code)).toBe(may)
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FrameFault, FrameReader } from '../../functions/websocket-reader.ts'
import { closing, frame, opcodes } from '../support/websocket-wire.ts'

const { continuation, text, binary, close, ping, pong } = opcodes

/** Reads frames in pieces of this size, and says what was found. */
function read(bytes: Uint8Array, { piece = bytes.length, limit = 1000, keeps = true } = {}): string[] {
  const found: string[] = []
  const reader = new FrameReader(
    {
      onMessage: (payload, isBinary) =>
        found.push(
          isBinary ? `binary ${Buffer.from(payload).toString('hex')}` : `text ${Buffer.from(payload)}`,
        ),
      onPing: payload => found.push(`ping ${Buffer.from(payload)}`),
      onClose: code => found.push(`close ${code}`),
    },
    () => limit,
    keeps,
  )
  try {
    for (let at = 0; at < bytes.length; at += piece) reader.push(new Uint8Array(bytes.slice(at, at + piece)))
  } catch (error) {
    if (!(error instanceof FrameFault)) throw error
    found.push(`fault ${error.closeCode}`)
  }
  return found
}

const message = fc.record({
  isText: fc.boolean(),
  parts: fc.array(fc.string({ unit: 'binary', maxLength: 40 }), { minLength: 1, maxLength: 4 }),
})

describe('a reader', () => {
  it('finds the same messages wherever they are cut', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.integer({ min: 1, max: 50 }), (messages, piece) => {
        const frames = messages.flatMap(({ isText, parts }) =>
          parts.flatMap((part, i) => [
            frame(i === 0 ? (isText ? text : binary) : continuation, part, { fin: i === parts.length - 1 }),
            ...(i < parts.length - 1 ? [frame(ping, 'between')] : []),
          ]),
        )
        const expected = messages.flatMap(({ isText, parts }) => [
          ...parts.slice(1).map(() => 'ping between'),
          isText ? `text ${parts.join('')}` : `binary ${Buffer.from(parts.join('')).toString('hex')}`,
        ])
        const bytes = Buffer.concat(frames)
        expect(read(bytes, { piece })).toEqual(expected)
      }),
    )
  })

  it('never fails in another way than a fault, whatever comes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 20 }), (bytes, piece) => {
        expect(read(bytes, { piece })).toEqual(read(bytes))
      }),
    )
  })

  it.each([1, 2, 3, 5, 7])('takes a text whose characters are cut into fragments of %i bytes', size => {
    const whole = Buffer.from('aé€😀'.repeat(5))
    const frames = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) =>
      frame(i === 0 ? text : continuation, whole.subarray(i * size, (i + 1) * size), {
        fin: (i + 1) * size >= whole.length,
      }),
    )
    expect(read(Buffer.concat(frames))).toEqual([`text ${whole}`])
  })

  it.each<[string, Buffer, number]>([
    ['a frame that is not masked', frame(text, 'a', { mask: false }), 1002],
    ['a reserved bit', frame(text, 'a', { reserved: 4 }), 1002],
    ['an unknown opcode', frame(3), 1002],
    ['an unknown control opcode', frame(11), 1002],
    ['a control frame in fragments', frame(ping, 'a', { fin: false }), 1002],
    ['a control frame of 126 bytes', frame(ping, 'a'.repeat(126)), 1002],
    ['a length that is not in its shortest form', frame(text, 'a', { lengthForm: 16 }), 1002],
    ['a length of 2^63', frame(binary, '', { claims: 2n ** 63n, lengthForm: 64 }), 1002],
    ['a length of 2^62', frame(binary, '', { claims: 2n ** 62n, lengthForm: 64 }), 1009],
    ['a continuation of nothing', frame(continuation, 'a'), 1002],
    ['a text that is not UTF-8', frame(text, Buffer.of(0xff)), 1007],
    ['a text that ends within a character', frame(text, Buffer.of(0xc3)), 1007],
    ['half a close code', frame(close, 'a'), 1002],
    ['a close code that nobody may send', frame(close, closing(1005)), 1002],
    ['a reason that is not UTF-8', frame(close, closing(1000, Buffer.of(0xff))), 1007],
  ])('refuses %s', (_, bytes, code) => {
    expect(read(bytes)).toEqual([`fault ${code}`])
    expect(read(bytes, { piece: 1 })).toEqual([`fault ${code}`])
  })

  it.each(['f490', 'f0808080', 'c080', 'eda0', 'f5'])(
    'refuses a text that can no more become UTF-8 as soon as it is there: %s',
    bytes => {
      expect(read(frame(text, Buffer.from(bytes, 'hex'), { fin: false }))).toEqual(['fault 1007'])
    },
  )

  it('takes a message of exactly its limit, and refuses the byte beyond it before it comes', () => {
    expect(read(frame(text, 'a'.repeat(10)), { limit: 10 })).toEqual([`text ${'a'.repeat(10)}`])
    expect(read(frame(text, '', { claims: 11n }), { limit: 10 })).toEqual(['fault 1009'])
    const fragments = [frame(text, 'a'.repeat(6), { fin: false }), frame(continuation, '', { claims: 5n })]
    expect(read(Buffer.concat(fragments), { limit: 10 })).toEqual(['fault 1009'])
  })

  it('reads nothing after a close', () => {
    const bytes = Buffer.concat([frame(close, closing(1000)), frame(text, 'late'), frame(3)])
    expect(read(bytes)).toEqual(['close 1000'])
    expect(read(frame(close))).toEqual(['close undefined'])
  })

  it('hands over nothing while it is paused, not even of the same chunk, and goes on in order', () => {
    const found: string[] = []
    const sink = {
      onMessage(payload: Uint8Array) {
        found.push(Buffer.from(payload).toString())
        reader.pause()
      },
      onPing: () => found.push('ping'),
      onClose: () => found.push('close'),
    }
    const reader = new FrameReader(sink, () => 100, true)
    const bytes = Buffer.concat([frame(text, '1'), frame(ping), frame(text, '2'), frame(text, '3')])
    reader.push(bytes.subarray(0, -3))
    expect(found).toEqual(['1'])
    reader.push(bytes.subarray(-3))
    expect(found).toEqual(['1'])
    reader.resume()
    expect(found).toEqual(['1', 'ping', '2'])
    reader.resume()
    expect(found).toEqual(['1', 'ping', '2', '3'])
    reader.resume()
    reader.push(frame(close))
    expect(found.at(-1)).toBe('close')
  })

  it('says nothing of pongs, and keeps no message that nobody wants', () => {
    const bytes = Buffer.concat([frame(pong, 'a'), frame(text, 'a'), frame(text, Buffer.of(0xff))])
    expect(read(bytes, { keeps: false })).toEqual(['fault 1007'])
  })
})

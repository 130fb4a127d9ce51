import { describe, expect, it } from 'vitest'
import { Message } from '#protocol'
import { encodeMessages, SocketEncoder } from '../../functions/socket-encoding.ts'

const messageOf = (
  offset: number,
  payload: string | Uint8Array,
  fields: { topic?: string; type?: string; binary?: boolean } = {},
) => {
  const bytes = Buffer.from(payload)
  const label = { topic: fields.topic ?? 'a', type: fields.type ?? 'note', binary: fields.binary ?? false }
  return new Message({ epoch: 'aaaaaaaaaaaa', offset, timeMs: 0 }, label, bytes, 0, bytes.length)
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('messages for a WebSocket', () => {
  it('are a frame each: text as text, binary as binary', () => {
    const messages = [messageOf(1, 'hi'), messageOf(2, Buffer.of(0xff), { binary: true }), messageOf(3, '')]
    expect(hex(encodeMessages(messages, { envelope: false }))).toBe('81026869' + '8201ff' + '8100')
  })

  it('are binary where a text is not UTF-8, since a client would have to fail it', () => {
    expect(hex(encodeMessages([messageOf(1, Buffer.of(0xff))], { envelope: false }))).toBe('8201ff')
  })

  it('are JSON in envelopes, binary ones in base64', () => {
    const frames = encodeMessages([messageOf(1, Buffer.of(0xff), { binary: true })], { envelope: true })
    expect(JSON.parse(frames.subarray(2).toString())).toEqual({
      id: 'aaaaaaaaaaaa-1',
      topic: 'a',
      type: 'note',
      time: '1970-01-01T00:00:00.000Z',
      data: '/w==',
      encoding: 'base64',
    })
  })

  it('of a bus show neither its name space nor who has sent them', () => {
    const frames = encodeMessages([messageOf(1, 'x', { topic: '$bus/a/b' })], {
      envelope: true,
      space: 'bus',
    })
    expect(JSON.parse(frames.subarray(2).toString())).toMatchObject({ topic: 'a/b', type: '', data: 'x' })
  })

  it('are encoded once, however many connections they go to', () => {
    const encoder = new SocketEncoder({ envelope: false })
    const messages = [messageOf(1, 'hi')]
    expect(encoder.encode(messages)).toBe(encoder.encode(messages))
    expect(encoder.encode([...messages])).not.toBe(encoder.encode(messages))
  })

  it('are encoded once, too, for those that leave out their own', () => {
    const encoder = new SocketEncoder({ envelope: false })
    const from = (type: string, offset: number) => messageOf(offset, type + offset, { type })
    const messages = [from('a', 1), from('b', 2), from('c', 3), from('b', 4), from('a', 5)]
    const all = encoder.encode(messages)
    const shown = (except: string) => Buffer.from(encoder.encode(messages, except)).toString('latin1')
    expect(shown('a')).toBe('\x81\x02b2\x81\x02c3\x81\x02b4')
    expect(shown('b')).toBe('\x81\x02a1\x81\x02c3\x81\x02a5')
    expect(shown('c')).toBe('\x81\x02a1\x81\x02b2\x81\x02b4\x81\x02a5')
    expect(encoder.encode(messages, 'd')).toBe(all)
    expect(encoder.encode(messages, 'a').byteOffset).toBe(all.byteOffset + 4)
    const alone = [from('a', 1)]
    expect(encoder.encode(alone, 'a')).toHaveLength(0)
  })
})

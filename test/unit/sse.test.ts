import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PosternError, parseType } from '#protocol'
import {
  comment,
  EventEncoder,
  type EventFormat,
  encodeEvents,
  encodeGap,
  encodePlace,
  encodeRetry,
} from '../../functions/event-encoding.ts'
import { messageOf } from '../support/messages.ts'
import { parseEvents, SseParser } from '../support/sse-parser.ts'

const plain: EventFormat = { base64: false, envelope: false, name: undefined }
const base64: EventFormat = { ...plain, base64: true }
const envelope: EventFormat = { ...plain, envelope: true }
const chat: EventFormat = { ...plain, name: 'msg' }

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const fromBase64 = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))

// SSE has one kind of line end: what a payload ends its lines with becomes LF.
const withLineFeeds = (text: string) => text.replaceAll(/\r\n|\r/g, '\n')

const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom('\r', '\n', '\r\n', ' ', ':', 'data: x', 'id: 7', '', '\0', '﻿', 'ä€😀'))
    .map(parts => parts.join('')),
)
const anyType = fc.oneof(fc.constant(''), fc.string({ unit: 'binary', maxLength: 40 })).filter(isType)

function isType(text: string): boolean {
  try {
    return parseType(text) === text
  } catch (error) {
    if (error instanceof PosternError) return false
    throw error
  }
}

describe('an event', () => {
  it('is written as id, name and one data line for each line', () => {
    const event = encodeEvents([messageOf({ offset: 7, type: 'note', payload: 'one\ntwo' })], plain)
    expect(textOf(event)).toBe('id: 00000000000a-7\nevent: note\ndata: one\ndata: two\n\n')
  })

  it('has no event line when its message has no type', () => {
    expect(textOf(encodeEvents([messageOf({ payload: 'x' })], plain))).toBe('id: 00000000000a-1\ndata: x\n\n')
  })

  it('is dispatched for an empty payload too', () => {
    expect(parseEvents(encodeEvents([messageOf()], plain))).toEqual([
      { type: 'message', data: '', lastEventId: '00000000000a-1' },
    ])
  })

  it.each([
    ['a\rb\r\nc\n', 'a\nb\nc\n'],
    ['\r\n\r\n', '\n\n'],
    ['\n\r', '\n\n'],
    ['  two spaces', '  two spaces'],
    [': no comment', ': no comment'],
    ['id: 1\n\ndata: forged', 'id: 1\n\ndata: forged'],
    ['﻿mark', '﻿mark'],
  ])('gives the text %j as %j', (payload, data) => {
    const events = parseEvents(encodeEvents([messageOf({ payload })], plain))
    expect(events.map(event => event.data)).toEqual([data])
  })

  it('gives any text and any type as they are, with LF for every line end', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ payload: anyText, type: anyType }), { minLength: 1, maxLength: 5 }),
        parts => {
          const messages = parts.map((part, i) => messageOf({ ...part, offset: i + 1 }))
          expect(parseEvents(encodeEvents(messages, plain))).toEqual(
            parts.map(({ payload, type }, i) => ({
              type: type || 'message',
              data: withLineFeeds(payload.toWellFormed()),
              lastEventId: `00000000000a-${i + 1}`,
            })),
          )
        },
      ),
    )
  })

  it('gives the exact bytes of any payload as base64', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (payload, binary) => {
        const [event] = parseEvents(encodeEvents([messageOf({ payload, binary, type: 'x' })], base64))
        expect(event?.type).toBe(binary ? 'x;base64' : 'x')
        expect(fromBase64(event?.data ?? '')).toEqual(payload)
      }),
    )
  })

  it('tells a binary message by its name', () => {
    const payload = Uint8Array.of(0xff, 0)
    const binary = (type: string, format: EventFormat) =>
      parseEvents(encodeEvents([messageOf({ payload, binary: true, type })], format))[0]
    expect(binary('', plain)).toMatchObject({ type: 'message;base64', data: '/wA=' })
    expect(binary('photo', plain)).toMatchObject({ type: 'photo;base64', data: '/wA=' })
    expect(binary('photo', chat)).toMatchObject({ type: 'msg;base64', data: '/wA=' })
  })

  it('is named by the format where it names all', () => {
    expect(
      parseEvents(encodeEvents([messageOf({ type: 'note' }), messageOf()], chat)).map(event => event.type),
    ).toEqual(['msg', 'msg'])
  })

  it('cannot break out of its block by a hostile type', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('\r', '\n', '\0', 'a', ':', ' ') }), type => {
        const parser = new SseParser(() => {})
        parser.push(encodeEvents([messageOf({ type, payload: 'x' })], plain))
        expect(parser.blocks).toBe(1)
        expect(parser.lastEventId).toBe('00000000000a-1')
      }),
    )
  })
})

describe('an envelope', () => {
  it('is one line of JSON without an event name', () => {
    const message = messageOf({ topic: 'a/b', type: 'note', payload: 'one\r\ntwo' })
    const bytes = encodeEvents([message], envelope)
    expect(textOf(bytes)).not.toContain('event:')
    expect(parseEvents(bytes).map(event => JSON.parse(event.data))).toEqual([
      { id: message.id, topic: 'a/b', type: 'note', time: '1970-01-01T00:00:00.000Z', data: 'one\r\ntwo' },
    ])
  })

  it('holds bytes as base64, and texts too where that is asked for', () => {
    const bytes = messageOf({ payload: Uint8Array.of(0xff), binary: true })
    const text = messageOf({ payload: 'hi' })
    const read = (messages: Parameters<typeof encodeEvents>[0], format: EventFormat) =>
      parseEvents(encodeEvents(messages, format)).map(event => JSON.parse(event.data))
    expect(read([bytes], envelope)).toMatchObject([{ data: '/w==', encoding: 'base64' }])
    expect(read([text], { ...envelope, base64: true })).toMatchObject([{ data: 'aGk=', encoding: 'base64' }])
  })

  it('gives any text, type and topic as they are', () => {
    fc.assert(
      fc.property(anyText, anyType, anyText, (payload, type, topic) => {
        const parts = { payload: payload.toWellFormed(), type, topic }
        const [event, ...others] = parseEvents(encodeEvents([messageOf(parts)], envelope))
        expect(others).toEqual([])
        expect(JSON.parse(event?.data ?? '')).toMatchObject({ data: parts.payload, type, topic })
      }),
    )
  })
})

describe('what is no message', () => {
  it('a place moves the last event id and dispatches nothing', () => {
    const events: unknown[] = []
    const parser = new SseParser(event => events.push(event))
    parser.push(encodePlace({ epoch: '00000000000a', offset: 5 }))
    expect(parser.lastEventId).toBe('00000000000a-5')
    expect(events).toEqual([])
  })

  it('a gap is an event of its own that carries its id', () => {
    const id = '00000000000a-5'
    expect(parseEvents(encodeGap({ epoch: '00000000000a', offset: 5 }))).toEqual([
      { type: 'gap', data: JSON.stringify({ id }), lastEventId: id },
    ])
  })

  it('a retry is a whole number, and a comment dispatches nothing', () => {
    const parser = new SseParser(() => expect.unreachable())
    parser.push(encodeRetry(1234.6))
    parser.push(comment)
    expect(parser.retryMs).toBe(1235)
    expect(parser.comments).toBe(1)
  })
})

it('a list of messages is encoded once for all connections', () => {
  const encoder = new EventEncoder(plain)
  const messages = [messageOf({ payload: 'x' })]
  expect(encoder.encode(messages)).toBe(encoder.encode(messages))
})

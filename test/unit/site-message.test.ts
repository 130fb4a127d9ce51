import { describe, expect, it } from 'vitest'
import { payloadOf, readHistory, readMessage } from '../../site/message.ts'

const envelope = { id: 'e-1', topic: 'chat', type: 'msg', time: '2026-11-20T10:00:00.000Z', data: 'hello' }

describe('what the server says a message is', () => {
  it.each([
    ['a chat message', '{"from":"amy","text":"hi"}', { kind: 'said', from: 'amy', text: 'hi' }],
    [
      'a chat message with more to it',
      '{"text":"hi","from":"amy","x":1}',
      { kind: 'said', from: 'amy', text: 'hi' },
    ],
    ['a plain text', 'hello', { kind: 'text', text: 'hello' }],
    [
      'JSON that says something else',
      '{"from":1,"text":"hi"}',
      { kind: 'text', text: '{"from":1,"text":"hi"}' },
    ],
    ['an empty payload', '', { kind: 'text', text: '' }],
  ])('is read as %s', (_, data, content) => {
    expect(readMessage({ ...envelope, data })?.content).toEqual(content)
  })

  it.each([0, 1, 2, 3, 4, 5])('counts the bytes of a binary payload of %i', bytes => {
    const data = Buffer.alloc(bytes, 0xff).toString('base64')
    expect(readMessage({ ...envelope, data, encoding: 'base64' })?.content).toEqual({ kind: 'binary', bytes })
  })

  it('has a place and a time', () => {
    expect(readMessage(envelope)).toMatchObject({
      id: 'e-1',
      topic: 'chat',
      timeMs: Date.UTC(2026, 10, 20, 10),
    })
  })

  it.each([undefined, null, 'x', [], {}, { ...envelope, id: 1 }, { ...envelope, time: 'x' }])(
    'is nothing when it is %j',
    value => {
      expect(readMessage(value)).toBeUndefined()
    },
  )

  it('is published in the form that it is read in', () => {
    const said = { from: 'amy "0"', text: 'a\nb\u2028</script>' }
    expect(readMessage({ ...envelope, data: payloadOf(said) })?.content).toEqual({ kind: 'said', ...said })
  })
})

describe('a history', () => {
  it('is its messages and the id from which the stream goes on', () => {
    const history = readHistory({ id: 'e-9', messages: [envelope, 'none', { ...envelope, id: 'e-2' }] })
    expect(history?.id).toBe('e-9')
    expect(history?.messages.map(({ id }) => id)).toEqual(['e-1', 'e-2'])
  })

  it.each([undefined, {}, { id: 'e-1' }, { id: 1, messages: [] }])('is nothing when it is %j', value => {
    expect(readHistory(value)).toBeUndefined()
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseTopic } from '#protocol'
import { addressOfRoom, InvalidRoom, roomNamed, roomOfAddress, topicPath } from '../../site/room.ts'

describe('a room', () => {
  it('is the topic of its name below the default one', () => {
    expect(roomOfAddress('?room=tea', 'chat')).toEqual({ name: 'tea', topic: 'chat/tea' })
    expect(roomOfAddress('?room=a%2Fb&x=1', 'chat')).toEqual({ name: 'a/b', topic: 'chat/a/b' })
  })

  it('is the default topic alone when the address names none', () => {
    expect(roomOfAddress('', 'chat')).toEqual({ name: '', topic: 'chat' })
    expect(roomOfAddress('?room=', 'chat')).toEqual({ name: '', topic: 'chat' })
  })

  it('has an address that leads back to it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), name => {
        const room = validRoom(name)
        if (!room) return
        const { search } = new URL(addressOfRoom(room.name), 'http://localhost')
        expect(roomOfAddress(search, 'chat')).toEqual(room)
      }),
    )
  })

  it('takes exactly the names that the broker takes as topics, in the same form', () => {
    const name = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(fc.constantFrom('a', '/', '.', '..', 'é', '\n', '\ud800')).map(parts => parts.join('')),
    )
    fc.assert(
      fc.property(name, text => {
        if (text !== '') expect(validRoom(text)?.topic).toBe(brokersTopic(`chat/${text}`))
      }),
    )
  })

  it('says in words why a name is none', () => {
    expect(() => roomNamed('a//b', 'chat')).toThrow('A room name cannot have an empty part between slashes.')
    expect(() => roomNamed('é'.repeat(126), 'chat')).toThrow('This room name is 2 bytes too long.')
  })

  it('is part of a path segment by segment', () => {
    expect(topicPath('chat/a b?/é%')).toBe('chat/a%20b%3F/%C3%A9%25')
  })
})

function validRoom(name: string) {
  try {
    return roomNamed(name, 'chat')
  } catch (error) {
    if (error instanceof InvalidRoom) return undefined
    throw error
  }
}

function brokersTopic(text: string): string | undefined {
  try {
    return parseTopic(text)
  } catch {
    return undefined
  }
}

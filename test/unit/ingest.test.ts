import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodePublications } from '#protocol'
import { readIngest, verified } from '../../broker/listeners/ingest.ts'
import { publication, publications } from '../support/publications.ts'

const utf8 = (text: string) => new TextEncoder().encode(text)
const invalid = new Uint8Array([0x61, 0xff])

describe('a message on the ingest socket', () => {
  it('of one frame is a payload on the default topic, byte for byte', () => {
    fc.assert(
      fc.property(fc.uint8Array(), frame => {
        const { publications: taken, malformed } = readIngest([frame], 'chat')
        expect(malformed).toBeUndefined()
        expect(taken).toHaveLength(1)
        expect(taken[0]).toMatchObject({ topic: 'chat', type: '' })
        expect(taken[0]?.payload).toBe(frame)
      }),
    )
  })

  it('is a text when it is valid UTF-8, and else bytes', () => {
    expect(readIngest([utf8('größer 😀')], 'chat').publications[0]?.binary).toBe(false)
    expect(readIngest([new Uint8Array()], 'chat').publications[0]?.binary).toBe(false)
    expect(readIngest([invalid], 'chat').publications[0]?.binary).toBe(true)
  })

  it('of several frames is a message of each on the default topic', () => {
    const frames = [utf8('a'), utf8(''), utf8('b')]
    expect(readIngest(frames, 'news').publications).toEqual(
      frames.map(payload => publication({ topic: 'news', payload })),
    )
    expect(readIngest([utf8('a'), utf8('b')], 'news').publications).toHaveLength(2)
  })

  it('of a topic and a batch is the messages of the batch, on that topic', () => {
    fc.assert(
      fc.property(fc.array(publications), items => {
        const { publications: taken } = readIngest([utf8('a/b'), encodePublications(items)], 'chat')
        expect(taken.map(({ payload }) => Buffer.from(payload))).toEqual(
          items.map(({ payload }) => Buffer.from(payload)),
        )
        expect(taken.map(({ type }) => type)).toEqual(items.map(({ type }) => type))
        for (const { topic } of taken) expect(topic).toBe('a/b')
      }),
    )
  })

  it('keeps every character of the topic', () => {
    const batch = encodePublications([publication()])
    expect(readIngest([utf8('\ufeffa'), batch], 'chat').publications[0]?.topic).toBe('\ufeffa')
    expect(readIngest([utf8('a/'), batch], 'chat').publications[0]?.topic).toBe('a')
  })

  it.each([
    ['a topic that is not valid', utf8('a//b'), 'INVALID_TOPIC'],
    ['a topic of the system', utf8('$probe'), 'RESERVED_TOPIC'],
    ['a topic that is not UTF-8', invalid, 'INVALID_UTF8'],
    ['an empty topic', utf8(''), 'INVALID_TOPIC'],
  ])('with %s in front of a batch is refused whole', (_, topic, code) => {
    expect(readIngest([topic, encodePublications([publication()])], 'chat')).toMatchObject({
      publications: [],
      malformed: { code },
    })
  })

  it('is not a batch when its lengths do not add up, or when there are more frames', () => {
    const batch = encodePublications([publication()])
    const cut = batch.subarray(0, -1)
    expect(readIngest([utf8('a'), cut], 'chat').publications.map(({ payload }) => payload)).toEqual([
      utf8('a'),
      cut,
    ])
    expect(readIngest([utf8('a'), batch, utf8('')], 'chat').publications).toHaveLength(3)
    expect(readIngest([batch], 'chat').publications).toMatchObject([{ topic: 'chat', binary: true }])
  })

  it('without frames is nothing', () => {
    expect(readIngest([], 'chat')).toEqual({ publications: [], malformed: undefined })
  })
})

describe('a payload that claims to be a text', () => {
  it('is bytes when it is not UTF-8, and one that is bytes stays so', () => {
    expect(verified(publication({ payload: invalid })).binary).toBe(true)
    expect(verified(publication({ payload: 'a', binary: true })).binary).toBe(true)
    expect(verified(publication({ payload: 'a' })).binary).toBe(false)
  })
})

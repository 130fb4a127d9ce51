import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BatchWriter, encodePublications, type Publication } from '#protocol'
import { IngestReader, verified } from '../../broker/listeners/ingest.ts'
import { publication, publications } from '../support/publications.ts'

/** What comes of frames, with bounds that nothing in these tests reaches unless it says so. */
function ingest(frames: readonly Uint8Array[], { defaultTopic = 'chat', maxPayloadBytes = 1024 } = {}) {
  return new IngestReader().read(frames, { defaultTopic, maxPayloadBytes })
}

/** The messages that come of frames, whether together or one by one. */
function taken(...input: Parameters<typeof ingest>): readonly Publication[] {
  const ingested = ingest(...input)
  if (ingested.kind === 'malformed') throw ingested.error
  return ingested.kind === 'batch' ? ingested.batch.messages : ingested.publications
}

const utf8 = (text: string) => new TextEncoder().encode(text)
const invalid = new Uint8Array([0x61, 0xff])

describe('a message on the ingest socket', () => {
  it('of one frame is a payload on the default topic, byte for byte', () => {
    fc.assert(
      fc.property(fc.uint8Array(), frame => {
        const publications = taken([frame])
        expect(publications).toMatchObject([{ topic: 'chat', type: '' }])
        expect(publications[0]?.payload).toBe(frame)
      }),
    )
  })

  it('is a text when it is valid UTF-8, and else bytes', () => {
    expect(taken([utf8('größer 😀')])[0]?.binary).toBe(false)
    expect(taken([new Uint8Array()])[0]?.binary).toBe(false)
    expect(taken([invalid])[0]?.binary).toBe(true)
  })

  it('of several frames is a message of each on the default topic', () => {
    const frames = [utf8('a'), utf8(''), utf8('b')]
    expect(taken(frames, { defaultTopic: 'news' })).toEqual(
      frames.map(payload => publication({ topic: 'news', payload })),
    )
    expect(taken([utf8('a'), utf8('b')])).toHaveLength(2)
  })

  it('of a topic and a batch is the messages of the batch, on that topic', () => {
    fc.assert(
      fc.property(fc.array(publications), items => {
        const found = taken([utf8('a/b'), encodePublications(items)])
        expect(found.map(({ payload }) => Buffer.from(payload))).toEqual(
          items.map(({ payload }) => Buffer.from(payload)),
        )
        expect(found.map(({ type }) => type)).toEqual(items.map(({ type }) => type))
        for (const { topic } of found) expect(topic).toBe('a/b')
      }),
    )
  })

  it('of a topic and a batch on that topic goes on as it is', () => {
    const batch = encodePublications([
      publication({ topic: 'a', payload: 'größer 😀'.repeat(20) }),
      publication({ topic: 'a', payload: invalid, binary: true, type: 'é' }),
      publication({ topic: 'a', payload: '' }),
    ])
    expect(ingest([utf8('a'), batch])).toMatchObject({ kind: 'batch', batch: { bytes: batch } })
  })

  it.each([
    ['names another topic', publication({ topic: 'b' })],
    ['names none', publication({ topic: '' })],
    ['has a type that may not be', publication({ topic: 'a', type: 'gap' })],
    ['says that bytes are a text', publication({ topic: 'a', payload: invalid })],
    ['ends its text in the next one', publication({ topic: 'a', payload: new Uint8Array([0xc3]) })],
    ['is too large', publication({ topic: 'a', payload: 'x'.repeat(1025) })],
  ])('of a topic and a batch is looked at one by one when a record %s', (_, record) => {
    const items = [publication({ topic: 'a' }), record, publication({ topic: 'a' })]
    const ingested = ingest([utf8('a'), encodePublications(items)])
    expect(ingested).toMatchObject({ kind: 'publications', publications: [{}, {}, {}] })
  })

  it.each([
    ['256 messages', 256, 1, 'batch'],
    ['257 messages', 257, 1, 'publications'],
    ['64 KiB and a little', 2, 33_000, 'publications'],
    ['one message of more', 1, 66_000, 'batch'],
  ])('of a topic and a batch of %s is taken as it should be', (_, count, bytes, kind) => {
    const items = Array.from({ length: count }, () => publication({ topic: 'a', payload: 'x'.repeat(bytes) }))
    expect(ingest([utf8('a'), encodePublications(items)], { maxPayloadBytes: 100_000 })).toMatchObject({
      kind,
    })
  })

  it('of a topic and a batch of another version is refused whole', () => {
    const batch = encodePublications([publication({ topic: 'a' })])
    batch[3] = 1
    expect(ingest([utf8('a'), batch])).toMatchObject({
      kind: 'malformed',
      error: { code: 'UNSUPPORTED_VERSION', message: 'The broker reads batches of version 2, not of 1.' },
    })
  })

  it('of a topic and a batch of sparse records is looked at one by one', () => {
    const writer = new BatchWriter()
    writer.add(publication({ topic: 'a' }), { offset: 7, timeMs: 8 })
    expect(ingest([utf8('a'), writer.finishSparse('0123456789ab')])).toMatchObject({ kind: 'publications' })
  })

  it('keeps every character of the topic', () => {
    const batch = encodePublications([publication()])
    expect(taken([utf8('\ufeffa'), batch])[0]?.topic).toBe('\ufeffa')
    expect(taken([utf8('a/'), batch])[0]?.topic).toBe('a')
  })

  it.each([
    ['a topic that is not valid', utf8('a//b'), 'INVALID_TOPIC'],
    ['a topic of the system', utf8('$probe'), 'RESERVED_TOPIC'],
    ['a topic that is not UTF-8', invalid, 'INVALID_UTF8'],
    ['an empty topic', utf8(''), 'INVALID_TOPIC'],
  ])('with %s in front of a batch is refused whole', (_, topic, code) => {
    expect(ingest([topic, encodePublications([publication()])])).toMatchObject({
      kind: 'malformed',
      error: { code },
    })
  })

  it('is not a batch when its lengths do not add up, or when there are more frames', () => {
    const batch = encodePublications([publication()])
    const cut = batch.subarray(0, -1)
    expect(taken([utf8('a'), cut]).map(({ payload }) => payload)).toEqual([utf8('a'), cut])
    expect(taken([utf8('a'), batch, utf8('')])).toHaveLength(3)
    expect(taken([batch])).toMatchObject([{ topic: 'chat', binary: true }])
  })

  it('without frames is nothing', () => {
    expect(taken([])).toEqual([])
  })
})

describe('a payload that claims to be a text', () => {
  it('is bytes when it is not UTF-8, and one that is bytes stays so', () => {
    expect(verified(publication({ payload: invalid })).binary).toBe(true)
    expect(verified(publication({ payload: 'a', binary: true })).binary).toBe(true)
    expect(verified(publication({ payload: 'a' })).binary).toBe(false)
  })
})

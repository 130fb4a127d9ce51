import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Batch,
  BatchWriter,
  decodeBatch,
  encodePublications,
  isBatch,
  maxBatchBytes,
  maxBatchMessages,
  maxOffset,
  noEpoch,
  type Publication,
  placeBatch,
  type Run,
  recordSize,
} from '#protocol'
import { batchOf, publication, publications, readBatch, topics } from '../support/publications.ts'

const epoch = '0123456789ab'
const headerBytes = 32

function contentOf({ topic, type, binary, payload }: Publication) {
  return { topic, type, binary, payload: Buffer.from(payload).toString('hex') }
}

/** A batch that lies between other bytes, which a careless reader would see. */
function within(bytes: Uint8Array): Uint8Array {
  const around = new Uint8Array(bytes.length + 200).fill(0x41)
  around.set(bytes, 100)
  return around.subarray(100, 100 + bytes.length)
}

/** Whatever was read lies inside the bytes that were given. */
function expectInside(batch: Batch, bytes: Uint8Array): void {
  for (const { payload } of batch.messages) {
    if (payload.length === 0) continue
    expect(payload.buffer).toBe(bytes.buffer)
    expect(payload.byteOffset).toBeGreaterThanOrEqual(bytes.byteOffset)
    expect(payload.byteOffset + payload.length).toBeLessThanOrEqual(bytes.byteOffset + bytes.length)
  }
}

const offsets = fc.nat({ max: maxOffset - 1000 })

const batches = fc
  .record({ items: fc.array(publications, { maxLength: 8 }), first: offsets, isSparse: fc.boolean() })
  .map(({ items, first, isSparse }) => {
    const writer = new BatchWriter()
    items.forEach((item, i) => {
      writer.add(item, isSparse ? { offset: first + 3 * i, timeMs: i } : undefined)
    })
    return isSparse ? writer.finishSparse(epoch) : writer.finish({ epoch, first, timeMs: 5 }).bytes
  })

describe('a batch', () => {
  it('is read back as it was written, each message with the next offset and the time of the batch', () => {
    fc.assert(
      fc.property(
        fc.array(publications, { maxLength: 20 }),
        offsets,
        fc.nat(maxOffset),
        (items, first, timeMs) => {
          const batch = readBatch(within(batchOf(items, { epoch, first, timeMs }).bytes))
          expect(batch).toMatchObject({ epoch, first, last: first + items.length - 1 })
          expect(batch.messages.map(contentOf)).toEqual(items.map(contentOf))
          expect(batch.messages.map(({ offset }) => offset)).toEqual(items.map((_, i) => first + i))
          for (const message of batch.messages) expect(message).toMatchObject({ epoch, timeMs })
        },
      ),
    )
  })

  it('that is sparse keeps an offset and a time for each message', () => {
    const places = fc.record({ offset: offsets, timeMs: offsets })
    fc.assert(
      fc.property(fc.array(fc.tuple(publications, places), { minLength: 1, maxLength: 20 }), records => {
        const writer = new BatchWriter()
        for (const [item, place] of records) writer.add(item, place)
        const batch = readBatch(within(writer.finishSparse(epoch)))
        expect(batch.messages.map(contentOf)).toEqual(records.map(([item]) => contentOf(item)))
        expect(batch.messages.map(({ offset, timeMs }) => ({ offset, timeMs }))).toEqual(
          records.map(([, place]) => place),
        )
        expect(batch.first).toBe(records[0]?.[1].offset)
        expect(batch.last).toBe(records.at(-1)?.[1].offset)
      }),
    )
  })

  it('of nothing tells the next offset, and ends before it begins', () => {
    expect(batchOf([], { epoch, first: 43 })).toMatchObject({ epoch, first: 43, last: 42, messages: [] })
    const sparse = readBatch(new BatchWriter().finishSparse(epoch))
    expect(sparse.last).toBeLessThan(sparse.first)
  })

  it('of a publisher has no place in a log yet', () => {
    expect(readBatch(encodePublications([publication()]))).toMatchObject({ epoch: noEpoch, first: 0 })
  })

  it('reaches to the last offset there is', () => {
    expect(batchOf([publication()], { first: maxOffset, timeMs: maxOffset }).messages[0]).toMatchObject({
      offset: maxOffset,
      timeMs: maxOffset,
    })
  })

  it('begins with bytes that no text begins with', () => {
    expect(() => new TextDecoder('utf-8', { fatal: true }).decode(batchOf([]).bytes.subarray(0, 1))).toThrow()
  })
})

describe('bytes that are not exactly a batch', () => {
  it('are refused when they are cut anywhere, or something follows', () => {
    fc.assert(
      fc.property(batches, fc.uint8Array({ minLength: 1, maxLength: 4 }), (bytes, more) => {
        for (let length = 0; length < bytes.length; length++) {
          expect(isBatch(within(bytes).subarray(0, length))).toBe(false)
        }
        expect(isBatch(new Uint8Array([...bytes, ...more]))).toBe(false)
      }),
      { numRuns: 30 },
    )
  })

  it('never throw and are never read beyond, whatever byte of them is wrong', () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 1, max: 255 }), (bytes, flip) => {
        for (let at = 0; at < bytes.length; at++) {
          const broken = within(bytes)
          broken[at] = (broken[at] ?? 0) ^ flip
          const batch = decodeBatch(broken)
          if (batch) expectInside(batch, broken)
        }
      }),
      { numRuns: 30 },
    )
  })

  it('never throw and are never read beyond when they are random behind a true beginning', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), fc.nat(5), (rest, isSparse, count) => {
        const bytes = within(new Uint8Array([...batchOf([]).bytes, ...rest]))
        const view = new DataView(bytes.buffer, bytes.byteOffset)
        view.setUint8(4, isSparse ? 1 : 0)
        view.setUint16(6, count)
        view.setUint32(8, rest.length)
        const batch = decodeBatch(bytes)
        if (batch) expectInside(batch, bytes)
      }),
      { numRuns: 2000 },
    )
  })

  it('are mostly anything', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 100 }), bytes => !isBatch(bytes)))
  })

  it('are refused when the records are more or fewer than they say', () => {
    const { bytes } = batchOf([publication(), publication()])
    for (const count of [0, 1, 3, 65_535]) {
      new DataView(bytes.buffer, bytes.byteOffset).setUint16(6, count)
      expect(isBatch(bytes)).toBe(false)
    }
  })

  it('are refused for a topic or a type that is not UTF-8', () => {
    for (const field of ['topic', 'type'] as const) {
      const { bytes } = batchOf([publication({ topic: 'abc', type: 'def' })])
      const at = headerBytes + 8 + (field === 'topic' ? 0 : 3)
      bytes[at] = 0xff
      expect(decodeBatch(bytes)).toBeUndefined()
    }
  })

  it('do not get the topic of their neighbour for one of the same length', () => {
    const items = ['aa', 'ab', 'aa', 'ba', 'aa', 'a', 'aa'].map(topic => publication({ topic }))
    expect(batchOf(items).messages.map(({ topic }) => topic)).toEqual(items.map(({ topic }) => topic))
  })
})

describe('the wire of a batch', () => {
  it('is what other languages are told', () => {
    const { bytes } = batchOf([publication({ topic: 'ab', type: 'c', binary: true, payload: 'xyz' })], {
      epoch,
      first: 0x010203040506,
      timeMs: 0x0a0b0c0d0e0f,
    })
    const hex = [
      'ff504202 00 00 0001 0000000e',
      '0123456789ab 010203040506 0a0b0c0d0e0f 0000',
      '01 02 01 00 00000003 6162 63 78797a',
    ]
    expect(Buffer.from(bytes).toString('hex')).toBe(hex.join('').replaceAll(' ', ''))
  })

  it('has no byte with its top bit set in the head of a record, however long what follows', () => {
    const long = publication({ topic: 'x'.repeat(200), type: 'y'.repeat(255), payload: 'z'.repeat(100_000) })
    const { bytes } = batchOf([long])
    expect(Buffer.from(bytes.subarray(headerBytes, headerBytes + 8)).toString('hex')).toBe('06487f0000060d20')
    expect(readBatch(bytes).messages.map(contentOf)).toEqual([contentOf(long)])
  })

  it('is one text when all its payloads are', () => {
    const text = fc.record({
      topic: topics,
      type: fc.constantFrom('', 'é'),
      payload: fc.string({ unit: 'grapheme' }),
    })
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20 }), texts => {
        expect(isUtf8(batchOf(texts.map(publication)).records)).toBe(true)
      }),
    )
  })

  it('has a place in front of each record when it is sparse', () => {
    const writer = new BatchWriter()
    writer.add(publication({ topic: 'a', payload: '' }), { offset: 7, timeMs: 8 })
    expect(
      Buffer.from(writer.finishSparse(epoch))
        .toString('hex')
        .slice(2 * headerBytes),
    ).toBe('000000000007 000000000008 00 01 00 00 00000000 61'.replaceAll(' ', ''))
  })
})

describe('what a batch is asked for', () => {
  const labels = fc.constantFrom('a', 'b', 'ab', 'é')
  const items = fc.array(fc.record({ topic: labels, type: fc.constantFrom('', 'b', 'c') }), { maxLength: 40 })

  it('are the messages of some topics', () => {
    fc.assert(
      fc.property(items, labels, (records, topic) => {
        const batch = batchOf(records.map(publication))
        const selected = batch.messages.filter(message => message.topic === topic)
        expect(batch.select(name => name === topic)).toEqual(selected)
      }),
    )
  })

  it('are runs of one topic and type, the newest first, and of each its newest messages', () => {
    fc.assert(
      fc.property(items, fc.nat(3), (records, most) => {
        const batch = batchOf(records.map(publication))
        const runs: Run[] = []
        const chosen = batch.read(run => {
          runs.unshift(run)
          return Math.min(most, run.count)
        })
        expect(runs.flatMap(({ topic, type, count }) => Array(count).fill({ topic, type }))).toEqual(records)
        const kept = runs.flatMap(({ count, last }) =>
          Array.from({ length: Math.min(most, count) }, (_, i) => last - i).reverse(),
        )
        expect(chosen.map(({ offset }) => offset)).toEqual(kept)
      }),
    )
  })

  it('is the same whether it was written here or came from outside', () => {
    fc.assert(
      fc.property(items, fc.nat(), (records, cut) => {
        const writer = new BatchWriter()
        const first = records.slice(0, cut % (records.length + 1))
        writer.addRecords(readBatch(encodePublications(first.map(publication))))
        for (const record of records.slice(first.length)) writer.add(publication(record))
        const written = writer.finish({ epoch, first: 7, timeMs: 5 })
        expect(written).toEqual(readBatch(written.bytes))
        expect(written.runs()).toEqual(readBatch(written.bytes).runs())
      }),
    )
  })
})

describe('a batch of a publisher', () => {
  it('gets its place in the log without being copied', () => {
    const sent = encodePublications([publication({ payload: 'one' }), publication({ payload: 'two' })])
    const placed = placeBatch(readBatch(sent), { epoch, first: 43, timeMs: 9 })
    expect(placed.bytes).toBe(sent)
    expect(placed).toEqual(readBatch(sent))
    expect(placed.messages).toMatchObject([
      { epoch, offset: 43, timeMs: 9 },
      { epoch, offset: 44, timeMs: 9 },
    ])
  })
})

describe('BatchWriter', () => {
  it('ends gathering at 64 KiB', () => {
    const writer = new BatchWriter()
    const item = publication({ payload: new Uint8Array(1000) })
    while (!writer.isFullFor(item)) writer.add(item)
    expect(writer.byteLength).toBeLessThanOrEqual(maxBatchBytes)
    expect(writer.byteLength + recordSize(item)).toBeGreaterThan(maxBatchBytes)
    expect(maxBatchBytes).toBe(64 * 1024)
  })

  it('ends gathering at 256 messages', () => {
    const writer = new BatchWriter()
    while (!writer.isFullFor(publication())) writer.add(publication())
    expect(writer.count).toBe(maxBatchMessages)
    expect(maxBatchMessages).toBe(256)
  })

  it('takes one message of any size', () => {
    const writer = new BatchWriter()
    const large = publication({ payload: new Uint8Array(1024 * 1024).fill(7) })
    expect(writer.isFullFor(large)).toBe(false)
    writer.add(large)
    const batch = readBatch(writer.finish({ epoch, first: 1, timeMs: 0 }).bytes)
    expect(Buffer.compare(batch.messages[0]?.payload ?? new Uint8Array(), large.payload)).toBe(0)
  })

  it('never promises less than a record takes', () => {
    fc.assert(
      fc.property(publications, item => {
        const bytes = batchOf([item]).bytes.length - headerBytes
        expect(recordSize(item)).toBeGreaterThanOrEqual(bytes)
      }),
    )
  })

  it('gives a copy, and begins anew', () => {
    const writer = new BatchWriter()
    writer.add(publication({ payload: 'first' }))
    const first = writer.finish({ epoch, first: 1, timeMs: 0 }).bytes
    const before = Buffer.from(first).toString('hex')
    writer.add(publication({ payload: 'other' }))
    writer.finish({ epoch, first: 2, timeMs: 0 })
    expect(Buffer.from(first).toString('hex')).toBe(before)

    writer.add(publication())
    writer.reset()
    expect(writer.finish({ epoch, first: 3, timeMs: 0 }).messages).toEqual([])
  })
})

describe('a message', () => {
  it('can let go of its batch and stays as it is', () => {
    const batch = batchOf([publication({ payload: 'one' }), publication({ payload: 'two', type: 't' })])
    const [, message] = batch.messages
    if (!message) throw new Error('the batch is empty')
    const { weight, id } = message
    message.detach()
    expect(message.payload.buffer.byteLength).toBe(3)
    expect(contentOf(message)).toEqual(contentOf(publication({ payload: 'two', type: 't' })))
    expect(message).toMatchObject({ weight, id })
  })
})

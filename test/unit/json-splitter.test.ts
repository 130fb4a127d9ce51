import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PosternError } from '#protocol'
import { memberText } from '../../broker/listeners/json-member.ts'
import { JsonSplitter } from '../../broker/listeners/json-splitter.ts'

const splitter = (maxBytes = 1_000_000) => new JsonSplitter(maxBytes, 'maxPayloadBytes')

function documentsIn(pieces: readonly Uint8Array[], split = splitter()): string[] {
  const documents: string[] = []
  for (const piece of pieces) {
    split.push(piece)
    for (let found = split.next(); found; found = split.next()) documents.push(Buffer.from(found).toString())
  }
  return documents
}

const objects = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue())
const spaces = fc.stringMatching(/^[ \t\r\n]{0,4}$/)

/** An object as somebody may write it: with space inside, and around. */
const written = fc
  .tuple(objects, fc.nat(4))
  .map(([value, indent]) => JSON.stringify(value, null, indent || undefined))

/** Bytes, cut at any places. */
const cut = (bytes: Uint8Array, cuts: readonly number[]) => {
  const places = [0, ...cuts.map(one => one % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end))
}

describe('a stream of JSON objects', () => {
  it('is cut into the same documents, however it is cut into pieces', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(spaces, written)), fc.array(fc.nat()), (documents, cuts) => {
        const stream = Buffer.from(documents.flat().join(''))
        expect(documentsIn(cut(stream, cuts))).toEqual(documents.map(([, text]) => text))
      }),
    )
  })

  it('is cut right byte by byte', () => {
    const text = '{"a":"}{\\"\\\\"} \n{"b":[{"c":{}}]}{}'
    const bytes = [...Buffer.from(text)].map(byte => Uint8Array.of(byte))
    expect(documentsIn(bytes)).toEqual(['{"a":"}{\\"\\\\"}', '{"b":[{"c":{}}]}', '{}'])
  })

  it('gives one document at a time, and keeps what follows untouched', () => {
    const split = splitter(100)
    split.push(Buffer.from('{"a":1} no object'))
    expect(String(Buffer.from(split.next() ?? []))).toBe('{"a":1}')
    expect(() => split.next()).toThrow(PosternError)
  })

  it.each(['[1]', '1', 'GET / HTTP/1.1', '\0', '}', '\u{feff}{}', ',{}'])('does not begin with %j', text => {
    expect(() => documentsIn([Buffer.from(text)])).toThrow(/JSON objects/)
  })

  it('may end between two documents, and nowhere else', () => {
    const split = splitter()
    const isBetweenAfter = (text: string) => {
      documentsIn([Buffer.from(text)], split)
      return split.isBetween
    }
    expect(['{}', '\n', '{', '"}"', ':1', '}'].map(isBetweenAfter)).toEqual([
      true,
      true,
      false,
      false,
      false,
      true,
    ])
  })
})

describe('the bound of a document', () => {
  const documentOf = (length: number) => Buffer.from(`{"a":"${'x'.repeat(length - 8)}"}`)

  it('lets through what reaches it, whole or in pieces', () => {
    expect(documentsIn([documentOf(100)], splitter(100))).toHaveLength(1)
    expect(documentsIn(cut(documentOf(100), [50]), splitter(100))).toHaveLength(1)
    expect(documentsIn([Buffer.concat([documentOf(100), documentOf(100)])], splitter(100))).toHaveLength(2)
  })

  it.each([
    ['whole', [documentOf(101)]],
    ['in pieces', cut(documentOf(101), [30, 60])],
    ['unfinished', [documentOf(102).subarray(0, 101)]],
  ])('refuses one byte more, named with its setting, when it comes %s', (_, pieces) => {
    expect(() => documentsIn(pieces, splitter(100))).toThrow(/The limit is 100 \(maxPayloadBytes\)/)
  })
})

describe('the text of a member', () => {
  const textOf = (object: string, name: string) => {
    const found = memberText(Buffer.from(object), name)
    return found && Buffer.from(found).toString()
  }

  it.each([
    ['12345678901234567890.000'],
    ['{}'],
    ['[ ]'],
    ['{"b" : 1,\n "a": {"data":[ 2.0, 1e400 ] } }'],
    ['"a\\u00e9\\/ \\"}, \\"data\\": 1"'],
    ['null'],
    ['-0'],
  ])('is as it came: %s', text => {
    for (const object of [
      `{"data":${text}}`,
      `{ "channel" : "x" , "data"\t: \n${text}  , "id":[{"data":5}]}`,
      `{"a":{"data":1},"\\u0064ata":${text}}`,
    ]) {
      expect(textOf(object, 'data')).toBe(text)
    }
  })

  it('is that of the last of its name, and none where there is none', () => {
    expect(textOf('{"data":1,"data":{"data":3}}', 'data')).toBe('{"data":3}')
    expect(textOf('{"a":{"data":1},"b":"data","c":["data"]}', 'data')).toBeUndefined()
    expect(textOf('{}', 'data')).toBeUndefined()
  })

  it('means what the member means, in any object', () => {
    fc.assert(
      fc.property(written, text => {
        const value = JSON.parse(text)
        for (const name of Object.keys(value)) {
          expect(JSON.parse(textOf(text, name) ?? 'missing')).toEqual(value[name])
        }
      }),
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatId, maxOffset, parseId } from '#protocol'
import { anyText } from '../support/publications.ts'

const positions = fc.record({
  epoch: fc
    .array(fc.constantFrom(...'0123456789abcdef'), { minLength: 12, maxLength: 12 })
    .map(digits => digits.join('')),
  offset: fc.nat({ max: maxOffset }),
})

describe('an id', () => {
  it('is read back as the position that it was made of', () => {
    fc.assert(
      fc.property(positions, position => {
        expect(parseId(formatId(position))).toEqual(position)
      }),
    )
    const largest = { epoch: 'ffffffffffff', offset: maxOffset }
    expect(parseId(formatId(largest))).toEqual(largest)
  })

  it.each([
    ['nothing', ''],
    ['another form', 'hello'],
    ['no offset', 'aaaaaaaaaaaa-'],
    ['a short epoch', 'aaaaaaaaaaa-1'],
    ['a long epoch', 'aaaaaaaaaaaaa-1'],
    ['capital digits', 'AAAAAAAAAAAA-1'],
    ['a leading zero', 'aaaaaaaaaaaa-01'],
    ['a sign', 'aaaaaaaaaaaa--1'],
    ['a fraction', 'aaaaaaaaaaaa-1.0'],
    ['an exponent', 'aaaaaaaaaaaa-1e3'],
    ['an offset past 48 bits', `aaaaaaaaaaaa-${maxOffset + 1}`],
    ['an offset that no number holds', 'aaaaaaaaaaaa-999999999999999999'],
    ['a line feed at its end', 'aaaaaaaaaaaa-1\n'],
    ['a space around it', ' aaaaaaaaaaaa-1'],
    ['other digits', 'aaaaaaaaaaaa-١'],
  ])('is not read from a text with %s', (_, text) => expect(parseId(text)).toBeUndefined())

  it('is read from no text but those that a broker gives', () => {
    const texts = fc.oneof(
      anyText,
      fc.stringMatching(/^[0-9a-fA-F]{11,13}-?[0-9.e+-]{0,17}\s?$/),
      positions.chain(position => {
        const id = formatId(position)
        return fc.nat({ max: id.length }).map(at => `${id.slice(0, at)}${id.slice(at + 1)}`)
      }),
    )
    fc.assert(
      fc.property(texts, text => {
        const position = parseId(text)
        if (position) expect(formatId(position)).toBe(text)
      }),
      { numRuns: 1000 },
    )
  })
})

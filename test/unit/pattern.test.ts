import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseAccessPattern, parsePattern, patternCovers, patternFits, patternMeets } from '#protocol'

const segment = fc.constantFrom('a', 'b', '$dead')
const topics = fc.array(segment, { minLength: 1, maxLength: 4 }).map(parts => parts.join('/'))
const patterns = fc
  .tuple(fc.array(fc.oneof(segment, fc.constant('*')), { maxLength: 4 }), fc.constantFrom([], ['**']))
  .map(([parts, end]) => [...parts, ...end].join('/'))
  .filter(pattern => pattern !== '')

/** The same language, said by a regular expression. */
function expression(pattern: string): RegExp {
  const body = pattern
    .split('/')
    .map((part, i) => {
      const own = i === 0 ? '(?!\\$)' : ''
      if (part === '**') return i === 0 ? `${own}.*` : '(/.*)?'
      return `${i === 0 ? '' : '/'}${part === '*' ? `${own}[^/]+` : part.replace('$', '\\$')}`
    })
    .join('')
  return new RegExp(`^${body}$`)
}

describe('a pattern', () => {
  it.each<[string, string[], string[]]>([
    ['a/b', ['a/b'], ['a', 'a/b/c', 'A/b', 'a/bc']],
    ['a/*', ['a/b', 'a/$x'], ['a', 'a/b/c', 'b/c']],
    ['*', ['a', 'ab'], ['a/b', '$probe', '$dead']],
    ['a/**', ['a', 'a/b', 'a/b/c'], ['ab', 'b', 'b/a']],
    ['*/x/**', ['a/x', 'b/x/y/z'], ['x', 'a/y', '$dead/x']],
    ['**', ['a', 'a/b/c', 'x/$dead'], ['$dead/a', '$push/a', '$probe']],
    ['$dead/**', ['$dead/a', '$dead/a/b'], ['a', 'dead/a', '$deader/a', '$push/a']],
  ])('%s names some topics and not others', (pattern, named, others) => {
    expect(named.filter(topic => !patternFits(pattern, topic))).toEqual([])
    expect(others.filter(topic => patternFits(pattern, topic))).toEqual([])
  })

  it('names what a regular expression of the same meaning does', () => {
    fc.assert(
      fc.property(patterns, topics, (pattern, topic) => {
        expect(patternFits(pattern, topic)).toBe(expression(pattern).test(topic))
      }),
      { numRuns: 5000 },
    )
  })

  it('covers a topic when it names all that is below it, and meets it when it names any', () => {
    const below = fc.array(segment, { maxLength: 5 })
    fc.assert(
      fc.property(patterns, topics, below, (pattern, topic, parts) => {
        const one = [topic, ...parts].join('/')
        if (patternCovers(pattern, topic)) expect(patternFits(pattern, one)).toBe(true)
        if (patternFits(pattern, one)) expect(patternMeets(pattern, topic)).toBe(true)
      }),
      { numRuns: 5000 },
    )
  })

  it.each<[string, string, boolean, boolean]>([
    ['a/**', 'a', true, true],
    ['a/**', 'a/b', true, true],
    ['a/*', 'a', false, true],
    ['a/b', 'a/b', false, true],
    ['a/*/**', 'a', false, true],
    ['a/**', 'b', false, false],
    ['a', 'a/b', false, false],
    ['**', 'a', true, true],
    ['**', '$dead/a', false, false],
  ])('%s beside what is below %s: covers %s, meets %s', (pattern, topic, covers, meets) => {
    expect([patternCovers(pattern, topic), patternMeets(pattern, topic)]).toEqual([covers, meets])
  })
})

describe('what is no pattern', () => {
  it.each([
    ['', 'must not be empty'],
    ['a/', 'must not end in a slash'],
    ['a//b', 'empty segment'],
    ['a/**/b', 'has "**" only as its last segment'],
    ['a*', 'has "*" only as a whole segment'],
    ['a/***', 'has "*" only as a whole segment'],
    ['$push/a', 'belong to the system'],
    ['$*', 'belong to the system'],
  ])('%j is told', (text, what) => {
    expect(() => parsePattern(text)).toThrow(what)
    expect(() => parseAccessPattern(text)).toThrow(what)
  })

  it('of access may name graves, and no other topic of the system', () => {
    expect(parseAccessPattern('$dead/**')).toBe('$dead/**')
    expect(parseAccessPattern('$dead/a/*')).toBe('$dead/a/*')
    expect(() => parseAccessPattern('$dead/a/')).toThrow('must not end in a slash')
    expect(() => parseAccessPattern('$dead/$push/a')).toThrow('belong to the system')
    expect(() => parsePattern('$dead/**')).toThrow('belong to the system')
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ancestry,
  isInSpace,
  isServiceTopic,
  isSystemTopic,
  PosternError,
  parsePublicTopic,
  parseTopic,
  probeTopic,
  selector,
  spaceTopic,
} from '#protocol'
import { anyText, topics } from '../support/publications.ts'

/** What the rules say, without looking at how they are checked. */
function isTopic(text: string): boolean {
  if (!text.isWellFormed() || Buffer.byteLength(text) > 255) return false
  if ([...text].some(character => character < ' ' || (character >= '\x7f' && character <= '\x9f')))
    return false
  return text.split('/').every(segment => !['', '.', '..'].includes(segment))
}

function codeOf(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return error instanceof PosternError ? error.code : 'another error'
  }
}

describe('parseTopic', () => {
  it.each([
    'a',
    'a/b/c',
    'chat',
    'Chat',
    'with space',
    'v1.2',
    '...',
    '.hidden',
    'übung/日本/😀',
    '$probe',
    '0',
  ])('takes %j as it is', topic => expect(parseTopic(topic)).toBe(topic))

  it('drops one trailing slash', () => {
    expect(parseTopic('a/b/')).toBe('a/b')
    expect(() => parseTopic('a/b//')).toThrow('empty segment')
    expect(() => parseTopic('/')).toThrow('must not be empty')
  })

  it.each([
    ['', 'must not be empty'],
    ['/a', 'must not have an empty segment'],
    ['a//b', 'must not have an empty segment'],
    ['a/./b', 'must not have a segment "." or ".."'],
    ['..', 'must not have a segment "." or ".."'],
    ['a\nb', 'must not contain control characters'],
    ['a\0', 'must not contain control characters'],
    ['a\u0085b', 'must not contain control characters'],
    ['a\ud800', 'lone surrogates'],
    ['x'.repeat(256), 'must not be longer than 255 bytes of UTF-8'],
    ['é'.repeat(128), 'must not be longer than 255 bytes of UTF-8'],
  ])('refuses %j and says why', (topic, why) => {
    expect(codeOf(() => parseTopic(topic))).toBe('INVALID_TOPIC')
    expect(() => parseTopic(topic)).toThrow(why)
  })

  it('counts bytes of UTF-8, not characters', () => {
    expect(parseTopic('x'.repeat(255))).toHaveLength(255)
    expect(parseTopic(`${'é'.repeat(127)}x`)).toHaveLength(128)
    expect(parseTopic(`${'x'.repeat(255)}/`)).toHaveLength(255)
  })

  it('takes exactly what the rules allow, and its result once more', () => {
    const texts = fc.oneof(
      anyText,
      fc
        .array(fc.constantFrom('a', '/', '.', '..', '\n', '\ud800', '😀', '\x7f'), { maxLength: 8 })
        .map(parts => parts.join('')),
      topics,
    )
    fc.assert(
      fc.property(texts, text => {
        const canonical = text.endsWith('/') ? text.slice(0, -1) : text
        if (isTopic(canonical)) {
          expect(parseTopic(text)).toBe(canonical)
          expect(parseTopic(canonical)).toBe(canonical)
        } else {
          expect(codeOf(() => parseTopic(text))).toBe('INVALID_TOPIC')
        }
      }),
    )
  })
})

describe('the topics of the system', () => {
  it('begin with "$" and are closed to the outside', () => {
    expect(isSystemTopic(probeTopic)).toBe(true)
    expect(codeOf(() => parsePublicTopic(probeTopic))).toBe('RESERVED_TOPIC')
    expect(codeOf(() => parsePublicTopic('$anything/below'))).toBe('RESERVED_TOPIC')
    expect(parsePublicTopic('price/$')).toBe('price/$')
  })
})

describe('a name space of its own', () => {
  it('keeps its topics out of the public ones, and apart from those of the other', () => {
    fc.assert(
      fc.property(topics, topic => {
        const spaces = ['bus', 'push'] as const
        const named = spaces.map(space => spaceTopic(space, topic.slice(0, 60)))
        expect(named.map(whole => codeOf(() => parsePublicTopic(whole)))).not.toContain(undefined)
        expect(named.map(whole => spaces.filter(space => isInSpace(space, whole)))).toEqual([
          ['bus'],
          ['push'],
        ])
        expect(spaces.filter(space => isInSpace(space, topic))).toEqual([])
      }),
    )
  })

  it('has room for topics that leave enough of 255 bytes for its own name', () => {
    expect(spaceTopic('bus', 'x'.repeat(250))).toBe(`$bus/${'x'.repeat(250)}`)
    expect(codeOf(() => spaceTopic('bus', 'x'.repeat(251)))).toBe('INVALID_TOPIC')
    expect(spaceTopic('push', 'x'.repeat(249))).toHaveLength(255)
    expect(() => spaceTopic('push', 'é'.repeat(125))).toThrow('must not be longer than 249 bytes of UTF-8')
  })

  it('is open to functions, as the probe is, and nothing else of the system', () => {
    expect([probeTopic, '$bus/a', '$push/a/b'].every(isServiceTopic)).toBe(true)
    expect(['$bus', '$other/a', '$pushed/a', 'bus/a', '$probe/a'].some(isServiceTopic)).toBe(false)
  })
})

describe('a selection', () => {
  it('covers a topic and everything below it, but not what merely begins alike', () => {
    const selects = selector({ topics: ['a'], exact: false })
    expect(['a', 'a/b', 'a/b/c'].every(selects)).toBe(true)
    expect(['ab', 'A', 'b/a', 'A/b'].some(selects)).toBe(false)
  })

  it('that is exact leaves out what is below', () => {
    const selects = selector({ topics: ['a', 'b/c'], exact: true })
    expect(['a', 'b/c'].every(selects)).toBe(true)
    expect(['a/b', 'b', 'b/c/d'].some(selects)).toBe(false)
  })

  it('without topics covers nothing', () => {
    fc.assert(fc.property(topics, fc.boolean(), (topic, exact) => !selector({ topics: [], exact })(topic)))
  })

  it('covers what starts with one of its topics and a slash', () => {
    fc.assert(
      fc.property(fc.array(topics, { maxLength: 4 }), topics, fc.boolean(), (chosen, topic, exact) => {
        const covered = chosen.some(above => topic === above || (!exact && topic.startsWith(`${above}/`)))
        expect(selector({ topics: chosen, exact })(topic)).toBe(covered)
      }),
    )
  })
})

describe('ancestry', () => {
  it('is the topic and every topic above it, the longest first', () => {
    expect(ancestry('a/b/c')).toEqual(['a/b/c', 'a/b', 'a'])
    fc.assert(
      fc.property(topics, topic => {
        const segments = topic.split('/')
        expect(ancestry(topic)).toEqual(
          segments.map((_, i) => segments.slice(0, segments.length - i).join('/')),
        )
      }),
    )
  })
})

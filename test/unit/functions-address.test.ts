import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PosternError } from '#protocol'
import { startOf, topicOfPath, topicsOf } from '../../functions/address.ts'
import { Query } from '../../functions/query.ts'

const codeOf = (act: () => unknown) => {
  try {
    act()
  } catch (error) {
    if (error instanceof PosternError) return error.code
    throw error
  }
  return undefined
}

describe('a query', () => {
  it('gives every value as it was put in', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), values => {
        const wellFormed = values.map(value => value.toWellFormed())
        const search = new URLSearchParams(wellFormed.map(value => ['topic', value])).toString()
        expect(new Query(`?${search}`).values('topic')).toEqual(wellFormed)
      }),
    )
  })

  it('knows an encoded name, and a value that is not there', () => {
    const query = new Query('?%74opic=a&exact&b=')
    expect(query.text('topic')).toBe('a')
    expect(query.text('exact')).toBe('')
    expect(query.text('other')).toBeUndefined()
  })

  it('marks what cannot be decoded', () => {
    expect(new Query('?a=%ff&a=%zz&a=%').values('a')).toEqual([undefined, undefined, undefined])
  })

  it.each([
    ['?n=0', 0],
    ['?n=007', 7],
    ['?m=1', undefined],
  ])('%s has the count %j', (search, count) => {
    expect(new Query(search).count('n')).toBe(count)
  })

  it.each(['?n=', '?n=-1', '?n=+1', '?n=1e3', '?n=0x1', '?n=%D9%A1', '?n=1&n=1'])(
    '%s is no count',
    search => {
      expect(codeOf(() => new Query(search).count('n'))).toBe('INVALID_REQUEST')
    },
  )
})

describe('the topic of a path', () => {
  it('is decoded once', () => {
    expect(topicOfPath('/message/q%2Fr', '/message')).toBe('q/r')
    expect(topicOfPath('/message/a%252Fb', '/message')).toBe('a%2Fb')
    expect(topicOfPath('/message/a+b', '/message')).toBe('a+b')
  })

  it('is undefined for the bare route', () => {
    expect(topicOfPath('/message', '/message')).toBeUndefined()
    expect(topicOfPath('/message/', '/message')).toBeUndefined()
  })

  it.each(['/message/%', '/message/%ff', '/message/%2', '/message//'])('%s is refused', path => {
    expect(codeOf(() => topicOfPath(path, '/message'))).toBe('INVALID_TOPIC')
  })
})

describe('the topics of a request', () => {
  const limits = { maxTopics: 2 }

  it('are those of the path and the query, each once', () => {
    expect(topicsOf('a', new Query('?topic=b&topic=a&topic=b/'), limits)).toEqual(['a', 'b'])
    expect(topicsOf(undefined, new Query('?topic=b'), limits)).toEqual(['b'])
    expect(topicsOf(undefined, new Query(''), limits)).toBeUndefined()
  })

  it('are no more than POSTERN_MAX_TOPICS', () => {
    expect(codeOf(() => topicsOf('a', new Query('?topic=b&topic=c'), limits))).toBe('TOO_MANY_TOPICS')
  })
})

describe('the start of a stream', () => {
  it('is the header before the query, and an id before the history', () => {
    expect(startOf('h', new Query('?lastEventId=q&history=3'))).toEqual({ since: 'h' })
    expect(startOf(null, new Query('?lastEventId=q&history=3'))).toEqual({ since: 'q' })
    expect(startOf('', new Query('?lastEventId=&history=3'))).toEqual({ history: 3 })
    expect(startOf(null, new Query(''))).toEqual({})
  })

  it('is refused with a wrong history even where an id beats it', () => {
    expect(codeOf(() => startOf('h', new Query('?history=x')))).toBe('INVALID_REQUEST')
  })
})

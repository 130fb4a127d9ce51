import { describe, expect, it } from 'vitest'
import { describeBearer, explainWish, type Wish } from '../../broker/auth/explanation.ts'
import type { Identity } from '../../broker/auth/identity.ts'
import type { AccessRule } from '../../broker/auth/rules.ts'
import type { TokenBearer } from '../../broker/auth/tokens.ts'

const rules: readonly AccessRule[] = [
  { who: ['user:amy'], publish: ['**'], subscribe: ['**'], history: true },
  { who: ['token:reader', 'anonymous'], publish: [], subscribe: ['news/**'], history: false },
  { who: ['token:*'], publish: ['chat/*'], subscribe: ['**'], history: true },
]
const bearer: TokenBearer = { kind: 'token', name: 'eve', roles: ['reader'], expiresMs: 61_500 }
const wish = (action: Wish['action'], topic: string, exact = false): Wish => ({ action, topic, exact })
const explain = (one: Wish, who: Identity = bearer) => explainWish(who, rules, one)

describe('an explanation', () => {
  it('says which rule let it in', () => {
    expect(explain(wish('publish', 'chat/a'))).toEqual({
      refused: undefined,
      lines: [
        'access.0 (user:amy): is not for this client.',
        'access.1 (token:reader, anonymous): names nothing that fits: publish nothing.',
        'access.2 (token:*): names it by chat/*.',
        'Allowed.',
      ],
    })
  })

  it('says what kept it out', () => {
    const { lines, refused } = explain(wish('publish', 'news'))
    expect(lines).toEqual([
      'access.0 (user:amy): is not for this client.',
      'access.1 (token:reader, anonymous): names nothing that fits: publish nothing.',
      'access.2 (token:*): names nothing that fits: publish chat/*.',
      'Refused: token:eve may not publish on "news".',
    ])
    expect(refused?.code).toBe('FORBIDDEN')
  })

  it('says which rule withholds the past', () => {
    const { lines } = explain(wish('history', 'news'))
    expect(lines.slice(1)).toEqual([
      'access.1 (token:reader, anonymous): names it by news/**, without its past.',
      'access.2 (token:*): names it by **.',
      'Refused: token:eve may not read what was on "news" and what is below it before.',
    ])
  })

  it('says which rule withholds the past of a part', () => {
    const some: AccessRule[] = [
      { who: ['*'], publish: [], subscribe: ['a/secret/*'], history: false },
      { who: ['*'], publish: [], subscribe: ['a/**'], history: true },
    ]
    const { lines, refused } = explainWish(bearer, some, wish('history', 'a'))
    expect(lines[0]).toBe('access.0 (*): withholds the past of some of what is below, by a/secret/*.')
    expect(refused?.code).toBe('FORBIDDEN')
    expect(explainWish(bearer, some, wish('history', 'a', true)).refused).toBeUndefined()
  })

  it('says what the token itself keeps out', () => {
    const scoped = { ...bearer, scope: { publish: ['chat/b'], subscribe: [] } }
    expect(explain(wish('publish', 'chat/a'), scoped).lines.slice(2)).toEqual([
      'access.2 (token:*): names it by chat/*.',
      'The token itself: names nothing that fits: publish chat/b.',
      'Refused: token:eve may not publish on "chat/a".',
    ])
    expect(explain(wish('publish', 'chat/b'), scoped).refused).toBeUndefined()
  })

  it('needs a pattern that covers what is below, unless it is about the topic alone', () => {
    const some: AccessRule[] = [{ who: ['*'], publish: [], subscribe: ['a'], history: true }]
    const of = (one: Wish) => explainWish(bearer, some, one).refused === undefined
    expect([
      of(wish('subscribe', 'a')),
      of(wish('subscribe', 'a', true)),
      of(wish('receive', 'a')),
      of(wish('history', 'a', true)),
    ]).toEqual([false, true, true, true])
  })

  it('without rules is short', () => {
    expect(explainWish({ kind: 'anonymous' }, [], wish('publish', 'a')).lines).toEqual([
      'There are no rules: everybody may do everything.',
      'Allowed.',
    ])
  })
})

it('the bearer of a token is described with what the token is for', () => {
  const scope = { publish: ['chat/b'], subscribe: [] }
  expect(describeBearer({ ...bearer, scope }, 1_000)).toEqual([
    'It is of token:eve, with the roles reader.',
    'It expires 1970-01-01T00:01:01.500Z, in 60 s.',
    'It is for nothing beyond: publish chat/b; subscribe nothing.',
  ])
})

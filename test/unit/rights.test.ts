import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mayPublish, mayReadHistory, mayReceive, maySubscribe } from '#auth'
import { openRights, patternFits, type Rights, type Selection } from '#protocol'
import type { Identity } from '../../broker/auth/identity.ts'
import { type AccessRule, isWho, rightsOf } from '../../broker/auth/rules.ts'

const amy: Identity = { kind: 'user', name: 'amy' }
const anonymous: Identity = { kind: 'anonymous' }
const bearer = (...roles: string[]): Identity => ({ kind: 'token', name: 't', roles })

const rule = (who: string | string[], rest: Partial<AccessRule> = {}): AccessRule => ({
  who: [who].flat(),
  publish: [],
  subscribe: [],
  history: true,
  ...rest,
})

const exactly = (...topics: string[]): Selection => ({ topics, exact: true })
const below = (...topics: string[]): Selection => ({ topics, exact: false })

/** What may be done with a topic: publish, subscribe to it, to all below it, read its past, receive. */
function actions(rights: Rights, topic: string): string {
  const all: readonly [string, unknown][] = [
    ['p', mayPublish(rights, topic)],
    ['s', maySubscribe(rights, exactly(topic))],
    ['S', maySubscribe(rights, below(topic))],
    ['h', mayReadHistory(rights, exactly(topic))],
    ['H', mayReadHistory(rights, below(topic))],
    ['r', mayReceive(rights, topic)],
  ]
  return all.flatMap(([name, refused]) => (refused ? [] : [name])).join('')
}

describe('who a rule is for', () => {
  const identities: readonly Identity[] = [
    anonymous,
    amy,
    { kind: 'user', name: 'bob' },
    bearer(),
    bearer('a', 'b'),
  ]
  it.each<[string | string[], number[]]>([
    ['*', [0, 1, 2, 3, 4]],
    ['anonymous', [0]],
    ['user:amy', [1]],
    ['user:*', [1, 2]],
    ['token:*', [3, 4]],
    ['token:b', [4]],
    ['token:amy', []],
    ['user:a', []],
    [
      ['anonymous', 'user:bob'],
      [0, 2],
    ],
  ])('%j', (who, fits) => {
    const allowed = identities.map(identity =>
      actions(rightsOf(identity, [rule(who, { publish: ['a'] })]), 'a'),
    )
    expect(allowed).toEqual(identities.map((_, i) => (fits.includes(i) ? 'p' : '')))
  })

  it('is said in one of six forms', () => {
    const right = ['anonymous', 'user:amy', 'user:*', 'token:a role', 'token:*', '*']
    const wrong = ['', 'amy', 'user:', 'token:', 'key:x', 'users:amy', '**', 'user', 'Anonymous']
    expect([...right, ...wrong].filter(isWho)).toEqual(right)
  })
})

describe('rights', () => {
  it('are all there are where there is no rule', () => {
    expect(actions(rightsOf(anonymous, []), '$dead/a')).toBe('psShHr')
    expect(rightsOf(anonymous, [])).toEqual(openRights)
  })

  it('are none where no rule fits', () => {
    const rules = [rule('user:bob', { publish: ['**'], subscribe: ['**'] })]
    expect(actions(rightsOf(amy, rules), 'a')).toBe('')
    expect(actions(rightsOf(amy, [rule('*')]), 'a')).toBe('')
  })

  it('come from any rule that fits, for each action', () => {
    const rules = [rule('*', { subscribe: ['a/**'] }), rule('user:amy', { publish: ['a/*'] })]
    expect(actions(rightsOf(amy, rules), 'a/b')).toBe('psShHr')
    expect(actions(rightsOf(amy, rules), 'a')).toBe('sShHr')
    expect(actions(rightsOf(anonymous, rules), 'a/b')).toBe('sShHr')
  })

  it('to what is below a topic need one pattern that covers all of it', () => {
    const rights = rightsOf(amy, [rule('*', { subscribe: ['a', 'a/*', 'b/**'] })])
    expect([actions(rights, 'a'), actions(rights, 'a/b'), actions(rights, 'b')]).toEqual([
      'shr',
      'shr',
      'sShHr',
    ])
    expect(maySubscribe(rights, below('b', 'a'))?.code).toBe('FORBIDDEN')
    expect(maySubscribe(rights, exactly('b', 'a'))).toBeUndefined()
  })

  it('to the past come from the first rule that fits', () => {
    const rules = [
      rule('*', { subscribe: ['a/b/**'], history: false }),
      rule('user:amy', { subscribe: ['a/**'] }),
    ]
    const rights = rightsOf(amy, rules)
    expect(actions(rights, 'a/b')).toBe('sSr')
    expect(actions(rights, 'a/c')).toBe('sShHr')
    // What is below it has a past that is withheld.
    expect(actions(rights, 'a')).toBe('sShr')
    expect(actions(rightsOf(amy, rules.toReversed()), 'a/b')).toBe('sShHr')
  })

  it('to graves come only from a rule that names them', () => {
    expect(
      actions(rightsOf(amy, [rule('*', { publish: ['**'], subscribe: ['**', '*/sms'] })]), '$dead/sms'),
    ).toBe('')
    expect(actions(rightsOf(amy, [rule('*', { subscribe: ['$dead/**'] })]), '$dead/sms')).toBe('sShHr')
    expect(actions(rightsOf(amy, [rule('*', { subscribe: ['$dead/**'] })]), 'sms')).toBe('')
  })

  it('of a token end where it says, and never go beyond the rules', () => {
    const rules = [rule('token:*', { publish: ['a/**'], subscribe: ['a/**'] })]
    const scoped = (publish: string[], subscribe: string[]) =>
      rightsOf({ kind: 'token', name: 't', roles: [], scope: { publish, subscribe } }, rules)
    expect(actions(scoped(['a/b'], ['a/b/**']), 'a/b')).toBe('psShHr')
    expect(actions(scoped(['a/b'], ['a/b']), 'a/b')).toBe('pshr')
    expect(actions(scoped(['a/b'], ['a/b']), 'a')).toBe('')
    expect(actions(scoped(['**'], ['**']), 'b')).toBe('')
    expect(actions(scoped([], []), 'a')).toBe('')
  })
})

describe('a refusal', () => {
  const rules = [rule('user:root', { publish: ['secret/plans'], subscribe: ['secret/**'] })]

  it.each([
    [mayPublish(rightsOf(amy, rules), 'a'), 'user:amy may not publish on "a".'],
    [maySubscribe(rightsOf(amy, rules), exactly('a')), 'user:amy may not subscribe to "a".'],
    [
      maySubscribe(rightsOf(amy, rules), below('a')),
      'user:amy may not subscribe to "a" and what is below it.',
    ],
    [mayReadHistory(rightsOf(amy, rules), exactly('a')), 'user:amy may not subscribe to "a".'],
    [
      mayReadHistory(rightsOf(amy, [rule('*', { subscribe: ['a'], history: false })]), exactly('a')),
      'user:amy may not read what was on "a" before.',
    ],
    [mayReceive(rightsOf(amy, rules), 'a'), 'user:amy may not receive from "a".'],
  ])('names who, what and the topic: %s', (refused, message) => {
    expect(refused).toMatchObject({ code: 'FORBIDDEN', message })
  })

  it('of whoever has not logged in says so', () => {
    expect(mayPublish(rightsOf(anonymous, rules), 'a')).toMatchObject({
      code: 'UNAUTHORIZED',
      message: 'Log in first: anonymous may not publish on "a".',
    })
  })
})

describe('rules of any kind', () => {
  const segment = fc.constantFrom('a', 'b', '*')
  const pattern = fc
    .tuple(fc.array(segment, { maxLength: 3 }), fc.constantFrom([], ['**']), fc.constantFrom('', '$dead/'))
    .map(([parts, end, space]) => space + [...parts, ...end].join('/'))
    .filter(text => text !== '' && !text.endsWith('/'))
  const patterns = fc.array(pattern, { maxLength: 3 })
  const who = fc.constantFrom('*', 'anonymous', 'user:amy', 'user:bob', 'user:*', 'token:a', 'token:*')
  const anyRule: fc.Arbitrary<AccessRule> = fc.record({
    who: fc.array(who, { minLength: 1, maxLength: 2 }),
    publish: patterns,
    subscribe: patterns,
    history: fc.boolean(),
  })
  const rules = fc.array(anyRule, { minLength: 1, maxLength: 5 })
  const identity: fc.Arbitrary<Identity> = fc.oneof(
    fc.constant(anonymous),
    fc.constant(amy),
    fc.record({ publish: patterns, subscribe: patterns }).map(scope => ({
      kind: 'token' as const,
      name: 't',
      roles: ['a'],
      scope,
    })),
  )
  const topic = fc
    .tuple(
      fc.constantFrom('', '$dead/'),
      fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 }),
    )
    .map(([space, parts]) => space + parts.join('/'))

  it('allow what one of them says for that client, and nothing else', () => {
    fc.assert(
      fc.property(rules, identity, topic, (all, who, one) => {
        const isFor = ({ who: forms }: AccessRule) =>
          forms.some(form =>
            form === '*'
              ? true
              : who.kind === 'token'
                ? form === 'token:*' || form === 'token:a'
                : who.kind === 'user'
                  ? form === 'user:*' || form === 'user:amy'
                  : form === 'anonymous',
          )
        const names = (list: readonly string[]) => list.some(pattern => patternFits(pattern, one))
        const scope = who.kind === 'token' ? who.scope : undefined
        const rights = rightsOf(who, all)
        const publishes = all.some(rule => isFor(rule) && names(rule.publish))
        expect(mayPublish(rights, one) === undefined).toBe(publishes && (!scope || names(scope.publish)))
        const first = all.find(rule => isFor(rule) && names(rule.subscribe))
        const subscribes = first !== undefined && (!scope || names(scope.subscribe))
        expect(maySubscribe(rights, exactly(one)) === undefined).toBe(subscribes)
        expect(mayReceive(rights, one) === undefined).toBe(subscribes)
        expect(mayReadHistory(rights, exactly(one)) === undefined).toBe(subscribes && first.history)
      }),
      { numRuns: 5000 },
    )
  })

  it('allow a topic with what is below it only where they allow each of these', () => {
    fc.assert(
      fc.property(
        rules,
        identity,
        topic,
        fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 }),
        (all, who, one, more) => {
          const rights = rightsOf(who, all)
          const inside = exactly([one, ...more].join('/'))
          if (!maySubscribe(rights, below(one))) expect(maySubscribe(rights, inside)).toBeUndefined()
          if (!mayReadHistory(rights, below(one))) expect(mayReadHistory(rights, inside)).toBeUndefined()
        },
      ),
      { numRuns: 5000 },
    )
  })

  it('take nothing from a client when another client gets a rule', () => {
    fc.assert(
      fc.property(rules, topic, fc.nat(5), (all, one, at) => {
        const other = rule('user:bob', { publish: ['**'], subscribe: ['**', '$dead/**'], history: false })
        const more = all.toSpliced(at, 0, other)
        expect(actions(rightsOf(amy, more), one)).toBe(actions(rightsOf(amy, all), one))
      }),
    )
  })
})

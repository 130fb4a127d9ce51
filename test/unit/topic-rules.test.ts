import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../broker/config.ts'
import { TopicRules } from '../../broker/topic-rules.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-rules-'))
afterAll(() => rmSync(folder, { recursive: true }))

function load(settings: object, env: Record<string, string> = {}) {
  const file = join(folder, 'config')
  writeFileSync(file, JSON.stringify(settings))
  return loadConfig({ ...env, POSTERN_CONFIG: file })
}

const rulesOf = (topics: object) => new TopicRules(load({ topics }).topics)

describe('the rule of a topic', () => {
  it('is the first one whose pattern fits', () => {
    const rules = rulesOf({
      'a/b': { receivers: 1 },
      'a/*': { receivers: 2 },
      'a/**': { receivers: 3 },
      '*/x/*': { receivers: 4 },
      '**': { receivers: 5 },
    })
    const topics = ['a/b', 'a/c', 'a/b/c', 'b/x/c', 'a', 'A/b', 'b/x/c/d']
    expect(topics.map(topic => rules.of(topic)?.receivers)).toEqual([1, 2, 3, 4, 3, 5, 5])
    expect(rules.of('a/b')?.pattern).toBe('a/b')
  })

  it('has a default for whatever it does not say', () => {
    expect(rulesOf({ sms: { durable: true } }).of('sms')).toEqual({
      pattern: 'sms',
      durable: true,
      receivers: 0,
      delivery: 'all',
      maxKept: 1_000_000,
      maxKeptBytes: 2 ** 30,
      keptAgeS: 0,
      maxDeliveries: 0,
      legacy: false,
    })
  })

  it('is there for no topic that no pattern fits, and for none of the system', () => {
    const rules = rulesOf({ '**': { durable: true }, 'a/*': {} })
    expect(['$push/a', '$bus/a', '$probe'].map(topic => rules.of(topic))).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(rulesOf({ 'a/*': {} }).of('a')).toBeUndefined()
  })

  it('lets a pattern except topics from those that follow', () => {
    const rules = rulesOf({ 'a/b': {}, 'a/**': { durable: true } })
    expect([rules.durable('a/b'), rules.durable('a/c')?.pattern]).toEqual([undefined, 'a/**'])
    expect([rules.hasDurable, rulesOf({ a: {} }).hasDurable]).toEqual([true, false])
  })

  it('holds for its grave, from which each message goes to one receiver', () => {
    const rules = rulesOf({
      sms: { durable: true, receivers: 1, delivery: 'all', maxDeliveries: 3, keptAgeS: 60 },
    })
    expect(rules.durable('$dead/sms')).toMatchObject({
      pattern: 'sms',
      delivery: 'one',
      receivers: 0,
      maxDeliveries: 0,
      keptAgeS: 60,
    })
    expect(rules.durable('$dead/other')).toBeUndefined()
  })

  it('is found again for any number of topics', () => {
    const rules = rulesOf({ 'a/*': { durable: true } })
    for (let i = 0; i < 3000; i++) expect(rules.durable(`a/${i}`)?.pattern).toBe('a/*')
    expect(rules.durable('b')).toBeUndefined()
  })
})

describe('a wrong setting', () => {
  it.each<[object, string]>([
    [{ topics: { 'a//b': {} } }, 'The setting topics.a//b is "a//b": the pattern is not a topic'],
    [{ topics: { $sys: {} } }, 'Topics that begin with "$" belong to the system'],
    [{ topics: { 'a/**/b': {} } }, 'has "**" only as its last segment'],
    [{ topics: { 'a/': {} } }, 'must not end in a slash'],
    [
      { topics: { a: { durable: 'yes' } } },
      'The setting topics.a.durable is "yes": allowed is true or false.',
    ],
    [{ topics: { a: { delivery: 'some' } } }, 'allowed is "all" or "one"'],
    [{ topics: { a: { receivers: -1 } } }, 'allowed is a whole number from 0 to 1000000'],
    [{ topics: { a: { durabel: true } } }, 'topics.a.durabel is true: it is not known; known are durable,'],
    [
      { kept: { connector: 'pg' } },
      'The setting kept.connector is "pg": allowed is "node-sqlite" or "mysql2".',
    ],
    [{ kept: { table: 'a; --' } }, 'The setting kept.table is "a; --": allowed are up to 48 letters'],
    [{ kept: { options: { password: 'env://NOPE' } } }, 'password is env://NOPE, which is not set'],
  ])('is told in one line: %o', (settings, line) => {
    expect(() => load(settings)).toThrow(line)
  })

  it('is none of what comes from the environment', () => {
    const { kept } = load({ kept: { options: { password: 'env://SECRET', port: 3306 } } }, { SECRET: 's' })
    expect(kept.options).toEqual({ password: 's', port: 3306 })
  })
})

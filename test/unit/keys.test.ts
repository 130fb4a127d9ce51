import { describe, expect, it } from 'vitest'
import type { KeyEntry } from '../../broker/journal/journal.ts'
import { KeyTable } from '../../broker/keys.ts'

const bounds = { idempotencyMs: 1000, maxIdempotencyKeys: 100 }

function entry(key: string, fields: Partial<KeyEntry> = {}): KeyEntry {
  return {
    identity: '',
    topic: 'chat',
    key,
    fingerprint: 'f',
    epoch: 'aaaaaaaaaaaa',
    offset: 1,
    timeMs: 0,
    ...fields,
  }
}

const keysOf = (entries: Iterable<KeyEntry>) => [...entries].map(({ key }) => key)

describe('the keys of the recent past', () => {
  it('belong to an identity and a topic', () => {
    const table = new KeyTable(bounds)
    table.remember(entry('k', { identity: 'amy', topic: 'a', offset: 1 }))
    table.remember(entry('k', { identity: 'bob', topic: 'a', offset: 2 }))
    table.remember(entry('k', { identity: 'amy', topic: 'b', offset: 3 }))

    expect(table.find('amy', 'a', 'k', 0)?.offset).toBe(1)
    expect(table.find('bob', 'a', 'k', 0)?.offset).toBe(2)
    expect(table.find('amy', 'b', 'k', 0)?.offset).toBe(3)
    expect(table.find('bob', 'b', 'k', 0)).toBeUndefined()
    expect(table.find('', 'a', 'k', 0)).toBeUndefined()
  })

  it('are forgotten after their time, and not before', () => {
    const table = new KeyTable(bounds)
    table.remember(entry('k', { timeMs: 500 }))
    expect(table.find('', 'chat', 'k', 1500)).toBeDefined()
    expect(table.find('', 'chat', 'k', 1501)).toBeUndefined()
  })

  it('take no room after their time', () => {
    const table = new KeyTable(bounds)
    table.remember(entry('old', { timeMs: 0 }))
    table.remember(entry('older than its time', { timeMs: 1 }))
    table.remember(entry('new', { timeMs: 1001 }))
    expect(keysOf(table.current(1001))).toEqual(['older than its time', 'new'])
    expect(table.size).toBe(2)
  })

  it('are bounded: the oldest go first', () => {
    const table = new KeyTable({ ...bounds, maxIdempotencyKeys: 3 })
    for (let i = 1; i <= 5; i++) table.remember(entry(`k${i}`, { timeMs: i }))
    expect(keysOf(table.current(5))).toEqual(['k3', 'k4', 'k5'])
  })

  it('are not kept at all when the bound is none', () => {
    const table = new KeyTable({ ...bounds, maxIdempotencyKeys: 0 })
    table.remember(entry('k'))
    expect(table.size).toBe(0)
  })

  it('count from their last use as new keys', () => {
    const table = new KeyTable({ ...bounds, maxIdempotencyKeys: 2 })
    table.remember(entry('a', { timeMs: 0, offset: 1 }))
    table.remember(entry('b', { timeMs: 10 }))
    table.remember(entry('a', { timeMs: 2000, offset: 9 }))
    expect(table.find('', 'chat', 'a', 2000)?.offset).toBe(9)
    expect(keysOf(table.current(1000))).toEqual(['a'])
  })

  it('can be forgotten at once', () => {
    const table = new KeyTable(bounds)
    table.remember(entry('k'))
    table.forget(entry('k'))
    expect(table.find('', 'chat', 'k', 0)).toBeUndefined()
  })

  it('take over narrower bounds', () => {
    const table = new KeyTable(bounds)
    for (const key of ['a', 'b', 'c']) table.remember(entry(key))
    table.bounds = { idempotencyMs: 1000, maxIdempotencyKeys: 1 }
    table.remember(entry('d'))
    expect(keysOf(table.current(0))).toEqual(['d'])
  })

  it('are counted when they go before their time because there are too many', () => {
    const table = new KeyTable({ idempotencyMs: 1000, maxIdempotencyKeys: 2 })
    for (const key of ['a', 'b', 'c']) table.remember(entry(key))
    expect(table.forgottenEarly).toBe(1)
    table.remember(entry('d', { timeMs: 5000 }))
    expect(table.forgottenEarly).toBe(1)
  })
})

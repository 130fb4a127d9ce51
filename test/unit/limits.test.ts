import { describe, expect, it } from 'vitest'
import { Crowd, isLoopbackAddress, networkOf, TokenBuckets } from '#limits'

describe('token buckets', () => {
  it('let a second’s worth in at once and as much again, and then as much as comes', () => {
    const buckets = new TokenBuckets(() => 10)
    for (let i = 0; i < 20; i++) {
      expect(buckets.waitMs('a', 1, 0)).toBe(0)
      buckets.take('a', 1, 0)
    }
    expect(buckets.waitMs('a', 1, 0)).toBeGreaterThan(0)
    expect(buckets.waitMs('a', 1, 100)).toBe(0)
    buckets.take('a', 1, 100)
    expect(buckets.waitMs('a', 1, 100)).toBeGreaterThan(0)
  })

  it('are filled by no rest beyond that', () => {
    const buckets = new TokenBuckets(() => 10)
    buckets.take('a', 20, 0)
    for (let i = 0; i < 20; i++) buckets.take('a', 1, 3_600_000)
    expect(buckets.waitMs('a', 1, 3_600_000)).toBeGreaterThan(0)
  })

  it('let something in that is larger than they are when they are full, and are paid for it afterwards', () => {
    const buckets = new TokenBuckets(() => 10)
    expect(buckets.waitMs('a', 1, 0)).toBe(0)
    buckets.take('a', 120, 0)
    expect(buckets.waitMs('a', 1, 0)).toBe(10_100)
    expect(buckets.waitMs('a', 120, 0)).toBe(12_000)
    expect(buckets.waitMs('a', 120, 11_999)).toBe(1)
    expect(buckets.waitMs('a', 120, 12_000)).toBe(0)
  })

  it('are one for each name, and none where there is no limit', () => {
    const buckets = new TokenBuckets(() => 1)
    buckets.take('a', 5, 0)
    expect(buckets.waitMs('b', 1, 0)).toBe(0)
    const none = new TokenBuckets(() => 0)
    none.take('a', 1e9, 0)
    expect(none.waitMs('a', 1, 0)).toBe(0)
  })

  it('forget the oldest name of too many', () => {
    const buckets = new TokenBuckets(() => 1)
    buckets.take('first', 5, 0)
    buckets.take('second', 5, 0)
    for (let i = 0; i < 9_999; i++) buckets.take(`later ${i}`, 5, 0)
    expect(buckets.waitMs('first', 1, 0)).toBe(0)
    expect(buckets.waitMs('second', 1, 0)).toBeGreaterThan(0)
  })
})

it('a crowd is full at its limit, and has room again when somebody leaves', () => {
  const crowd = new Crowd()
  crowd.enter('a')
  crowd.enter('a')
  expect([crowd.isFull('a', 2), crowd.isFull('a', 3), crowd.isFull('b', 1), crowd.isFull('a', 0)]).toEqual([
    true,
    false,
    false,
    false,
  ])
  crowd.leave('a')
  expect(crowd.isFull('a', 2)).toBe(false)
  crowd.leave('a')
  expect(crowd.isFull('a', 1)).toBe(false)
})

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:db8::6', '2001:db8:0:0'],
  ['::1', '0:0:0:0'],
])('the network of %s is %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})

it.each([
  ['127.0.0.1', true],
  ['127.255.1.2', true],
  ['::1', true],
  ['::ffff:127.0.0.1', true],
  ['128.0.0.1', false],
  ['::ffff:192.0.2.7', false],
  ['::2', false],
])('%s is the machine’s own: %s', (address, is) => {
  expect(isLoopbackAddress(address)).toBe(is)
})

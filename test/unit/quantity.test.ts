import { describe, expect, it } from 'vitest'
import { counted, inBytes, inRate, inTime } from '../../broker/commands/quantity.ts'

describe('bytes', () => {
  it.each([
    [0, '0 bytes'],
    [1023, '1,023 bytes'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [831_488, '812 KiB'],
    [60_686_336, '57.9 MiB'],
    [2 ** 50, '1,024 TiB'],
  ])('%i are %s', (bytes, text) => {
    expect(inBytes(bytes)).toBe(text)
  })
})

describe('a time', () => {
  it.each([
    [0, '0 s'],
    [999, '0 s'],
    [59_999, '59 s'],
    [60_000, '1 min'],
    [3_599_000, '59 min 59 s'],
    [11_520_000, '3 h 12 min'],
    [3_601_000, '1 h'],
    [604_800_000, '7 d'],
    [694_800_000, '8 d 1 h'],
  ])('of %i ms is %s', (ms, text) => {
    expect(inTime(ms)).toBe(text)
  })
})

it('counts one and many', () => {
  expect([0, 1, 1042].map(count => counted(count, 'message'))).toEqual([
    '0 messages',
    '1 message',
    '1,042 messages',
  ])
  expect(counted(2, 'process', 'processes')).toBe('2 processes')
})

it('says fractions of a rate only where they matter', () => {
  expect([0, 0.44, 12, 99.96, 23_592.9].map(inRate)).toEqual(['0/s', '0.4/s', '12/s', '100/s', '23,593/s'])
})

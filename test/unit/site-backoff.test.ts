import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { backoffMs } from '../../site/backoff.ts'

describe('the wait before the page connects again', () => {
  it('begins at one to two seconds and ends at seven and a half to fifteen', () => {
    expect([backoffMs(0, 0), backoffMs(0, 0.999_999)]).toEqual([1_000, 2_000])
    expect([backoffMs(50, 0), backoffMs(50, 0.999_999)]).toEqual([7_500, 15_000])
  })

  it('never leaves one to fifteen seconds, and never shrinks with more failures', () => {
    fc.assert(
      fc.property(fc.nat(2_000), fc.double({ min: 0, max: 0.999_999, noNaN: true }), (failures, random) => {
        const waitMs = backoffMs(failures, random)
        expect(waitMs).toBeGreaterThanOrEqual(1_000)
        expect(waitMs).toBeLessThanOrEqual(15_000)
        expect(backoffMs(failures + 1, random)).toBeGreaterThanOrEqual(waitMs)
      }),
    )
  })
})

import { describe, expect, it } from 'vitest'
import { Audience } from '../../broker/audience.ts'

describe('the audience', () => {
  it('is that of all processes', () => {
    const audience = new Audience()
    audience.report('a', { subscribers: 3, delivered: 0 }, 0)
    audience.report('b', { subscribers: 4, delivered: 0 }, 0)
    audience.report('a', { subscribers: 2, delivered: 10 }, 1)
    audience.report('b', { subscribers: 4, delivered: 5 }, 1)
    expect([audience.subscribers, audience.delivered]).toEqual([6, 15])
  })

  it('does not count again what a process has delivered before it came', () => {
    const audience = new Audience()
    audience.report('a', { subscribers: 1, delivered: 1000 }, 0)
    audience.report('a', { subscribers: 1, delivered: 1003 }, 1)
    expect(audience.delivered).toBe(3)
  })

  it('loses the subscribers of a silent process, and keeps what was delivered', () => {
    const audience = new Audience()
    audience.report('a', { subscribers: 1, delivered: 0 }, 0)
    audience.report('a', { subscribers: 1, delivered: 7 }, 100)
    audience.expire(1100, 1000)
    expect(audience.subscribers).toBe(1)
    audience.expire(1101, 1000)
    expect([audience.subscribers, audience.delivered]).toEqual([0, 7])
  })
})

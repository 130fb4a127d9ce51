import { describe, expect, it } from 'vitest'
import { Flow } from '../../broker/flow.ts'

const bounds = { maxLagBytes: 100, peerTimeoutMs: 1000 }

/** A flow, and what it has let go of. */
function begin() {
  const flow = new Flow(bounds)
  const released: string[] = []
  return { flow, released, receipt: (name: string) => flow.whenFollowed(() => released.push(name)) }
}

describe('receipts', () => {
  it('are given at once while no functions process is there', () => {
    const { flow, released, receipt } = begin()
    flow.published(1, 1000)
    receipt('a')
    expect(released).toEqual(['a'])
    expect(flow.lagBytes).toBe(0)
  })

  it('are given at once while the functions follow', () => {
    const { flow, released, receipt } = begin()
    flow.report('p', 0, 0)
    flow.published(1, 100)
    receipt('a')
    expect(released).toEqual(['a'])
  })

  it('are withheld while even the fastest process is further behind, and then given in their order', () => {
    const { flow, released, receipt } = begin()
    flow.report('fast', 0, 0)
    flow.report('slow', 0, 0)
    flow.published(10, 60)
    flow.published(20, 60)
    receipt('a')
    receipt('b')
    expect([released, flow.withheld, flow.lagBytes]).toEqual([[], 2, 120])

    flow.report('slow', 9, 1)
    expect(released).toEqual([])
    flow.report('fast', 10, 1)
    expect([released, flow.withheld, flow.lagBytes]).toEqual([['a', 'b'], 0, 60])
  })

  it('do not overtake those that are withheld', () => {
    const { flow, released, receipt } = begin()
    flow.report('p', 0, 0)
    flow.published(1, 200)
    receipt('first')
    flow.bounds = { ...bounds, maxLagBytes: 1000 }
    receipt('second')
    expect(released).toEqual([])
    flow.report('p', 0, 1)
    expect(released).toEqual(['first', 'second'])
  })

  it('are not held back by a process that has fallen silent', () => {
    const { flow, released, receipt } = begin()
    flow.report('p', 0, 0)
    flow.published(1, 500)
    receipt('a')
    flow.expire(1000)
    expect(released).toEqual([])
    flow.expire(1001)
    expect([released, flow.peers, flow.lagBytes]).toEqual([['a'], 0, 0])
  })

  it('are held back by what is left when the fastest process has gone', () => {
    const { flow, released, receipt } = begin()
    flow.report('fast', 0, 0)
    flow.report('slow', 0, 0)
    flow.published(1, 80)
    flow.report('fast', 1, 0)
    flow.report('slow', 0, 900)
    flow.expire(1100)
    flow.published(2, 80)
    receipt('a')
    expect([flow.peers, released]).toEqual([1, ['a']])
    flow.published(3, 80)
    receipt('b')
    expect(released).toEqual(['a'])
    flow.report('slow', 2, 1100)
    expect(released).toEqual(['a', 'b'])
  })

  it('are not held back by what was published before the first process came', () => {
    const { flow, released, receipt } = begin()
    flow.published(1, 5000)
    flow.report('late', 0, 0)
    receipt('a')
    expect(released).toEqual(['a'])
  })

  it('are never counted as followed in advance', () => {
    const { flow, released, receipt } = begin()
    flow.report('p', 1_000_000, 0)
    flow.published(1, 200)
    receipt('a')
    expect(released).toEqual([])
  })
})

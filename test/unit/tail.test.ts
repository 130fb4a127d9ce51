import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Batch, heldBytes, Tail } from '#protocol'
import { collectGarbage } from '../support/garbage.ts'
import { batchOf, publication } from '../support/publications.ts'

const epoch = 'aaaaaaaaaaaa'

function batch(first: number, count: number, payloadBytes = 10): Batch {
  const payload = new Uint8Array(payloadBytes)
  return batchOf(
    Array.from({ length: count }, () => publication({ payload })),
    { epoch, first },
  )
}

const begin = (maxBytes = 1_000_000, offset = 0) => new Tail(maxBytes, { epoch, offset })
const firsts = (batches: Iterable<Batch>) => [...batches].map(({ first }) => first)

describe('a tail', () => {
  it('begins where the log stands, and reaches back to there', () => {
    const tail = begin(1000, 41)
    expect(tail.position).toEqual({ epoch, offset: 41 })
    expect(tail.floor).toBe(41)
    expect(tail.reachesBack({ epoch, offset: 41 })).toBe(true)
    expect(tail.reachesBack({ epoch, offset: 40 })).toBe(false)
    expect([...tail.after(41)]).toEqual([])
  })

  it('gives the batches that hold messages after an offset, also from within one', () => {
    const tail = begin()
    for (const first of [1, 4, 7]) tail.push(batch(first, 3))
    expect(firsts(tail.after(0))).toEqual([1, 4, 7])
    expect(firsts(tail.after(3))).toEqual([4, 7])
    expect(firsts(tail.after(4))).toEqual([4, 7])
    expect(firsts(tail.after(8))).toEqual([7])
    expect(firsts(tail.after(9))).toEqual([])
  })

  it('does not reach to another epoch, nor past its end', () => {
    const tail = begin()
    tail.push(batch(1, 3))
    expect(tail.reachesBack({ epoch: 'bbbbbbbbbbbb', offset: 2 })).toBe(false)
    expect(tail.reachesBack({ epoch, offset: 3 })).toBe(true)
    expect(tail.reachesBack({ epoch, offset: 4 })).toBe(false)
  })

  it('takes nothing but the batch that follows', () => {
    const tail = begin()
    tail.push(batch(1, 3))
    expect(() => tail.push(batch(3, 1))).toThrow(RangeError)
    expect(() => tail.push(batch(5, 1))).toThrow(RangeError)
    expect(() => tail.push(batchOf([publication()], { epoch: 'bbbbbbbbbbbb', first: 4 }))).toThrow(RangeError)
    expect(tail.position.offset).toBe(3)
  })

  it('takes no room for an empty batch', () => {
    const tail = begin()
    tail.push(batch(1, 0))
    expect([tail.byteLength, firsts(tail.after(0))]).toEqual([0, []])
  })

  it('keeps the newest batch, however large it is', () => {
    const tail = begin(100)
    tail.push(batch(1, 1))
    tail.push(batch(2, 1, 5000))
    expect(firsts(tail.after(0))).toEqual([2])
    expect(tail.floor).toBe(1)
  })

  it('begins anew at another place and forgets everything', () => {
    const tail = begin()
    tail.push(batch(1, 3))
    tail.restart({ epoch: 'bbbbbbbbbbbb', offset: 70 })
    expect(tail.position).toEqual({ epoch: 'bbbbbbbbbbbb', offset: 70 })
    expect([tail.byteLength, tail.floor, [...tail.after(0)]]).toEqual([0, 70, []])
  })

  it('is the newest batches within its bound, like a list that drops its first ones', () => {
    const sizes = fc.record({ count: fc.integer({ min: 0, max: 4 }), payloadBytes: fc.nat(300) })
    fc.assert(
      fc.property(
        fc.array(sizes, { maxLength: 300 }),
        fc.integer({ min: 100, max: 4000 }),
        (pushed, maxBytes) => {
          const tail = begin(maxBytes)
          const model: Batch[] = []
          let last = 0
          for (const { count, payloadBytes } of pushed) {
            const next = batch(last + 1, count, payloadBytes)
            tail.push(next)
            last += count
            if (count > 0) model.push(next)
            while (model.length > 1 && sum(model) > maxBytes) model.shift()
            expect(tail.byteLength).toBe(sum(model))
            expect(tail.floor).toBe(model[0] ? model[0].first - 1 : 0)
          }
          for (let offset = 0; offset <= last; offset++) {
            expect(firsts(tail.after(offset))).toEqual(firsts(model.filter(kept => kept.last > offset)))
          }
        },
      ),
      { numRuns: 20 },
    )
  })

  it('holds on to no batch that it has dropped', async () => {
    const tail = begin(1)
    const dropped = new WeakRef(push(tail, 1))
    push(tail, 2)
    await collectGarbage()
    expect(dropped.deref()).toBeUndefined()
  })
})

function push(tail: Tail, first: number): Batch {
  const next = batch(first, 1)
  tail.push(next)
  return next
}

function sum(batches: readonly Batch[]): number {
  return batches.reduce((total, batch) => total + heldBytes(batch), 0)
}

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { OffsetHeap } from '../../broker/offset-heap.ts'

it('gives back what was put in, the oldest first, whatever is taken in between', () => {
  const steps = fc.array(fc.oneof(fc.constant('pop' as const), fc.nat(1_000_000)))
  fc.assert(
    fc.property(steps, all => {
      const heap = new OffsetHeap()
      const model: { offset: number }[] = []
      for (const step of all) {
        if (step === 'pop') expect(heap.pop()?.offset).toBe(model.shift()?.offset)
        else {
          heap.push({ offset: step })
          model.push({ offset: step })
          model.sort((a, b) => a.offset - b.offset)
        }
        expect([heap.first?.offset, heap.size]).toEqual([model[0]?.offset, model.length])
      }
      while (model.length > 0) expect(heap.pop()?.offset).toBe(model.shift()?.offset)
      expect(heap.pop()).toBeUndefined()
    }),
  )
})

import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Fifo } from '../../broker/fifo.ts'

it('gives back what was put in, in its order, whatever is taken in between', () => {
  const steps = fc.array(fc.record({ push: fc.nat(200), shift: fc.nat(250) }), { maxLength: 8 })
  fc.assert(
    fc.property(steps, fc.nat(5), (all, count) => {
      const model = Array.from({ length: count }, (_, number) => ({ number }))
      const fifo = new Fifo(model)
      let number = count
      for (const { push, shift } of all) {
        for (let i = 0; i < push; i++) {
          const item = { number: number++ }
          fifo.push(item)
          model.push(item)
        }
        for (let i = 0; i < shift; i++) expect(fifo.shift()).toBe(model.shift())
        expect([...fifo]).toEqual(model)
        expect(fifo.length).toBe(model.length)
      }
    }),
    { numRuns: 50 },
  )
})

import { expect, it } from 'vitest'
import { Rates } from '../../broker/rates.ts'

it('are those since the first look while that is not long ago', () => {
  const rates = new Rates()
  rates.look({ published: 100, delivered: 0 }, 0)
  expect(rates.perSecond({ published: 110, delivered: 40 }, 2000)).toEqual({
    publishedPerS: 5,
    deliveredPerS: 20,
  })
})

it('are those of the last ten seconds after that', () => {
  const rates = new Rates()
  for (let s = 0; s <= 60; s += 2)
    rates.look({ published: s < 50 ? 0 : (s - 50) * 10, delivered: 0 }, s * 1000)
  expect(rates.perSecond({ published: 100, delivered: 0 }, 60_000).publishedPerS).toBe(10)
})

it('are 0 before anything was looked at', () => {
  expect(new Rates().perSecond({ published: 5, delivered: 5 }, 0)).toEqual({
    publishedPerS: 0,
    deliveredPerS: 0,
  })
})

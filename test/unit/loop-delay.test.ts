import { expect, it } from 'vitest'
import { LoopDelay } from '../../broker/metrics/loop-delay.ts'
import { TestTimer } from '../support/timer.ts'

function looking() {
  const timer = new TestTimer()
  const delay = new LoopDelay({ nowMs: () => timer.nowMs, timer: timer.start })
  const sampleOf = (name: string, le?: string) =>
    delay.read().values.find(({ metricName, labels }) => metricName?.endsWith(name) && labels['le'] === le)
      ?.value
  return { timer, delay, sampleOf }
}

it('nobody’s event loop is looked at before somebody asks', () => {
  const { timer, delay } = looking()
  expect(timer.pending).toBe(0)
  delay.read()
  delay.read()
  expect(timer.pending).toBe(1)
})

it('the delay is how much later than a second the timer comes', () => {
  const { timer, sampleOf } = looking()
  sampleOf('_count')
  timer.pass(1000)
  timer.pass(1040)
  timer.pass(10_000)
  expect(sampleOf('_count')).toBe(3)
  expect(sampleOf('_sum')).toBeCloseTo(9.04)
  expect(sampleOf('_bucket', '0.001')).toBe(1)
  expect(sampleOf('_bucket', '0.025')).toBe(1)
  expect(sampleOf('_bucket', '0.05')).toBe(2)
  expect(sampleOf('_bucket', '5')).toBe(2)
  expect(sampleOf('_bucket', '+Inf')).toBe(3)
})

it('the looking ends when nobody has asked for five minutes, and begins again with the next', () => {
  const { timer, delay } = looking()
  delay.read()
  for (let second = 0; second < 299; second++) timer.pass(1000)
  expect(timer.pending).toBe(1)
  timer.pass(1000)
  expect(timer.pending).toBe(0)
  delay.read()
  expect(timer.pending).toBe(1)
})

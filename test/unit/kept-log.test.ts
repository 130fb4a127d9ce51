import { expect, it } from 'vitest'
import { KeptBatches } from '../../broker/kept-log.ts'
import type { Batch, Position } from '../../broker/protocol/index.ts'
import { rowOf } from '../support/kept-rows.ts'
import { textOf } from '../support/publications.ts'

const epoch = 'aaaaaaaaaaaa'

/** A log of what was put into it; it takes as many batches as it is let. */
class TestLog {
  readonly texts: string[][] = []
  room = Number.POSITIVE_INFINITY
  #next = 1

  logKeptBatch(batch: Batch): Position | undefined {
    if (this.texts.length === this.room) return undefined
    this.texts.push(batch.messages.map(textOf))
    const first = this.#next
    this.#next += batch.count
    return { epoch, offset: first }
  }
}

const rowsOf = (...numbers: number[]) => numbers.map(number => rowOf(number, { text: `${number}` }))

it('logs rows that were prepared as it logs others, each once and in their order', () => {
  const log = new TestLog()
  const kept = new KeptBatches(log)
  const [first, second, third] = [rowsOf(1, 2), rowsOf(3), rowsOf(4)]
  kept.prepare(first)
  kept.prepare(third)
  const places = [first, second, third].flatMap(rows => kept.logKept(rows))
  expect(log.texts).toEqual([['1', '2'], ['3'], ['4']])
  expect(places).toEqual([1, 2, 3, 4].map(offset => ({ epoch, offset })))
})

it('logs what is left of rows whose journal could not be written, with what has come since', () => {
  const log = new TestLog()
  const kept = new KeptBatches(log)
  const large = 40 * 1024
  const rows = [1, 2, 3].map(number => rowOf(number, { payload: Buffer.alloc(large, `${number}`) }))
  const later = rowsOf(4)
  kept.prepare(rows)
  kept.prepare(later)
  log.room = 1
  expect(kept.logKept(rows)).toEqual([{ epoch, offset: 1 }])
  log.room = Number.POSITIVE_INFINITY
  expect(kept.logKept([...rows.slice(1), ...later])).toHaveLength(3)
  expect(log.texts.flat().map(text => text[0])).toEqual(['1', '2', '3', '4'])
})

it('logs rows one by one that were prepared together', () => {
  const log = new TestLog()
  const kept = new KeptBatches(log)
  const rows = rowsOf(1, 2, 3)
  kept.prepare(rows)
  for (const row of rows) kept.logKept([row])
  expect(log.texts).toEqual([['1'], ['2'], ['3']])
})

import { expect, it } from 'vitest'
import { buffersOf, packRows, unpackRows } from '../../broker/kept/packed-rows.ts'
import { rowOf } from '../support/kept-rows.ts'

const key = { key: 'k', identity: 'amy', fingerprint: 'f' }

it('gives rows to another thread as they are, each topic and type among others that look alike', () => {
  const rows = [
    rowOf(1, { topic: 'a', type: 'b' }),
    rowOf(2, { topic: 'ab', type: '', idempotency: key }),
    rowOf(3, { topic: 'a', type: 'b', payload: new Uint8Array(), binary: true }),
    rowOf(2 ** 40, { topic: 'a', type: '', deliveries: 7, timeMs: 1_700_000_000_001 }),
    rowOf(2 ** 40 + 1, { topic: 'ab', type: '' }),
  ]
  const packed = packRows(rows)
  expect(packed.labels).toHaveLength(3)
  const arrived = structuredClone(packed, { transfer: buffersOf(packed) })
  expect(unpackRows(arrived)).toEqual(rows)
})

it('hands the bytes over without a copy: the sender has none of them any more, and the rows still theirs', () => {
  const row = rowOf(1, { text: 'one' })
  const packed = packRows([row])
  structuredClone(packed, { transfer: buffersOf(packed) })
  expect(packed.payloads.length).toBe(0)
  expect(Buffer.from(row.payload).toString()).toBe('one')
})

it('takes no rows at all', () => {
  expect(unpackRows(packRows([]))).toEqual([])
})

import { expect, it } from 'vitest'
import { packRows, unpackRows } from '../../broker/kept/packed-rows.ts'
import { SharedMemory } from '../../broker/kept/shared-memory.ts'
import { rowOf } from '../support/kept-rows.ts'

const key = { key: 'k', identity: 'amy', fingerprint: 'f' }

const allocate = (bytes: number) => new ArrayBuffer(bytes)

it('gives rows to another thread as they are, each topic and type among others that look alike', () => {
  const rows = [
    rowOf(1, { topic: 'a', type: 'b' }),
    rowOf(2, { topic: 'ab', type: '', idempotency: key }),
    rowOf(3, { topic: 'a', type: 'b', payload: new Uint8Array(), binary: true }),
    rowOf(2 ** 40, { topic: 'a', type: '', deliveries: 7, timeMs: 1_700_000_000_001 }),
    rowOf(2 ** 40 + 1, { topic: 'ab', type: '' }),
  ]
  const packed = packRows(rows, allocate)
  expect(packed.labels).toHaveLength(3)
  const arrived = structuredClone(packed, { transfer: [packed.payloads.buffer] })
  expect(unpackRows(arrived)).toEqual(rows)
})

it('hands the bytes over without a copy: the sender has none of them any more, and the rows still theirs', () => {
  const row = rowOf(1, { text: 'one' })
  const packed = packRows([row], allocate)
  structuredClone(packed, { transfer: [packed.payloads.buffer] })
  expect(packed.payloads.length).toBe(0)
  expect(Buffer.from(row.payload).toString()).toBe('one')
})

it('takes no rows at all', () => {
  expect(unpackRows(packRows([], allocate))).toEqual([])
})

it('puts rows into memory that had others before, and is larger', () => {
  const memory = new SharedMemory()
  const before = packRows([rowOf(1, { text: 'one, and more' }), rowOf(2, { idempotency: key })], bytes =>
    memory.take(bytes),
  )
  memory.giveBack(before.payloads.buffer)
  const rows = [rowOf(3, { text: 'two' }), rowOf(4, { text: '' })]
  const packed = packRows(rows, bytes => memory.take(bytes))
  expect(packed.payloads.buffer).toBe(before.payloads.buffer)
  expect(unpackRows(packed)).toEqual(rows)
})

it('uses no memory twice at a time, and does not stay with what one large message took', () => {
  const memory = new SharedMemory()
  memory.giveBack(memory.take(1))
  const [one, other] = [memory.take(1), memory.take(1)]
  expect(other).not.toBe(one)
  memory.giveBack(one)
  memory.giveBack(memory.take(3 * 1024 * 1024))
  expect(memory.take(1).byteLength).toBeLessThan(3 * 1024 * 1024)
  expect(memory.take(65_536 + 1).byteLength).toBeGreaterThan(65_536)
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LegacyOutlet, type Parcel } from '../../broker/listeners/tcp-outlet.ts'
import { messageOf } from '../support/messages.ts'
import { TestTimer } from '../support/timer.ts'

/** An outlet for an old receiver whose socket and clock do what a test says. */
function outletWith(ackMs = 1000) {
  const timer = new TestTimer()
  const written: string[] = []
  const taken: (() => void)[] = []
  const acknowledged: number[] = []
  const rejected: number[] = []
  const outlet = new LegacyOutlet({
    write: (document, onTaken) => {
      written.push(Buffer.from(document).toString())
      if (onTaken) taken.push(onTaken)
    },
    ackMs: () => ackMs,
    startTimer: timer.start,
  })
  let offset = 0
  const parcel = (payload: string): Parcel => {
    const message = messageOf({ payload, offset: ++offset })
    return {
      message,
      deliveries: 1,
      redelivered: false,
      acknowledge: () => acknowledged.push(message.offset),
      reject: () => rejected.push(message.offset),
    }
  }
  return { outlet, timer, written, acknowledged, rejected, parcel, take: () => taken.shift()?.() }
}

const documentOf = (...values: string[]) => `{"command":"message","data":[${values.join(',')}]}`

describe('an old receiver', () => {
  it('has one document at a time, and the next when the time is over and the socket has taken it', () => {
    const { outlet, timer, written, acknowledged, parcel, take } = outletWith()
    outlet.add([parcel('1'), parcel('2')])
    outlet.add([parcel('3')])
    expect(written).toEqual([documentOf('1', '2')])
    timer.pass(1000)
    expect(acknowledged).toEqual([])
    take()
    expect(acknowledged).toEqual([1, 2])
    expect(written).toEqual([documentOf('1', '2'), documentOf('3')])
    take()
    timer.pass(999)
    expect(acknowledged).toEqual([1, 2])
    timer.pass(1)
    expect(acknowledged).toEqual([1, 2, 3])
    expect(timer.pending).toBe(0)
  })

  it('that has gone before has not received it', () => {
    const { outlet, timer, written, acknowledged, parcel, take } = outletWith()
    outlet.add([parcel('1')])
    outlet.close()
    timer.pass(1000)
    take()
    outlet.add([parcel('2')])
    expect([acknowledged, written.length, timer.pending]).toEqual([[], 1, 0])
  })

  it('gets an answer never together with a message, and not more of them than it can take', () => {
    const { outlet, timer, written, parcel, take } = outletWith()
    outlet.add([parcel('1')])
    for (let i = 0; i < 1000; i++) outlet.say('{"command":"pong"}')
    outlet.add([parcel('2')])
    for (let i = 0; i < 1000; i++) {
      take()
      timer.pass(1000)
    }
    expect(written[0]).toBe(documentOf('1'))
    expect(written.slice(1, -1)).toEqual(Array.from({ length: 16 }, () => '{"command":"pong"}'))
    expect(written.at(-1)).toBe(documentOf('2'))
  })

  it('gets every message that fits 8,192 bytes once and in order, and nothing larger', () => {
    const sizes = fc.oneof(fc.nat(200), fc.nat(9000), fc.integer({ min: 8150, max: 8170 }))
    fc.assert(
      fc.property(fc.array(fc.array(sizes)), groups => {
        const { outlet, timer, written, acknowledged, rejected, parcel, take } = outletWith()
        const payloads = groups.map(group => group.map(size => `"${'é'.repeat(size / 2)}"`))
        for (const group of payloads) outlet.add(group.map(parcel))
        while (timer.pending > 0) {
          take()
          timer.pass(1000)
        }
        for (const document of written) expect(Buffer.byteLength(document)).toBeLessThanOrEqual(8192)
        const all = payloads.flat()
        const fits = (payload: string) => Buffer.byteLength(documentOf(payload)) <= 8192
        expect(written.flatMap(document => JSON.parse(document).data)).toEqual(
          all.filter(fits).map(text => JSON.parse(text)),
        )
        const offsets = (wanted: boolean) => all.flatMap((text, i) => (fits(text) === wanted ? [i + 1] : []))
        expect([acknowledged, rejected]).toEqual([offsets(true), offsets(false)])
      }),
    )
  })
})

import { describe, expect, it } from 'vitest'
import { LiveReceivers } from '../../broker/listeners/live-receivers.ts'
import { TestLog } from '../support/log.ts'

function receiversWith({
  limit = 0,
  maxBytes = 1_000_000,
  window = { messages: 100, bytes: 1_000_000 },
} = {}) {
  const log = new TestLog()
  const bounds = { limit }
  const lost: string[] = []
  let deferred: (() => void)[] = []
  const live = new LiveReceivers({
    limitOf: () => bounds.limit,
    maxBytes: () => maxBytes,
    window: () => window,
    defer: task => deferred.push(task),
    onLost: (topic, reason) => lost.push(`${topic}: ${reason}`),
  })
  const turn = () => {
    const now = deferred
    deferred = []
    for (const task of now) task()
  }
  const register = (topic: string) => {
    const got: string[] = []
    const offsets: number[] = []
    const registration = live.register(topic, {
      take: handouts => {
        for (const { message } of handouts) {
          got.push(Buffer.from(message.payload).toString())
          offsets.push(message.offset)
        }
      },
      end() {},
    })
    return { got, offsets, registration }
  }
  const publish = (topic: string, ...payloads: string[]) => {
    live.stream(log.whole(payloads.map(payload => ({ topic, payload }))).bytes)
    turn()
  }
  return { live, register, publish, turn, lost, bounds }
}

describe('the receivers of a topic that is not durable', () => {
  it('get what is published on exactly that topic while they are there', () => {
    const { register, publish } = receiversWith()
    publish('a', 'before')
    const { got, registration } = register('a')
    publish('a', '1', '2')
    publish('a/b', 'below')
    publish('A', 'another')
    registration.leave()
    registration.leave()
    publish('a', 'after')
    expect(got).toEqual(['1', '2'])
  })

  it('all get it without a limit, and with one those who came first, the next as soon as one leaves', () => {
    const { register, publish, bounds } = receiversWith({ limit: 2 })
    const [first, second, third] = [register('a'), register('a'), register('a')]
    publish('a', '1')
    expect([first, second, third].map(({ registration }) => registration.isCounted)).toEqual([
      true,
      true,
      false,
    ])
    first.registration.leave()
    publish('a', '2')
    bounds.limit = 0
    register('a')
    publish('a', '3')
    expect([first.got, second.got, third.got]).toEqual([['1'], ['1', '2', '3'], ['2', '3']])
  })

  it('get no more than their window before they acknowledge', () => {
    const { register, publish, turn } = receiversWith({ window: { messages: 2, bytes: 1_000_000 } })
    const { got, offsets, registration } = register('a')
    publish('a', '1', '2', '3', '4')
    expect(got).toEqual(['1', '2'])
    let isRemoved = false
    registration.acknowledge(offsets.slice(0, 1), () => {
      isRemoved = true
    })
    registration.acknowledge([99])
    expect(isRemoved).toBe(false)
    turn()
    expect([got, isRemoved]).toEqual([['1', '2', '3'], true])
    registration.pause(true)
    registration.acknowledge(offsets)
    turn()
    expect(got).toHaveLength(3)
    registration.pause(false)
    turn()
    expect(got).toHaveLength(4)
  })

  it('lose their oldest beyond the bound, which is told, and hold up no other', () => {
    const { register, publish, turn, lost } = receiversWith({
      maxBytes: 500,
      window: { messages: 1, bytes: 1_000_000 },
    })
    const slow = register('a')
    publish('a', '0')
    for (let i = 1; i <= 10; i++) publish('a', `${i}`.padEnd(99))
    expect(lost).toEqual(Array.from({ length: 5 }, () => 'a: too much waits for a receiver'))
    slow.registration.acknowledge(slow.offsets)
    turn()
    expect(slow.got.map(text => text.trim())).toEqual(['0', '6'])
  })

  it('of one message that is larger than window and bound get it all the same', () => {
    const { register, publish } = receiversWith({ maxBytes: 10, window: { messages: 1, bytes: 10 } })
    const { got } = register('a')
    publish('a', 'x'.repeat(100))
    expect(got).toHaveLength(1)
  })

  it('have lost what they reject', () => {
    const { register, publish, lost } = receiversWith()
    const { offsets, registration } = register('a')
    publish('a', '1')
    registration.reject(offsets, 'too large')
    registration.reject(offsets, 'too large')
    expect(lost).toEqual(['a: too large'])
  })

  it('are not those of a topic of the system', () => {
    expect(() => receiversWith().register('$push/a')).toThrow('belong to the system')
  })
})

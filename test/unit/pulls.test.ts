import { describe, expect, it } from 'vitest'
import { Pulls } from '../../broker/client/pulls.ts'
import { maxBatchBytes, type PullSteps } from '../../broker/protocol/index.ts'
import { messageOf } from '../support/messages.ts'
import { settled } from '../support/model-log.ts'
import { TestPuller } from '../support/test-puller.ts'

/** The pullers of a process, and what the broker was told of them. */
function begin({ isUp = true } = {}) {
  const state = { isUp, nowMs: 0, known: 0, isLost: false }
  const told: PullSteps[] = []
  const pulls = new Pulls({
    isUp: () => state.isUp,
    brokerMs: () => state.nowMs,
    tell: async steps => {
      told.push(steps)
      if (state.isLost) throw new Error('not told')
      state.known += steps.open.length - steps.close.length
      return state.known
    },
  })
  const turn = async () => {
    await new Promise(resolve => setImmediate(resolve))
    await settled()
  }
  /** What was told since the last time. */
  const heard = async () => {
    await turn()
    return told.splice(0)
  }
  const hand = (to: number[], offsets: number[], untilMs = 1000) =>
    pulls.take(
      { op: 'hand', seq: null, to, untilMs },
      offsets.map(offset => messageOf({ offset, payload: String(offset) })),
    )
  return { pulls, state, heard, hand }
}

const nothing: PullSteps = { open: [], flushed: [], returned: [], close: [] }
const opening = (...pulls: number[]) => ({
  ...nothing,
  open: pulls.map(pull => ({ pull, topic: '$push/a' })),
})

describe('the broker is told', () => {
  it('once a turn what has happened to the pullers', async () => {
    const { pulls, heard, hand } = begin()
    const [first, second] = [new TestPuller(), new TestPuller()]
    const open = pulls.add('$push/a', first)
    pulls.add('$push/a', second)
    expect(await heard()).toEqual([opening(1, 2)])
    first.isHolding = true
    hand([1, 2, 2], [7, 8, 9])
    open.close()
    open.close()
    expect(await heard()).toEqual([{ ...nothing, flushed: [{ pull: 2, offsets: [8, 9] }], close: [1] }])
    expect([first.told, second.told]).toEqual([['7'], ['8', '9']])
  })

  it('nothing of what is flushed after the puller has left', async () => {
    const { pulls, heard, hand } = begin()
    const puller = new TestPuller()
    puller.isHolding = true
    const open = pulls.add('$push/a', puller)
    await heard()
    hand([1], [7])
    open.close()
    puller.flush()
    expect(await heard()).toEqual([{ ...nothing, close: [1] }])
  })

  it('nothing of a puller that was gone before it could be told', async () => {
    const { pulls, state, heard } = begin({ isUp: false })
    for (let i = 0; i < 5; i++) pulls.add('$push/a', new TestPuller()).close()
    pulls.add('$push/a', new TestPuller())
    expect(await heard()).toEqual([])
    state.isUp = true
    pulls.meet('session')
    expect(await heard()).toEqual([opening(6)])
  })

  it('no more than a thousand steps at once', async () => {
    const { pulls, heard, hand } = begin()
    for (let i = 0; i < 1500; i++) pulls.add('$push/a', new TestPuller())
    await heard()
    hand(
      Array.from({ length: 1500 }, (_, i) => i + 1),
      Array.from({ length: 1500 }, (_, i) => i),
    )
    expect((await heard()).map(({ flushed }) => flushed.length)).toEqual([1000, 500])
  })

  it('less in one request than a broker reads that is set to the smallest payload, whatever the topics', async () => {
    const { pulls, heard, hand } = begin()
    const longest = `$push/${'"'.repeat(249)}`
    for (let i = 0; i < 1500; i++) pulls.add('$push/a', new TestPuller())
    await heard()
    for (let i = 0; i < 1500; i++) pulls.add(longest, new TestPuller())
    hand(
      Array.from({ length: 1500 }, (_, i) => i + 1),
      Array.from({ length: 1500 }, (_, i) => 1e12 + i),
    )
    const requests = await heard()
    const sizes = requests.map(steps => JSON.stringify(steps).length)
    expect(requests.flatMap(({ open }) => open)).toHaveLength(1500)
    expect(requests.flatMap(({ flushed }) => flushed)).toHaveLength(1500)
    expect(Math.max(...sizes)).toBeLessThan(2 * maxBatchBytes - 1024)
  })

  it('at every sign that this process is alive, while it has pullers', async () => {
    const { pulls, heard } = begin()
    pulls.sign()
    expect(await heard()).toEqual([])
    pulls.add('$push/a', new TestPuller())
    await heard()
    pulls.sign()
    expect(await heard()).toEqual([nothing])
  })

  it('of all pullers again when it can be reached again', async () => {
    const { pulls, heard } = begin()
    pulls.meet('session')
    pulls.add('$push/a', new TestPuller())
    await heard()
    pulls.meet('session')
    expect(await heard()).toEqual([opening(1)])
  })

  it('of all pullers at the next sign, when it knows another number of them', async () => {
    const { pulls, state, heard } = begin()
    pulls.add('$push/a', new TestPuller())
    await heard()
    state.known = 0
    pulls.sign()
    expect(await heard()).toEqual([nothing])
    pulls.sign()
    expect(await heard()).toEqual([opening(1)])
    pulls.sign()
    expect(await heard()).toEqual([nothing])
  })

  it('again at the next sign what could not be told', async () => {
    const { pulls, state, heard, hand } = begin()
    pulls.add('$push/a', new TestPuller())
    pulls.add('$push/a', new TestPuller()).close()
    await heard()
    state.isLost = true
    hand([1], [7])
    await heard()
    state.isLost = false
    pulls.sign()
    expect(await heard()).toEqual([{ ...opening(1), flushed: [{ pull: 1, offsets: [7] }] }])
  })

  it('nothing of what its predecessor has handed over', async () => {
    const { pulls, state, heard, hand } = begin()
    pulls.meet('one')
    pulls.add('$push/a', new TestPuller())
    await heard()
    state.isUp = false
    hand([1], [7])
    await heard()
    state.isUp = true
    pulls.meet('another')
    expect(await heard()).toEqual([opening(1)])
  })
})

describe('a message', () => {
  it('that comes too late is given back, and not delivered', async () => {
    const { pulls, state, heard, hand } = begin()
    const puller = new TestPuller()
    pulls.add('$push/a', puller)
    await heard()
    state.nowMs = 1001
    hand([1], [7])
    expect(await heard()).toEqual([{ ...nothing, returned: [{ pull: 1, offsets: [7] }] }])
    expect(puller.told).toEqual([])
  })

  it('for a puller that is gone has the broker told once more that it is, once for all of them', async () => {
    const { heard, hand } = begin()
    hand([5, 6, 5, 5], [7, 8, 9, 10])
    expect(await heard()).toEqual([{ ...nothing, close: [5, 6] }])
  })

  it('at which its puller throws ends that puller alone', async () => {
    const { pulls, heard, hand } = begin()
    const [broken, healthy] = [new TestPuller(), new TestPuller()]
    broken.deliver = () => {
      throw new Error('broken')
    }
    pulls.add('$push/a', broken)
    pulls.add('$push/a', healthy)
    await heard()
    hand([1, 2], [7, 8])
    expect(await heard()).toEqual([{ ...nothing, flushed: [{ pull: 2, offsets: [8] }], close: [1] }])
    expect([broken.told, healthy.told]).toEqual([['end failed'], ['8']])
  })
})

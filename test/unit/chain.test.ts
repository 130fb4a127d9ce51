import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Batch, type Position, PosternError } from '#protocol'
import { Chain } from '../../broker/client/chain.ts'
import { collectGarbage } from '../support/garbage.ts'
import { Calls, ModelLog, settled } from '../support/model-log.ts'
import { batchOf, publication } from '../support/publications.ts'

const away = new PosternError('BROKER_UNAVAILABLE')

/** A chain on a log, and everything that it has passed on or told. */
function begin({ maxPageMessages = 3, tailBytes = 1_000_000 } = {}) {
  const log = new ModelLog(maxPageMessages)
  const replays = new Calls((since: Position) => log.logPage(since))
  const passed: Batch[] = []
  const breaks: Position[] = []
  const foreign = { count: 0 }
  const chain = new Chain({
    tailBytes,
    replay: replays.call,
    onBatch: batch => passed.push(batch),
    onBreak: old => breaks.push(old),
    onForeignEpoch: () => {
      foreign.count++
    },
  })
  const offsets = () => passed.flatMap(({ messages }) => messages.map(({ offset }) => offset))
  return { log, replays, passed, breaks, foreign, chain, offsets }
}

const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)

/** A chain that has met its log at the very beginning, and so many batches that it has not got yet. */
function met(count: number, settings = {}) {
  const test = begin(settings)
  test.chain.meet(test.log.position)
  const [first, second, third, fourth, fifth] = Array.from({ length: count }, () =>
    test.log.publish('a', 'b'),
  )
  const none = batchOf([])
  return {
    ...test,
    batches: [first ?? none, second ?? none, third ?? none, fourth ?? none, fifth ?? none] as const,
  }
}

describe('a chain', () => {
  it('passes on what comes in order, without asking', () => {
    const { chain, batches, offsets, replays } = met(3)
    for (const batch of batches.slice(0, 3)) chain.take(batch)
    expect(offsets()).toEqual(range(1, 6))
    expect(replays.count).toBe(0)
    expect(chain.position).toEqual({ epoch: 'aaaaaaaaaaaa', offset: 6 })
  })

  it('passes nothing on twice', () => {
    const { chain, batches, offsets, replays } = met(2)
    for (const batch of [batches[0], batches[0], batches[1], batches[0], batches[1]]) chain.take(batch)
    expect(offsets()).toEqual(range(1, 4))
    expect(replays.count).toBe(0)
  })

  it('repairs a hole before anything behind it passes', async () => {
    const { chain, batches, offsets, replays } = met(3)
    chain.take(batches[0])
    chain.take(batches[2])
    expect(offsets()).toEqual([1, 2])
    await replays.answerAll()
    expect(offsets()).toEqual(range(1, 6))
    expect(replays.count).toBe(1)
  })

  it('holds what arrives during a repair, and passes it on behind it without asking for it', async () => {
    const { chain, batches, offsets, replays, log } = met(3)
    chain.take(batches[0])
    chain.take(batches[2])
    chain.take(log.publish('a'))
    chain.take(log.publish('a'))
    expect(offsets()).toEqual([1, 2])
    await replays.answerLate()
    expect(offsets()).toEqual(range(1, 8))
    expect(replays.count).toBe(1)
  })

  it('repairs a hole of several pages', async () => {
    const { chain, log, offsets, replays } = met(0, { maxPageMessages: 2 })
    for (let i = 0; i < 9; i++) log.publish('a')
    chain.take(log.publish('a'))
    await replays.answerAll()
    expect(offsets()).toEqual(range(1, 10))
    expect(replays.count).toBe(5)
  })

  it('repairs another hole behind the first', async () => {
    const { chain, batches, offsets, replays } = met(5, { maxPageMessages: 1 })
    for (const batch of [batches[1], batches[4]]) chain.take(batch)
    await replays.answerAll()
    expect(offsets()).toEqual(range(1, 10))
  })

  it('notices by an empty batch that the last ones are missing', async () => {
    const { chain, log, batches, passed, replays } = met(2)
    chain.take(batches[0])
    chain.take(log.beacon())
    await replays.answerAll()
    chain.take(log.beacon())
    expect(passed).toEqual([batches[0], batches[1]])
    expect(replays.count).toBe(1)
  })

  it('fetches what is missing when it hears how far the log reaches', async () => {
    const { chain, offsets, replays } = met(2)
    chain.reach(0)
    expect(replays.count).toBe(0)
    chain.reach(4)
    chain.reach(3)
    await replays.answerAll()
    expect(offsets()).toEqual(range(1, 4))
  })

  it('begins where the broker stands when it says hello for the first time, with what came before that', () => {
    const { chain, log, offsets, replays } = begin()
    const [first, second] = [log.publish('a'), log.publish('a')]
    chain.take(first)
    chain.take(second)
    expect(offsets()).toEqual([])
    chain.meet({ epoch: log.epoch, offset: 1 })
    expect(offsets()).toEqual([2])
    expect(replays.count).toBe(0)
  })

  it('catches up when the broker says hello again', async () => {
    const { chain, batches, offsets, replays, log, breaks } = met(3)
    chain.take(batches[0])
    chain.meet(log.position)
    await replays.answerAll()
    expect(offsets()).toEqual(range(1, 6))
    expect(breaks).toEqual([])
  })

  it('keeps the newest part of the log', () => {
    const { chain, batches } = met(5, { tailBytes: 200 })
    for (const batch of batches) chain.take(batch)
    expect(chain.tail?.floor).toBeGreaterThan(0)
    expect([...(chain.tail?.after(8) ?? [])]).toEqual([batches[4]])
  })
})

describe('a gap in the log', () => {
  it('breaks the chain at its old position, and it goes on at the new one', async () => {
    const { chain, log, batches, offsets, replays, breaks } = met(4)
    chain.take(batches[0])
    log.forgotten = 6
    chain.take(batches[3])
    await replays.answerAll()
    expect(breaks).toEqual([{ epoch: log.epoch, offset: 2 }])
    expect(chain.position).toEqual(log.position)
    chain.take(log.publish('a'))
    expect(offsets()).toEqual([1, 2, 9])
  })

  it('in front of what was held passes on what was held behind it', async () => {
    const { chain, log, batches, offsets, replays } = met(4)
    chain.take(batches[0])
    chain.take(batches[2])
    log.forgotten = log.last
    await replays.answer()
    chain.take(log.publish('a'))
    await replays.answerAll()
    expect(offsets()).toEqual([1, 2, 9])
  })
})

describe('another epoch', () => {
  function powerLoss(log: ModelLog): void {
    log.epoch = 'bbbbbbbbbbbb'
    log.forgotten = log.last
  }

  it('is not passed on before the broker was asked', () => {
    const { chain, log, offsets, foreign, batches } = met(1)
    chain.take(batches[0])
    powerLoss(log)
    chain.take(log.publish('a'))
    expect([offsets(), foreign.count]).toEqual([[1, 2], 1])
  })

  it('breaks the chain when the broker says hello, and begins where that says', async () => {
    const { chain, log, offsets, breaks, batches, replays } = met(1)
    chain.take(batches[0])
    powerLoss(log)
    chain.take(log.publish('a'))
    chain.meet(log.position)
    chain.take(log.publish('a'))
    await replays.answerAll()
    expect(offsets()).toEqual([1, 2, 4])
    expect(breaks).toEqual([{ epoch: 'aaaaaaaaaaaa', offset: 2 }])
  })

  it('that a repair comes upon breaks the chain too', async () => {
    const { chain, log, breaks, batches, replays } = met(3)
    chain.take(batches[0])
    chain.take(batches[2])
    powerLoss(log)
    await replays.answerAll()
    expect(breaks).toEqual([{ epoch: 'aaaaaaaaaaaa', offset: 2 }])
    expect(chain.position).toEqual(log.position)
  })

  it('is not left again for a late answer about the old one', async () => {
    const { chain, log, breaks, batches, replays, offsets } = met(3)
    chain.take(batches[0])
    chain.take(batches[2])
    powerLoss(log)
    chain.meet(log.position)
    await replays.answerLate()
    await replays.answerAll()
    expect(breaks).toHaveLength(1)
    expect(chain.position).toEqual(log.position)
    chain.take(log.publish('a'))
    expect(offsets()).toEqual([1, 2, 7])
  })
})

describe('a broker that is away', () => {
  it('is not asked again and again', async () => {
    const { chain, batches, offsets, replays } = met(3)
    chain.take(batches[0])
    chain.take(batches[2])
    await replays.fail(away)
    await settled()
    expect([replays.count, replays.waiting, offsets()]).toEqual([1, 0, [1, 2]])
  })

  it('is asked again when something comes, and nothing is lost', async () => {
    for (const wake of ['batch', 'hello', 'reach']) {
      const { chain, batches, offsets, replays, log } = met(4)
      chain.take(batches[0])
      chain.take(batches[2])
      await replays.fail(away)
      if (wake === 'batch') chain.take(batches[3])
      else if (wake === 'hello') chain.meet(log.position)
      else chain.reach(log.last)
      await replays.answerAll()
      expect(offsets()).toEqual(range(1, 8))
    }
  })
})

describe('what is held during a repair', () => {
  const payload = new Uint8Array(500_000)

  it('is bounded to 4 MiB', async () => {
    const { chain, log, replays } = begin()
    chain.meet(log.position)
    const held = Array.from({ length: 20 }, (_, i) => {
      const batch = batchOf([publication({ payload })], { epoch: log.epoch, first: i + 2 })
      chain.take(batch)
      return new WeakRef(batch.bytes)
    })
    await collectGarbage()
    expect(replays.waiting).toBe(1)
    expect(held.map(batch => batch.deref() !== undefined)).toEqual(held.map((_, i) => i < 8))
  })

  it('is repaired like any other hole where it was beyond the bound', async () => {
    const { chain, log, offsets, replays } = begin({ maxPageMessages: 10, tailBytes: 100_000_000 })
    chain.meet(log.position)
    log.publish('a')
    for (let i = 0; i < 20; i++) chain.take(log.append([publication({ payload })]))
    await replays.answerAll()
    expect(offsets()).toEqual(range(1, 21))
  })
})

describe('whatever the stream does', () => {
  const actions = fc.array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('publish' as const), n: fc.integer({ min: 1, max: 3 }) }),
      },
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constantFrom('bring' as const, 'repeat' as const), n: fc.nat() }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('drop' as const), n: fc.nat() }) },
      {
        weight: 3,
        arbitrary: fc.record({
          do: fc.constantFrom('answer' as const, 'late' as const, 'fail' as const),
          n: fc.constant(0),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constantFrom('hello' as const, 'beacon' as const), n: fc.constant(0) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constantFrom('forget' as const, 'epoch' as const), n: fc.constant(0) }),
      },
    ),
    { maxLength: 40 },
  )

  /** Runs a schedule in which batches are dropped, doubled and overtake each other, and then lets all come to rest. */
  async function run(
    schedule: typeof actions extends fc.Arbitrary<infer A> ? A : never,
    isForgetful: boolean,
  ) {
    const test = begin({ maxPageMessages: 2 })
    const { log, chain, replays } = test
    const flying: Batch[] = []
    const history: string[] = []
    chain.meet(log.position)
    for (const action of schedule) {
      const index = flying.length > 0 ? action.n % flying.length : 0
      const batch = flying[index]
      if (action.do === 'publish') flying.push(log.publish(...Array.from({ length: action.n }, () => 'a')))
      else if (action.do === 'answer') await replays.answer()
      else if (action.do === 'late') await replays.answerLate()
      else if (action.do === 'fail') await replays.fail(away)
      else if (action.do === 'hello') chain.meet(log.position)
      else if (action.do === 'beacon') flying.push(log.beacon())
      else if (action.do === 'forget' && isForgetful) log.forgotten = log.last
      else if (action.do === 'epoch' && isForgetful) {
        log.epoch = `${history.length}`.padStart(12, 'b')
        log.forgotten = log.last
        history.push(log.epoch)
      } else if (batch) {
        if (action.do !== 'repeat') flying.splice(index, 1)
        if (action.do !== 'drop') chain.take(batch)
      }
    }
    await replays.answerAll()
    chain.take(log.beacon())
    chain.meet(log.position)
    await replays.answerAll()
    return test
  }

  it('every message passes once and in order', async () => {
    await fc.assert(
      fc.asyncProperty(actions, async schedule => {
        const { log, chain, offsets, breaks } = await run(schedule, false)
        expect(offsets()).toEqual(range(1, log.last))
        expect(chain.position).toEqual(log.position)
        expect(breaks).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  it('no message passes twice or late, and each that is missing is told by a break in front of it', async () => {
    await fc.assert(
      fc.asyncProperty(actions, async schedule => {
        const { log, chain, offsets, breaks } = await run(schedule, true)
        const passed = offsets()
        expect(passed).toEqual([...new Set(passed)].toSorted((a, b) => a - b))
        expect(chain.position).toEqual(log.position)
        const broken = breaks.map(({ offset }) => offset)
        for (const offset of range(1, log.last)) {
          if (passed.includes(offset)) continue
          const before = passed.findLast(other => other < offset) ?? 0
          expect(broken.some(at => at >= before && at < offset)).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })
})

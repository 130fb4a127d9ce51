import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isSystemTopic, type Message, type Selection, selector } from '#protocol'
import { MemoryArchive } from '../../broker/history/archive.ts'
import type { HistoryBounds } from '../../broker/retained.ts'
import { all, Life, offsets, turn, wide } from '../support/history.ts'
import { TestLog } from '../support/log.ts'

const topics = ['a', 'a/b', 'b', 'c', '$probe'] as const

type Step =
  | { readonly kind: 'add'; readonly topic: string }
  | { readonly kind: 'seal' }
  | { readonly kind: 'expire' }
  | { readonly kind: 'kill' }
  /** The process ends in the middle of its next call to the archive, or of a later one. */
  | { readonly kind: 'killInCall'; readonly callsBefore: number }
  | { readonly kind: 'damage'; readonly at: number; readonly how: 'tear' | 'remove' }

const anyWork: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('add' as const), topic: fc.constantFrom(...topics) }),
  },
  { weight: 10, arbitrary: fc.constant({ kind: 'seal' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'kill' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('killInCall' as const), callsBefore: fc.nat(2) }),
  },
)
const anyMisfortune: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.constant({ kind: 'expire' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('damage' as const),
      at: fc.nat(),
      how: fc.constantFrom('tear' as const, 'remove' as const),
    }),
  },
)

/** A machine: the archive, the journal, and one process after the other. */
class Machine {
  readonly archive = new CuttingArchive()
  readonly log = new TestLog()
  readonly added: Message[] = []
  life: Life
  readonly #bounds: HistoryBounds

  constructor(bounds: HistoryBounds) {
    this.#bounds = bounds
    this.life = new Life(this.archive, bounds)
  }

  async run(step: Step): Promise<void> {
    switch (step.kind) {
      case 'add': {
        this.log.timeMs++
        const message = this.log.next(step.topic)
        this.added.push(message)
        this.life.retained.add(message)
        return
      }
      case 'seal':
        this.life.historian.seal(this.log.last)
        return turn()
      case 'expire':
        return this.life.retained.expire(this.log.timeMs)
      case 'kill':
        return this.restart()
      case 'killInCall':
        this.archive.callsUntilCut = step.callsBefore
        this.life.historian.seal(this.log.last)
        await turn()
        return this.restart()
      case 'damage': {
        const names = (await this.archive.list()).sort()
        const name = names[step.at % names.length]
        if (name === undefined) return
        const bytes = await this.archive.read(name)
        if (step.how === 'remove' || !bytes) return this.archive.remove(name)
        return this.archive.write(name, bytes.subarray(0, bytes.length / 2))
      }
    }
  }

  /** What has been sealed is no longer in the journal. */
  async restart(): Promise<void> {
    this.archive.callsUntilCut = undefined
    const closed = this.life.historian.close()
    this.life.timer.pass(2000)
    await closed
    const { sealedThrough } = this.life
    const next = new Life(this.archive, this.#bounds)
    const reached = await next.historian.load()
    next.sealedThrough = Math.max(sealedThrough, reached)
    if (sealedThrough > reached) next.retained.forgetThrough(sealedThrough)
    for (const message of this.added) if (message.offset > sealedThrough) next.retained.add(message)
    this.life = next
  }

  misses(selection: Selection, offset: number, messages: readonly Message[]): boolean {
    const selects = selector(selection)
    const had = new Set(offsets(messages))
    return this.added.some(
      message =>
        message.offset > offset &&
        !isSystemTopic(message.topic) &&
        selects(message.topic) &&
        !had.has(message.offset),
    )
  }
}

/** Ends, with the process, in the middle of a call. */
class CuttingArchive extends MemoryArchive {
  callsUntilCut: number | undefined

  override async write(name: string, bytes: Uint8Array): Promise<void> {
    if (!this.#isCut()) return super.write(name, bytes)
    await super.write(name, bytes.subarray(0, bytes.length / 2))
    await new Promise(() => {})
  }

  override async remove(name: string): Promise<void> {
    if (!this.#isCut()) return super.remove(name)
    await new Promise(() => {})
  }

  override async close(): Promise<void> {}

  #isCut(): boolean {
    return this.callsUntilCut !== undefined && this.callsUntilCut-- <= 0
  }
}

describe('over any number of restarts', () => {
  const selections = [...topics.map(topic => all(topic)), { topics: ['a', 'c'], exact: true }]

  it('a process that was killed leaves the same history to the next one', async () => {
    const bounds = { ...wide, messages: 3 }
    await fc.assert(
      fc.asyncProperty(fc.array(anyWork, { maxLength: 150, size: 'max' }), async steps => {
        const machine = new Machine(bounds)
        for (const step of steps) await machine.run(step)
        const before = machine.life.retained
        await machine.restart()
        const after = machine.life.retained

        for (const selection of selections) {
          for (let offset = 0; offset <= machine.log.last; offset++) {
            expect(after.since(selection, offset)).toEqual(before.since(selection, offset))
          }
        }
      }),
    )
  })

  it('a process that is killed in any call to the archive loses nothing', async () => {
    for (let calls = 0; calls < 70; calls++) {
      const machine = new Machine({ ...wide, messages: 3 })
      machine.archive.callsUntilCut = calls
      for (let i = 0; i < 40; i++) {
        await machine.run({ kind: 'add', topic: i % 9 === 0 ? 'b' : 'a' })
        await machine.run({ kind: 'seal' })
      }
      const before = machine.life.retained
      await machine.restart()
      for (let offset = 0; offset <= machine.log.last; offset++) {
        for (const selection of selections) {
          expect(machine.life.retained.since(selection, offset)).toEqual(before.since(selection, offset))
        }
      }
    }
  })

  it('no answer is called complete that is not', async () => {
    const anyBounds = fc.record({
      messages: fc.integer({ min: 1, max: 4 }),
      bytes: fc.constant(1024 * 1024),
      ageMs: fc.constantFrom(10, 1_000_000),
      totalBytes: fc.constantFrom(5000, 10_000, 1_000_000),
    })
    const anySteps = fc.array(
      fc.oneof({ weight: 14, arbitrary: anyWork }, { weight: 1, arbitrary: anyMisfortune }),
      {
        maxLength: 150,
        size: 'max',
      },
    )
    await fc.assert(
      fc.asyncProperty(anyBounds, anySteps, async (bounds, steps) => {
        const machine = new Machine(bounds)
        for (const step of [...steps, { kind: 'kill' as const }]) await machine.run(step)

        for (const selection of selections) {
          for (let offset = 0; offset <= machine.log.last; offset++) {
            const { messages, complete } = machine.life.retained.since(selection, offset)
            expect(offsets(messages)).toEqual(offsets(messages).toSorted((a, b) => a - b))
            if (complete) expect(machine.misses(selection, offset, messages)).toBe(false)
          }
        }
      }),
    )
  })
})

import { describe, expect, it } from 'vitest'
import { ArchiveError, MemoryArchive } from '../../broker/history/archive.ts'
import { maxSegmentBytes } from '../../broker/history/historian.ts'
import { parseRange } from '../../broker/history/segment.ts'
import { Retained } from '../../broker/retained.ts'
import { all, Life, offsets, turn, wide } from '../support/history.ts'
import { TestLog } from '../support/log.ts'

/** An archive whose calls can be held or made to fail. */
class UnreliableArchive extends MemoryArchive {
  mode: 'works' | 'fails' | 'hangs' = 'works'
  calls = 0
  #release: (() => void)[] = []

  override list(): Promise<string[]> {
    return this.#then(() => super.list())
  }

  override read(name: string): Promise<Uint8Array | undefined> {
    return this.#then(() => super.read(name))
  }

  override write(name: string, bytes: Uint8Array): Promise<void> {
    return this.#then(() => super.write(name, bytes))
  }

  override remove(name: string): Promise<void> {
    return this.#then(() => super.remove(name))
  }

  release(): void {
    this.mode = 'works'
    for (const release of this.#release.splice(0)) release()
  }

  async #then<T>(call: () => Promise<T>): Promise<T> {
    this.calls++
    if (this.mode === 'fails') throw new Error('no space left')
    if (this.mode === 'hangs') await new Promise<void>(resolve => this.#release.push(resolve))
    return call()
  }
}

describe('sealing', () => {
  it('writes what is kept of the range, and tells how far it has come', async () => {
    const archive = new MemoryArchive()
    const life = new Life(archive, { ...wide, messages: 2 })
    const log = new TestLog()
    await life.addAndSeal(log, ['a', 'a', 'a', 'b'])

    expect(life.sealedThrough).toBe(4)
    expect(await archive.list()).toEqual(['000000000000001-000000000000004'])
    const next = await Life.after(archive)
    expect(offsets(next.retained.since(all('a', 'b'), 0).messages)).toEqual([2, 3, 4])
    expect(next.retained.since(all('a'), 0).complete).toBe(false)
    expect(next.retained.since(all('b'), 0).complete).toBe(true)
  })

  it('makes segments of a bounded size', async () => {
    const archive = new MemoryArchive()
    const life = new Life(archive)
    await life.addAndSeal(new TestLog(), Array(40).fill('a'), 'x'.repeat(100_000))

    const sizes = await Promise.all(
      (await archive.list()).map(async name => (await archive.read(name))?.length ?? 0),
    )
    expect(sizes.length).toBe(4)
    expect(Math.max(...sizes)).toBeLessThan(maxSegmentBytes)
    expect(offsets((await Life.after(archive)).retained.since(all('a'), 0).messages)).toHaveLength(40)
  })

  it('asks for nothing while a write is under way, and then writes all that came meanwhile at once', async () => {
    const archive = new UnreliableArchive()
    const life = new Life(archive)
    const log = new TestLog()
    archive.mode = 'hangs'
    await life.addAndSeal(log, ['a'])
    for (let i = 0; i < 100; i++) await life.addAndSeal(log, ['a', 'b'])
    expect(archive.calls).toBe(1)
    expect(life.sealedThrough).toBe(0)

    archive.release()
    await turn()
    expect(life.sealedThrough).toBe(201)
    expect(life.historian.segments).toBe(2)
  })

  it('tells of a write that hangs, again and again, until it returns', async () => {
    const archive = new UnreliableArchive()
    const life = new Life(archive)
    archive.mode = 'hangs'
    await life.addAndSeal(new TestLog(), ['a'])
    life.timer.pass(10_000)
    life.timer.pass(10_000)

    const action = 'write 000000000000001-000000000000001'
    expect(life.troubles).toEqual([
      { kind: 'hanging', action, waitedMs: 10_000 },
      { kind: 'hanging', action, waitedMs: 20_000 },
    ])
    archive.release()
    await turn()
    expect(life.timer.pending).toBe(0)
  })

  it('tries again, at growing intervals, when a write fails', async () => {
    const archive = new UnreliableArchive()
    const life = new Life(archive)
    archive.mode = 'fails'
    const log = new TestLog()
    await life.addAndSeal(log, ['a'])
    await life.addAndSeal(log, ['a'])
    for (const ms of [1000, 2000, 3999, 1]) {
      life.timer.pass(ms)
      await turn()
    }
    expect(archive.calls).toBe(4)
    expect(life.historian.failures).toBe(4)
    expect(life.troubles.map(trouble => trouble.kind === 'failed' && trouble.retryMs)).toEqual([
      1000, 2000, 4000, 8000,
    ])

    archive.release()
    life.timer.pass(8000)
    await turn()
    expect(life.sealedThrough).toBe(2)
    expect(life.timer.pending).toBe(0)
  })

  it('has nothing to do when it is asked for what is written already', async () => {
    const archive = new UnreliableArchive()
    const life = new Life(archive)
    const log = new TestLog()
    await life.addAndSeal(log, ['a'])
    await life.addAndSeal(log, [])
    expect(archive.calls).toBe(1)

    await life.addAndSeal(log, ['a'])
    expect(life.sealedThrough).toBe(2)
  })

  it('is ended without waiting for a store that hangs', async () => {
    const archive = new UnreliableArchive()
    const life = new Life(archive)
    archive.mode = 'hangs'
    await life.addAndSeal(new TestLog(), ['a'])
    const closed = life.historian.close()
    await turn()
    life.timer.pass(2000)
    await closed
    await life.historian.close()

    expect(life.sealedThrough).toBe(0)
    expect(life.timer.pending).toBe(0)
  })
})

describe('loading', () => {
  it('reads the widest of segments that stand for the same, and removes the others', async () => {
    const archive = new MemoryArchive()
    const log = new TestLog()
    const life = new Life(archive)
    await life.addAndSeal(log, ['a'])
    await life.addAndSeal(log, ['a'])
    const left = await Promise.all(
      (await archive.list()).map(async name => ({ name, bytes: await archive.read(name) })),
    )
    await tidy(life, log)
    for (const { name, bytes } of left) if (bytes) await archive.write(name, bytes)

    const next = await Life.after(archive)
    expect(offsets(next.retained.since(all('a'), 0).messages).slice(0, 3)).toEqual([1, 2, 3])
    await next.addAndSeal(log, ['a'])
    expect(await archive.list()).not.toContain(left[0]?.name)
    expect(next.troubles).toEqual([])
  })

  it('uses the narrow ones when the write that was to stand for them was cut short', async () => {
    const archive = new MemoryArchive()
    const log = new TestLog()
    const life = new Life(archive)
    await life.addAndSeal(log, ['a'])
    await life.addAndSeal(log, ['a'])
    await archive.write('000000000000001-000000000000002', new Uint8Array(40))

    const next = await Life.after(archive)
    expect(next.troubles).toEqual([{ kind: 'torn', segment: '000000000000001-000000000000002' }])
    expect(next.retained.since(all('a'), 0)).toMatchObject({ messages: { length: 2 }, complete: true })
    await next.addAndSeal(log, ['a'])
    expect(await archive.list()).not.toContain('000000000000001-000000000000002')
  })

  it('tells of a range that is not there, and of nothing before its end answers as if it were complete', async () => {
    const archive = new MemoryArchive()
    const log = new TestLog()
    const life = new Life(archive)
    for (const topic of ['a', 'b', 'a']) await life.addAndSeal(log, [topic])
    await archive.remove('000000000000002-000000000000002')

    const next = await Life.after(archive)
    expect(next.troubles).toEqual([{ kind: 'missing', from: 2, through: 2 }])
    expect(offsets(next.retained.last(all('a'), 9))).toEqual([1, 3])
    expect(next.retained.since(all('a'), 1).complete).toBe(false)
    expect(next.retained.since(all('a'), 2).complete).toBe(true)
  })

  it('leaves alone what is no segment', async () => {
    const archive = new MemoryArchive()
    await archive.write('something-else', new Uint8Array(1))
    const life = await Life.after(archive)
    await life.addAndSeal(new TestLog(), ['a'])

    expect(await archive.list()).toContain('something-else')
    expect(life.troubles).toEqual([])
  })

  it.each(['fails', 'hangs'] as const)(
    'ends with an error that names the setting when the store %s',
    async mode => {
      const archive = new UnreliableArchive()
      archive.mode = mode
      const life = new Life(archive)
      const loaded = life.historian.load()
      life.timer.pass(10_000)

      await expect(loaded).rejects.toThrow(ArchiveError)
      await expect(loaded).rejects.toThrow(/history\.store.*list/)
    },
  )

  it('does not keep a segment in memory for one message of it', async () => {
    const archive = new MemoryArchive()
    const life = new Life(archive)
    await life.addAndSeal(new TestLog(), ['a', 'b'], 'payload')
    const next = await Life.after(archive)

    const buffers = next.retained.last(all('a', 'b'), 2).map(({ payload }) => payload.buffer.byteLength)
    expect(buffers).toEqual([7, 7])
  })
})

describe('tidying', () => {
  it('keeps the number of segments in proportion to what they hold', async () => {
    const archive = new MemoryArchive()
    const life = new Life(archive, { ...wide, messages: 5 })
    const log = new TestLog()
    await life.addAndSeal(log, ['quiet'])
    let most = 0
    for (let i = 0; i < 200; i++) {
      await life.addAndSeal(log, ['busy', 'busy'])
      most = Math.max(most, (await archive.list()).length)
    }

    expect(most).toBeLessThan(25)
    const next = await Life.after(archive, { ...wide, messages: 5 })
    expect(offsets(next.retained.last(all('quiet', 'busy'), 99))).toEqual([1, 397, 398, 399, 400, 401])
    expect(next.retained.since(all('quiet'), 0).complete).toBe(true)
    expect(next.retained.since(all('busy'), 396)).toMatchObject({ complete: true })
    expect(next.retained.since(all('busy'), 395)).toMatchObject({ complete: false })
  })

  it('keeps the bytes in proportion to what is retained', async () => {
    const archive = new MemoryArchive()
    const life = new Life(archive, { ...wide, bytes: 5 * maxSegmentBytes })
    const log = new TestLog()
    let most = 0
    for (let i = 0; i < 60; i++) {
      await life.addAndSeal(log, ['a', 'a'], 'x'.repeat(maxSegmentBytes / 2 - 1000))
      let stored = 0
      for (const name of await archive.list()) stored += (await archive.read(name))?.length ?? 0
      most = Math.max(most, stored)
    }

    expect(most).toBeLessThan(32 * maxSegmentBytes)
  })

  it('leaves no hole between the ranges', async () => {
    const archive = new MemoryArchive()
    const life = new Life(archive, { ...wide, messages: 3 })
    const log = new TestLog()
    for (let i = 0; i < 50; i++) await life.addAndSeal(log, ['a', `room/${i % 7}`])

    let reached = 0
    for (const name of (await archive.list()).sort()) {
      expect(parseRange(name)?.from).toBe(reached + 1)
      reached = parseRange(name)?.through ?? 0
    }
    expect(reached).toBe(log.last)
  })

  it('names a bounded number of topics, and rather tells of a gap too many', async () => {
    const retained = new Retained({ ...wide, messages: 1 })
    const log = new TestLog()
    const rooms = Array.from({ length: 5000 }, (_, i) => `room/${i}`)
    for (const room of [...rooms, ...rooms]) retained.add(log.next(room))
    const section = retained.section(1, log.last, Number.POSITIVE_INFINITY)

    expect(section.dropped.size).toBeLessThan(5000)
    const restored = new Retained(wide)
    restored.restore(section)
    for (const [i, room] of rooms.entries()) expect(restored.since(all(room), i).complete).toBe(false)
  })
})

async function tidy(life: Life, log: TestLog): Promise<void> {
  for (let i = 0; i < 20; i++) await life.addAndSeal(log, ['a'])
  expect(life.historian.segments).toBeLessThan(10)
}

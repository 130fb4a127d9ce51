import { mkdtemp, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { createStorage } from 'unstorage'
import memoryDriver from 'unstorage/drivers/memory'
import { afterEach, describe, expect, it } from 'vitest'
import type { Selection } from '#protocol'
import { type Archive, ArchiveError, MemoryArchive } from '../../broker/history/archive.ts'
import { Historian, type Trouble } from '../../broker/history/historian.ts'
import { openArchive } from '../../broker/history/open.ts'
import { StorageArchive, type StorageEncoding } from '../../broker/history/storage-archive.ts'
import { type HistoryBounds, Retained } from '../../broker/retained.ts'
import { seen, TestLog } from '../support/log.ts'
import { TestTimer } from '../support/timer.ts'

/** A place where segments are kept. */
interface Store {
  /** As a process does that starts. */
  open(): Promise<Archive>
  /** Cuts a segment off in the middle, as an ended process or a full disk does. */
  tear(archive: Archive, name: string): Promise<void>
}

const releases: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release()
})

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-archive-'))
  releases.push(() => rm(folder, { recursive: true }))
  return folder
}

async function openSetting(
  driver: string,
  options: Record<string, unknown>,
  folder: string,
): Promise<Archive> {
  const archive = await openArchive({ driver, options }, folder)
  if (!archive) throw new Error('the store is off')
  releases.push(() => archive.close())
  return archive
}

async function tearByWriting(archive: Archive, name: string): Promise<void> {
  const bytes = await archive.read(name)
  if (bytes) await archive.write(name, bytes.subarray(0, bytes.length / 2))
}

function makeMemoryStorage(encoding: StorageEncoding): Store {
  // What is in the memory of a process is found again only in the same one.
  const driver = memoryDriver()
  return { open: async () => new StorageArchive(createStorage({ driver }), encoding), tear: tearByWriting }
}

const stores: Record<string, () => Promise<Store>> = {
  'the reference in memory': async () => {
    const archive = new MemoryArchive()
    return { open: async () => archive, tear: tearByWriting }
  },
  'unstorage memory': async () => makeMemoryStorage('bytes'),
  'unstorage memory, in base64': async () => makeMemoryStorage('base64'),
  'unstorage fs': async () => {
    const folder = join(await makeFolder(), 'history')
    return {
      open: () => openSetting('fs', {}, folder),
      async tear(_, name) {
        const path = join(folder, name)
        await truncate(path, Math.floor((await stat(path)).size / 2))
      },
    }
  },
  'unstorage db0 with node:sqlite': async () => {
    const folder = await makeFolder()
    const options = { connector: 'node-sqlite', path: join(folder, 'history.sqlite') }
    return { open: () => openSetting('db0', options, folder), tear: tearByWriting }
  },
}

const wide: HistoryBounds = { messages: 100, bytes: 1024 * 1024, ageMs: 60_000, totalBytes: 16 * 1024 * 1024 }
const rooms: Selection = { topics: ['chat'], exact: false }

/** The history of a process that has loaded an archive. */
async function start(archive: Archive, bounds = wide) {
  const troubles: Trouble[] = []
  const retained = new Retained(bounds)
  let wake = () => {}
  let reached = 0
  const historian = new Historian({
    archive,
    retained,
    timer: new TestTimer().start,
    onSealed: through => {
      reached = through
      wake()
    },
    onTrouble: trouble => troubles.push(trouble),
  })
  const loadedThrough = await historian.load()
  return {
    retained,
    troubles,
    loadedThrough,
    async seal(through: number): Promise<void> {
      historian.seal(through)
      while (reached < through) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
    },
  }
}

describe.each(Object.entries(stores))('%s', (_, makeStore) => {
  it('gives back the bytes that were written', async () => {
    const archive = await (await makeStore()).open()
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 1000, size: 'max' }), async bytes => {
        await archive.write('1-2', bytes)
        expect(Buffer.compare((await archive.read('1-2')) ?? Buffer.of(0), bytes)).toBe(0)
      }),
      { numRuns: 50 },
    )
    const large = Uint8Array.from({ length: 2 ** 20 }, (_, i) => (i * 7) % 256)
    await archive.write('1-2', large)
    expect(Buffer.compare((await archive.read('1-2')) ?? Buffer.of(0), large)).toBe(0)
  })

  it('keeps a copy of its own', async () => {
    const archive = await (await makeStore()).open()
    const bytes = Uint8Array.of(1, 2, 3)
    await archive.write('1-2', bytes)
    bytes.fill(9)
    const read = await archive.read('1-2')
    expect([...(read ?? [])]).toEqual([1, 2, 3])
  })

  it('has nothing under a name that was not written, and nothing to remove there', async () => {
    const archive = await (await makeStore()).open()
    expect(await archive.list()).toEqual([])
    expect(await archive.read('1-2')).toBeUndefined()
    await archive.remove('1-2')
  })

  it('lists and reads many segments, also when it is opened again', async () => {
    const store = await makeStore()
    const archive = await store.open()
    const names = Array.from(
      { length: 150 },
      (_, i) => `${String(i).padStart(15, '0')}-${String(i).padStart(15, '0')}`,
    )
    for (const [i, name] of names.entries()) await archive.write(name, Uint8Array.of(i, 0, 255))
    for (const name of names.slice(0, 50)) await archive.remove(name)

    for (const reader of [archive, await store.open()]) {
      expect((await reader.list()).sort()).toEqual(names.slice(50))
      expect(await reader.read(names[0] ?? '')).toBeUndefined()
      expect([...((await reader.read(names[149] ?? '')) ?? [])]).toEqual([149, 0, 255])
    }
  })

  it('has the same history for the next process', async () => {
    const store = await makeStore()
    const first = await start(await store.open(), { ...wide, messages: 20 })
    const log = new TestLog()
    for (let i = 0; i < 30; i++) {
      log.timeMs += i
      if (i === 15) log.epoch = '00000000000b'
      const batch = log.batch([
        { topic: 'chat', payload: `${i} ä€😀`, type: 'msg' },
        { topic: `chat/${i % 3}`, payload: '\0\xff', binary: true },
      ])
      for (const message of batch) first.retained.add(message)
      if (i % 4 === 0) await first.seal(log.last)
    }
    await first.seal(log.last)

    const second = await start(await store.open(), { ...wide, messages: 20 })
    expect(second.loadedThrough).toBe(log.last)
    expect(second.retained.last(rooms, 99).map(seen)).toEqual(first.retained.last(rooms, 99).map(seen))
    for (let offset = 0; offset <= log.last; offset++) {
      for (const topic of ['chat', 'chat/0', 'none']) {
        const selection = { topics: [topic], exact: true }
        expect(second.retained.since(selection, offset)).toEqual(first.retained.since(selection, offset))
      }
    }
    expect(second.troubles).toEqual([])
  })

  it('leaves out a segment that is torn, and tells that what was in it is missing', async () => {
    const store = await makeStore()
    const archive = await store.open()
    const first = await start(archive)
    const log = new TestLog()
    for (const topic of ['chat', 'chat/a', 'chat', 'chat']) {
      first.retained.add(log.next(topic))
      await first.seal(log.last)
    }
    const [, torn] = (await archive.list()).sort()
    await store.tear(archive, torn ?? '')

    const second = await start(await store.open())
    expect(second.troubles).toEqual([
      { kind: 'torn', segment: torn },
      { kind: 'missing', from: 2, through: 2 },
    ])
    expect(second.retained.last(rooms, 9).map(({ offset }) => offset)).toEqual([1, 3, 4])
    expect(second.retained.since(rooms, 1).complete).toBe(false)
    expect(second.retained.since(rooms, 2).complete).toBe(true)
  })

  it('reaches as far as the last whole segment', async () => {
    const store = await makeStore()
    const archive = await store.open()
    const first = await start(archive)
    const log = new TestLog()
    for (const topic of ['chat', 'chat']) {
      first.retained.add(log.next(topic))
      await first.seal(log.last)
    }
    await store.tear(archive, (await archive.list()).sort().at(-1) ?? '')

    expect((await start(await store.open())).loadedThrough).toBe(1)
  })
})

describe('the setting of the store', () => {
  it('can be off', async () => {
    expect(await openArchive({ driver: 'off', options: {} }, tmpdir())).toBeUndefined()
  })

  it('puts the files of fs where its options say, also below a node_modules', async () => {
    const base = join(await makeFolder(), 'node_modules', 'here')
    const archive = await openSetting('fs', { base }, '/nowhere')
    await archive.write('1-2', Uint8Array.of(1))

    expect((await stat(join(base, '1-2'))).size).toBe(1)
    expect(await archive.list()).toEqual(['1-2'])
  })

  it('takes any driver of unstorage', async () => {
    const base = await makeFolder()
    const archive = await openSetting('fs-lite', { base }, '/nowhere')
    await archive.write('1-2', Uint8Array.of(1, 0, 255))

    expect([...((await archive.read('1-2')) ?? [])]).toEqual([1, 0, 255])
  })

  it.each([
    ['nosuch', {}, 'history.store.driver is "nosuch": allowed is "off", "fs"'],
    ['../fs', {}, 'history.store.driver is "../fs": allowed is'],
    ['', {}, 'history.store.driver is "": allowed is'],
    ['redis', {}, 'history.store.driver is "redis": it needs the package "ioredis", which is not installed'],
    ['fs-lite', {}, 'history.store.driver is "fs-lite": it does not take these options:'],
    ['github', {}, 'history.store.driver is "github": allowed is "off", "fs"'],
    ['fs', { base: 5 }, 'history.store.driver is "fs": it does not take these options:'],
    ['db0', {}, 'history.store.options.connector is undefined: allowed is a connector of db0'],
    [
      'db0',
      { connector: 'nosuch' },
      'history.store.options.connector is "nosuch": allowed is a connector of db0',
    ],
  ])('that is wrong is named, with what was given: %j', async (driver, options, text) => {
    const opened = openArchive({ driver, options }, tmpdir())
    await expect(opened).rejects.toThrow(ArchiveError)
    await expect(opened).rejects.toThrow(`The setting ${text}`)
  })

  it('that points at something unreadable is told when the history is read', async () => {
    const file = join(await makeFolder(), 'file')
    const folder = await openSetting('fs', {}, file)
    await folder.write('000000000000001-000000000000001', Uint8Array.of(1))
    const inside = await openSetting('fs', {}, join(file, '000000000000001-000000000000001'))

    await expect(start(inside)).rejects.toThrow(/history\.store/)
  })
})

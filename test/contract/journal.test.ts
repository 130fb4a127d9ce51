import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileJournal, type FileJournalOptions } from '../../broker/journal/file.ts'
import type { Journal, KeyEntry, Recovery } from '../../broker/journal/journal.ts'
import { MemoryJournal } from '../../broker/journal/memory.ts'
import type { Batch } from '../../broker/protocol/index.ts'
import { batchAt, journalOptions, keyEntry, keyed } from '../support/journals.ts'
import { startProgram } from '../support/processes.ts'
import { batchOf, publication } from '../support/publications.ts'

let folder = ''
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'postern-journal-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

/** A journal that can be opened again, as after a restart. */
interface Opened {
  readonly journal: Journal
  readonly recovery: Recovery
}

const openers: Record<string, () => () => Opened> = {
  MemoryJournal: () => {
    const journal = new MemoryJournal()
    return () => ({ journal, recovery: journal.recover('aaaaaaaaaaaa') })
  },
  FileJournal: () => () => {
    const journal = new FileJournal(journalOptions(folder))
    return { journal, recovery: journal.recovery }
  },
}

const offsets = (batches: readonly Batch[]) =>
  batches.flatMap(({ messages }) => messages.map(({ offset }) => offset))
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

describe.each(Object.entries(openers))('every journal: %s', (_, prepare) => {
  it('begins empty', () => {
    const { recovery } = prepare()()
    expect(recovery).toMatchObject({ last: 0, batches: [], keys: [], pastEpochs: [], broken: 'empty' })
    expect(recovery.epoch).toMatch(/^[0-9a-f]{12}$/)
  })

  it('remembers up to which number kept messages are in the log', () => {
    const open = prepare()
    const { journal, recovery } = open()
    expect(recovery.keptThrough).toBe(0)
    journal.append(batchAt(recovery.epoch, 1), [], 7)
    journal.append(batchAt(recovery.epoch, 2), [keyEntry(recovery.epoch, 2)], 9)
    journal.append(batchAt(recovery.epoch, 3), [])
    expect(open().recovery).toMatchObject({ last: 3, keptThrough: 9 })
    expect(open().recovery.keys).toHaveLength(1)
  })

  it('gives back what was appended, byte for byte and with its keys, in the same epoch', () => {
    const open = prepare()
    const { journal, recovery } = open()
    const { epoch } = recovery
    const batches = [
      batchOf(
        [
          publication({ payload: new Uint8Array() }),
          publication({ binary: true, payload: new Uint8Array([0xff]) }),
        ],
        { epoch },
      ),
      batchOf([publication({ topic: 'a/b', type: 'msg', payload: 'größer' })], { epoch, first: 3 }),
    ]
    const [first, second] = batches
    if (!first || !second) return
    journal.append(first, [keyEntry(epoch, 1), keyEntry(epoch, 2)])
    journal.append(second, [])

    const again = open().recovery
    expect(again).toMatchObject({ epoch, last: 3, pastEpochs: [], broken: undefined })
    expect(again.batches.map(({ bytes }) => Buffer.from(bytes))).toEqual(
      batches.map(({ bytes }) => Buffer.from(bytes)),
    )
    expect(again.keys).toEqual([keyEntry(epoch, 1), keyEntry(epoch, 2)])
  })

  it('goes on after a restart where it stood', () => {
    const open = prepare()
    const { epoch } = open().recovery
    for (const offset of range(1, 4)) {
      const { journal, recovery } = open()
      expect(recovery).toMatchObject({ epoch, last: offset - 1 })
      journal.append(...keyed(epoch, offset))
    }
    const { batches, keys } = open().recovery
    expect(offsets(batches)).toEqual(range(1, 4))
    expect(keys).toEqual(range(1, 4).map(offset => keyEntry(epoch, offset)))
  })

  it('loses nothing that is newer when what is older is retired, and never its place', () => {
    const open = prepare()
    const { journal, recovery } = open()
    for (const offset of range(1, 5)) journal.append(...keyed(recovery.epoch, offset))
    journal.retire(3)
    expect(offsets(open().recovery.batches)).toEqual(expect.arrayContaining([4, 5]))
    journal.retire(5)
    expect(open().recovery).toMatchObject({ epoch: recovery.epoch, last: 5, broken: undefined })
  })

  it('may be closed twice, and goes on afterwards', () => {
    const open = prepare()
    const { journal, recovery } = open()
    journal.append(...keyed(recovery.epoch, 1))
    journal.close()
    journal.close()
    const again = open()
    expect(again.recovery).toMatchObject({ epoch: recovery.epoch, last: 1, broken: undefined })
    again.journal.append(...keyed(recovery.epoch, 2))
    expect(offsets(open().recovery.batches)).toEqual([1, 2])
  })
})

const openFile = (options: Partial<FileJournalOptions> = {}) =>
  new FileJournal({ ...journalOptions(folder), ...options })

/** Opens the journal and appends the next messages. */
function append(count: number, options: Partial<FileJournalOptions> = {}): FileJournal {
  const journal = openFile(options)
  const { epoch, last } = journal.recovery
  for (const offset of range(last + 1, last + count)) journal.append(...keyed(epoch, offset))
  return journal
}

const names = () => fs.readdirSync(folder).sort()

describe('a journal in files', () => {
  it('loses nothing when its process is killed, and keeps the epoch', async () => {
    const env = { FOLDER: folder, COUNT: '20' }
    const first = await startProgram('test/support/journal-writer.ts', [], env)
    expect(await first.ended).toBe('SIGKILL')
    const second = await startProgram('test/support/journal-writer.ts', [], env)
    expect(await second.ended).toBe('SIGKILL')
    expect(second.told).toEqual({ epoch: first.told['epoch'], last: 20 })

    const { recovery } = openFile()
    expect(recovery).toMatchObject({ epoch: first.told['epoch'], last: 40, broken: undefined })
    expect(offsets(recovery.batches)).toEqual(range(1, 40))
    expect(recovery.keys.map(({ offset }) => offset)).toEqual(range(1, 40))
    expect(names().length).toBeGreaterThan(4)
  })

  it('keeps the epoch when a process that appended nothing is killed', () => {
    const { epoch } = openFile().recovery
    for (let i = 0; i < 3; i++) expect(openFile().recovery).toMatchObject({ epoch, broken: undefined })
  })

  it('begins a new epoch after another boot of the machine, and remembers the old one', () => {
    const { epoch } = append(3).recovery
    const { recovery } = append(2, { boot: 'next boot' })
    expect(recovery).toMatchObject({ last: 3, broken: 'power-loss', pastEpochs: [{ epoch, last: 3 }] })
    expect(recovery.epoch).not.toBe(epoch)

    const again = openFile({ boot: 'next boot' }).recovery
    expect(again).toMatchObject({ epoch: recovery.epoch, last: 5, broken: undefined })
    expect(again.pastEpochs).toEqual([{ epoch, last: 3 }])
    expect(offsets(again.batches)).toEqual(range(1, 5))
    expect(again.keys.map(key => [key.epoch, key.offset])).toEqual([
      ...range(1, 3).map(offset => [epoch, offset]),
      ...range(4, 5).map(offset => [recovery.epoch, offset]),
    ])
  })

  it('keeps the epoch after another boot when it was closed', () => {
    const journal = append(3)
    journal.close()
    const again = openFile({ boot: 'next boot' })
    expect(again.recovery).toMatchObject({ epoch: journal.recovery.epoch, last: 3, broken: undefined })
    again.close()
    expect(openFile({ boot: 'third boot' }).recovery.epoch).toBe(journal.recovery.epoch)
  })

  it('trusts no unclean end where the boot is not known', () => {
    const { epoch } = append(1, { boot: undefined }).recovery
    const second = append(1, { boot: undefined })
    expect(second.recovery).toMatchObject({ broken: 'power-loss', pastEpochs: [{ epoch, last: 1 }] })
    second.close()
    expect(openFile({ boot: undefined }).recovery).toMatchObject({ epoch: second.recovery.epoch, last: 2 })
  })

  it('remembers the newest 64 past epochs', () => {
    const epochs = range(1, 66).map(boot => append(1, { boot: `boot ${boot}` }).recovery.epoch)
    const { pastEpochs } = openFile({ boot: 'boot 66' }).recovery
    expect(pastEpochs.map(({ epoch }) => epoch)).toEqual(epochs.slice(1, 65))
    expect(pastEpochs.map(({ last }) => last)).toEqual(range(2, 65))
  })

  it('gives no offset again that the history knows of', () => {
    expect(openFile({ after: 500 }).recovery).toMatchObject({ last: 500, broken: 'empty', batches: [] })
    const { epoch } = append(3, { after: 500 }).recovery
    expect(openFile({ after: 502 }).recovery).toMatchObject({ epoch, last: 503, broken: undefined })
    const { recovery } = openFile({ after: 600 })
    expect(recovery).toMatchObject({ last: 600, broken: 'torn' })
    expect(recovery.epoch).not.toBe(epoch)
  })

  it('takes nothing after it was closed', () => {
    const journal = append(1)
    journal.close()
    expect(() => journal.append(...keyed(journal.recovery.epoch, 2))).toThrow('closed')
  })

  it('does not hold in memory what it has handed over', () => {
    append(3)
    const journal = openFile()
    expect(journal.recovery.batches).toHaveLength(3)
    journal.append(...keyed(journal.recovery.epoch, 4))
    expect(journal.recovery).toMatchObject({ batches: [], keys: [] })
  })
})

describe('a journal of another version', () => {
  it('is refused with a sentence that names the file, and stays as it is', () => {
    append(3)
    const path = join(folder, names()[0] ?? '')
    const whole = fs.readFileSync(path)
    const length = whole.readUInt32BE(0)
    const head = Buffer.from(
      whole
        .subarray(8, 8 + length)
        .toString()
        .replace('"format":2', '"format":1'),
    )
    whole.set(head, 8)
    whole.writeUInt32BE(crc32(head), 4)
    fs.writeFileSync(path, whole)
    expect(() => openFile()).toThrow(
      /journal cannot be read: .*\.journal: it has format 1, and this version reads 2/,
    )
    expect(fs.readFileSync(path)).toEqual(whole)
  })
})

describe('a torn tail', () => {
  /** The one file, and where its last entry begins. */
  function tornFrom(): { path: string; whole: Buffer; begins: number; epoch: string } {
    const journal = append(2)
    const begins = journal.byteLength
    const { epoch } = journal.recovery
    journal.append(...keyed(epoch, 3))
    const path = join(folder, names()[0] ?? '')
    return { path, whole: fs.readFileSync(path), begins, epoch }
  }

  function expectNewEpoch(epoch: string): void {
    const journal = openFile()
    const { recovery } = journal
    expect(recovery).toMatchObject({ last: 2, broken: 'torn', pastEpochs: [{ epoch, last: 2 }] })
    expect(recovery.epoch).not.toBe(epoch)
    expect(offsets(recovery.batches)).toEqual([1, 2])
    expect(recovery.keys.map(({ offset }) => offset)).toEqual([1, 2])

    journal.append(...keyed(recovery.epoch, 3))
    const again = openFile().recovery
    expect(again).toMatchObject({ epoch: recovery.epoch, last: 3, broken: undefined })
    expect(offsets(again.batches)).toEqual([1, 2, 3])
  }

  function restore(path: string, content: Uint8Array): void {
    for (const name of names()) fs.rmSync(join(folder, name))
    fs.writeFileSync(path, content)
  }

  it('begins a new epoch once, wherever it was cut, and loses nothing before it', () => {
    const { path, whole, begins, epoch } = tornFrom()
    for (let length = begins + 1; length < whole.length; length++) {
      restore(path, whole.subarray(0, length))
      expectNewEpoch(epoch)
    }
    restore(path, whole.subarray(0, begins))
    expect(openFile().recovery).toMatchObject({ epoch, last: 2, broken: undefined })
  })

  it('is one too when a byte of the last entry is wrong', () => {
    const { path, whole, begins, epoch } = tornFrom()
    for (let at = begins; at < whole.length; at += 3) {
      const wrong = Buffer.from(whole)
      wrong.writeUInt8(wrong.readUInt8(at) ^ 0x10, at)
      restore(path, wrong)
      expectNewEpoch(epoch)
    }
  })

  it('is one too when the system has filled it with zeros', () => {
    const { path, whole, begins, epoch } = tornFrom()
    for (const zeros of [1, 8, 9, 4096]) {
      restore(path, Buffer.concat([whole.subarray(0, begins), Buffer.alloc(zeros)]))
      expectNewEpoch(epoch)
    }
  })
})

describe('files that are damaged', () => {
  const small = { fileBytes: 300 }

  function rotated(): { epoch: string; paths: string[] } {
    const { epoch } = append(20, small).recovery
    const paths = names().map(name => join(folder, name))
    expect(paths.length).toBeGreaterThan(4)
    return { epoch, paths }
  }

  function expectNewEpochOnce(epoch: string, last = 20): Recovery {
    const { recovery } = openFile(small)
    expect(recovery).toMatchObject({ last, broken: 'torn', pastEpochs: [{ epoch, last }] })
    expect(openFile(small).recovery).toMatchObject({ epoch: recovery.epoch, last, broken: undefined })
    return recovery
  }

  it('in the middle of one begin a new epoch; what is whole comes back', () => {
    const { epoch, paths } = rotated()
    const [, second = ''] = paths
    const content = fs.readFileSync(second)
    const at = content.length - 10
    content.writeUInt8(content.readUInt8(at) ^ 1, at)
    fs.writeFileSync(second, content)

    const found = offsets(expectNewEpochOnce(epoch).batches)
    expect(found).not.toEqual(range(1, 20))
    expect(found).toEqual(range(1, 20).filter(offset => found.includes(offset)))
    expect(found).toEqual(expect.arrayContaining([1, 20]))
  })

  it('of which an entry in the middle is missing begin a new epoch', () => {
    const journal = append(1)
    const { epoch } = journal.recovery
    const begins = journal.byteLength
    journal.append(...keyed(epoch, 2))
    const ends = journal.byteLength
    journal.append(...keyed(epoch, 3))
    const path = join(folder, names()[0] ?? '')
    const content = fs.readFileSync(path)
    fs.writeFileSync(path, Buffer.concat([content.subarray(0, begins), content.subarray(ends)]))
    expectNewEpochOnce(epoch, 3)
  })

  it('of which one in the middle is missing begin a new epoch', () => {
    const { epoch, paths } = rotated()
    fs.rmSync(paths[1] ?? '')
    expectNewEpochOnce(epoch)
  })

  it('of which the last before an empty one is missing begin a new epoch', () => {
    const { epoch } = rotated()
    const before = names()
    openFile({ ...small }).close()
    fs.rmSync(join(folder, before.at(-1) ?? ''))
    expectNewEpochOnce(epoch)
  })

  it('of which the oldest are missing are as if they were retired', () => {
    const { epoch, paths } = rotated()
    fs.rmSync(paths[0] ?? '')
    const { recovery } = openFile(small)
    expect(recovery).toMatchObject({ epoch, last: 20, broken: undefined })
    expect(recovery.batches[0]?.first).toBeGreaterThan(1)
  })

  it('whose newest one was begun and never written to go on', () => {
    const { epoch } = rotated()
    fs.writeFileSync(join(folder, '000000000000020.0000.journal'), '')
    const journal = append(1, small)
    expect(journal.recovery).toMatchObject({ epoch, last: 20, broken: undefined })
    expect(openFile(small).recovery).toMatchObject({ epoch, last: 21, broken: undefined })
  })

  it('whose newest one has half a head begin a new epoch', () => {
    const { epoch, paths } = rotated()
    fs.writeFileSync(
      join(folder, '000000000000020.0000.journal'),
      fs.readFileSync(paths[0] ?? '').subarray(0, 20),
    )
    expectNewEpochOnce(epoch)
  })

  it('that are all gone are an empty journal', () => {
    rotated()
    for (const name of names()) fs.rmSync(join(folder, name))
    expect(openFile().recovery).toMatchObject({ last: 0, broken: 'empty' })
  })
})

describe('files of others in the folder', () => {
  it('are neither read nor changed', () => {
    const foreign = ['README', 'notes.journal', '1.2.journal', '000000000000001.0000.journal.bak', 'lock']
    for (const name of foreign) fs.writeFileSync(join(folder, name), 'mine')
    fs.mkdirSync(join(folder, 'folder.journal'))
    const { epoch } = append(2).recovery
    expect(openFile().recovery).toMatchObject({ epoch, last: 2, broken: undefined })
    for (const name of foreign) expect(fs.readFileSync(join(folder, name), 'utf8')).toBe('mine')
  })
})

describe('rotation', () => {
  it('carries over up to which number kept messages are in the log', () => {
    const options = { ...journalOptions(folder), fileBytes: 300 }
    const journal = new FileJournal(options)
    const { epoch } = journal.recovery
    journal.append(batchAt(epoch, 1), [], 7)
    for (let offset = 2; offset <= 20; offset++) journal.append(batchAt(epoch, offset), [])
    journal.retire(10)
    expect(new FileJournal(options).recovery.keptThrough).toBe(7)
  })

  const small = { fileBytes: 300 }

  it('begins the next file when so much was added, and tells the last offset of the old one', () => {
    const told: number[] = []
    append(20, { ...small, onRotated: last => told.push(last) })
    expect(names()).toEqual([
      '000000000000000.0000.journal',
      ...told.map(last => `${String(last).padStart(15, '0')}.0000.journal`),
    ])
    expect(told.length).toBeGreaterThan(3)
  })

  it('begins it with the current keys, so that they outlive the files that they came in', () => {
    const keys = [keyEntry('bbbbbbbbbbbb', 1), keyEntry('bbbbbbbbbbbb', 2)]
    const journal = append(20, { ...small, currentKeys: () => keys })
    journal.retire(20)
    expect(names()).toHaveLength(1)
    const { recovery } = openFile()
    expect(recovery.keys).toEqual(expect.arrayContaining(keys))
    expect(recovery).toMatchObject({ last: 20, broken: undefined })
  })

  it('never makes a key outlive a message that did not get into the journal', () => {
    const keys: KeyEntry[] = []
    const journal = openFile({ ...small, currentKeys: () => keys })
    const { epoch } = journal.recovery
    keys.push(...range(1, 100).map(offset => keyEntry(epoch, offset)))
    let next = 1
    for (; names().length < 2; next++) journal.append(batchAt(epoch, next), [])
    const beforeTheLast = next - 2
    expect(openFile().recovery.keys.map(({ offset }) => offset)).toEqual(range(1, beforeTheLast))
  })

  it('is not brought about by the keys that a file begins with', () => {
    const keys = range(1, 100).map(offset => keyEntry('bbbbbbbbbbbb', offset))
    append(1).close()
    append(20, { fileBytes: 5000, currentKeys: () => keys })
    expect(names()).toHaveLength(2)
  })

  it('and restarts keep what a key stands for last, in the order of time', () => {
    const { epoch } = append(2).recovery
    const again = { ...keyEntry(epoch, 3), key: keyEntry(epoch, 1).key }
    openFile().append(batchAt(epoch, 3), [again])
    expect(openFile().recovery.keys).toEqual([keyEntry(epoch, 2), again])
  })

  it('and many restarts do not let the keys grow', () => {
    for (let i = 0; i < 12; i++) {
      const journal = openFile()
      const { epoch, last, keys } = journal.recovery
      expect(keys.map(({ offset }) => offset)).toEqual(range(1, last))
      const again = openFile({ currentKeys: () => keys })
      again.append(...keyed(epoch, last + 1))
      if (i % 2 === 0) again.close()
    }
  })

  it('does not wait for files that somebody has removed', () => {
    const journal = append(20, small)
    for (const name of names().slice(0, 2)) fs.rmSync(join(folder, name))
    journal.retire(20)
    expect(names()).toHaveLength(1)
    expect(journal.byteLength).toBe(fs.statSync(join(folder, names()[0] ?? '')).size)
  })

  it('keeps what is newer than what is retired, and all keys until it has begun a file', () => {
    append(20, small)
    const before = names()
    const journal = openFile(small)
    journal.retire(20)
    expect(names()).toEqual(before)
    journal.append(...keyed(journal.recovery.epoch, 21))
    journal.retire(10)
    expect(offsets(openFile().recovery.batches)).toEqual(expect.arrayContaining(range(11, 21)))
    expect(names().length).toBeLessThan(before.length)
  })
})

/** Puts something in the place of functions of `node:fs` while a test runs. */
function replacing(functions: Readonly<Record<string, unknown>>, during: () => void): void {
  const originals = Object.fromEntries(Object.keys(functions).map(name => [name, Reflect.get(fs, name)]))
  Object.assign(fs, functions)
  syncBuiltinESMExports()
  try {
    during()
  } finally {
    Object.assign(fs, originals)
    syncBuiltinESMExports()
  }
}

/** A disk on which so many more bytes find room. */
function withRoomFor(bytes: number, during: () => void): void {
  let room = bytes
  const write = fs.writevSync
  const writevSync = (file: number, parts: readonly Uint8Array[], position: number) => {
    if (room === 0) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    const fitting = Buffer.concat(parts).subarray(0, room)
    room -= fitting.length
    return write(file, [fitting], position)
  }
  replacing({ writevSync }, during)
}

describe('a disk that is full', () => {
  it.each([0, 1, 8, 9, 50])('leaves no half entry behind, after %i bytes of one', room => {
    const journal = append(2)
    const { epoch } = journal.recovery
    withRoomFor(room, () => expect(() => journal.append(...keyed(epoch, 3))).toThrow('no space'))
    expect(openFile().recovery).toMatchObject({ epoch, last: 2, broken: undefined })

    journal.append(...keyed(epoch, 3))
    const { recovery } = openFile()
    expect(recovery).toMatchObject({ epoch, last: 3, broken: undefined })
    expect(offsets(recovery.batches)).toEqual([1, 2, 3])
    expect(recovery.keys.map(({ offset }) => offset)).toEqual([1, 2, 3])
  })

  it.each([0, 1, 50])(
    'does no harm to the old file when the next cannot be begun, after %i bytes of it',
    room => {
      const journal = append(4, { fileBytes: 300 })
      const { epoch } = journal.recovery
      const before = names()
      for (let i = 0; i < 2; i++) {
        withRoomFor(room, () => expect(() => journal.append(...keyed(epoch, 5))).toThrow('no space'))
        expect(names()).toEqual(before)
        expect(offsets(openFile().recovery.batches)).toEqual(range(1, 4))
      }

      journal.append(...keyed(epoch, 5))
      expect(names()).toHaveLength(before.length + 1)
      const { recovery } = openFile()
      expect(recovery).toMatchObject({ epoch, last: 5, broken: undefined })
      expect(offsets(recovery.batches)).toEqual(range(1, 5))
    },
  )

  it('does no harm to a log that goes on when its first file cannot be begun', () => {
    const { epoch } = append(3).recovery
    const journal = openFile()
    withRoomFor(10, () => expect(() => journal.append(...keyed(epoch, 4))).toThrow('no space'))
    expect(openFile().recovery).toMatchObject({ epoch, last: 3, broken: undefined })
    journal.append(...keyed(epoch, 4))
    expect(openFile().recovery).toMatchObject({ epoch, last: 4, broken: undefined })
  })
})

/** Files as they would be after a power loss that took everything that was not synced. */
function losingPowerAfter(during: () => void): void {
  const paths = new Map<number, string>()
  const syncedBytes = new Map<string, number>()
  let listed: string[] = []
  const { openSync, fsyncSync } = fs
  for (const name of names()) syncedBytes.set(name, fs.statSync(join(folder, name)).size)
  listed = names()
  replacing(
    {
      openSync(path: string, flags: string) {
        const handle = openSync(path, flags)
        paths.set(handle, path)
        return handle
      },
      fsyncSync(handle: number) {
        fsyncSync(handle)
        const path = paths.get(handle) ?? ''
        if (path === folder) listed = names()
        else syncedBytes.set(path.slice(folder.length + 1), fs.fstatSync(handle).size)
      },
    },
    during,
  )
  for (const name of names()) {
    if (!listed.includes(name)) fs.rmSync(join(folder, name))
    else fs.truncateSync(join(folder, name), syncedBytes.get(name) ?? 0)
  }
}

describe('a power loss', () => {
  it('right after a clean restart begins a new epoch, although nothing of the last messages is left', () => {
    const journal = append(3)
    journal.close()
    const { epoch } = journal.recovery
    losingPowerAfter(() => append(2, { boot: 'second boot' }))
    const { recovery } = openFile({ boot: 'third boot' })
    expect(recovery).toMatchObject({ last: 3, broken: 'power-loss', pastEpochs: [{ epoch, last: 3 }] })
    expect(recovery.epoch).not.toBe(epoch)
  })

  it('after the journal was closed takes nothing', () => {
    const small = { fileBytes: 300 }
    append(5, small)
    losingPowerAfter(() => append(10, small).close())
    expect(openFile({ boot: 'next boot' }).recovery).toMatchObject({ last: 15, broken: undefined })
  })
})

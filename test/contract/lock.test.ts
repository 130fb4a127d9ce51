import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { lockFolder } from '../../broker/lock.ts'
import { startProgram } from '../support/processes.ts'

let parent = ''
let folder = ''
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'postern-lock-'))
  folder = join(parent, 'data')
})
afterEach(() => rmSync(parent, { recursive: true }))

const refusal = () =>
  `${folder} is used by another broker: stop it, or set data (POSTERN_DATA) to another folder`

describe('the lock of a folder', () => {
  it('is had by one process at a time, and the next is told the name of the folder', async () => {
    const holder = await startProgram('test/support/lock-holder.ts', [], { FOLDER: folder })
    expect(() => lockFolder(folder)).toThrow(refusal())

    holder.kill('SIGTERM')
    expect(await holder.ended).toBe(0)
    lockFolder(folder)()
  })

  it('is let go of by a process that is killed', async () => {
    const holder = await startProgram('test/support/lock-holder.ts', [], { FOLDER: folder })
    holder.kill('SIGKILL')
    await holder.ended
    const unlock = lockFolder(folder)
    await expect(startProgram('test/support/lock-holder.ts', [], { FOLDER: folder })).rejects.toThrow(
      refusal(),
    )
    unlock()
  })

  it('is had once within a process too, until it is let go of', () => {
    const unlock = lockFolder(folder)
    expect(() => lockFolder(folder)).toThrow(refusal())
    unlock()
    lockFolder(folder)()
  })

  it('makes the folder', () => {
    const unlock = lockFolder(join(folder, 'below'))
    unlock()
  })
})

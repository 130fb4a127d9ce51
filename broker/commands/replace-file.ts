import { randomBytes } from 'node:crypto'
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'

/** Who may read what nobody had before. */
const newFileMode = 0o600

/**
 * Writes a file so that whoever reads it sees the old content or the new one and nothing between, also after a crash. It
 * keeps its owner and mode; a new one is its owner's alone.
 *
 * @throws Error of the system: the old file is untouched then.
 */
export function replaceFile(path: string, content: string): void {
  const old = statSync(path, { throwIfNoEntry: false })
  // What a link points to is replaced, not the link.
  const target = old ? realpathSync(path) : path
  const beside = join(dirname(target), `.${randomBytes(6).toString('hex')}.new`)
  const file = openSync(beside, 'wx', newFileMode)
  try {
    try {
      writeFileSync(file, content)
      if (old) {
        fchownSync(file, old.uid, old.gid)
        fchmodSync(file, old.mode & 0o7777)
      }
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(beside, target)
  } catch (error) {
    rmSync(beside, { force: true })
    throw error
  }
}

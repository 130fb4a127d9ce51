import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/**
 * Locks a folder for this process until it ends, however it ends: the lock is SQLite's own on a file, which the kernel
 * lets go of with the process. Node has no lock of its own that does so.
 *
 * @returns a function that lets go of it.
 * @throws Error when another process has it.
 */
export function lockFolder(folder: string): () => void {
  mkdirSync(folder, { recursive: true })
  const file = new DatabaseSync(join(folder, 'lock'))
  try {
    file.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    file.close()
    if (!isBusy(error)) throw error
    throw new Error(
      `${folder} is used by another broker: stop it, or set data (POSTERN_DATA) to another folder`,
    )
  }
  return () => file.close()
}

/** SQLITE_BUSY: another process holds the lock. Anything else is about the disk. */
function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && error.errcode === 5
}

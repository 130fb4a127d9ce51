import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const fileName = 'trial'

/**
 * Writes a little to the folder, as the journal does: through the page cache. Where the disk does not answer, this does
 * not return.
 *
 * @returns why it cannot be written, or undefined.
 */
export function tryToWrite(folder: string): string | undefined {
  try {
    // Cut to nothing first, so that a block is asked for each time: on a full disk there is none.
    writeFileSync(join(folder, fileName), 'x')
    return undefined
  } catch (error) {
    return `${folder} cannot be written: ${error instanceof Error ? error.message : String(error)}`
  }
}

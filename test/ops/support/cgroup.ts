import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const mounts = '/sys/fs/cgroup'

/**
 * Makes a cgroup below the one that this process is in, in each hierarchy that the machine has, so that what a machine
 * limits is limited below it.
 *
 * @returns its folders.
 */
export async function makeCgroup(name: string): Promise<readonly string[]> {
  const lines = (await readFile('/proc/self/cgroup', 'utf8')).trim().split('\n')
  const made = await Promise.all(lines.map(line => makeIn(line, name)))
  return made.filter(folder => folder !== undefined)
}

/** A line is `id:controllers:path`; the second is empty where the one new hierarchy has all controllers. */
async function makeIn(line: string, name: string): Promise<string | undefined> {
  const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
  const mount = mountOf(controllers)
  if (!mount) return undefined
  const parent = join(mount, path)
  const folder = join(parent, name)
  try {
    await mkdir(folder)
  } catch {
    // A hierarchy that nothing may be made in: then nothing can be limited in it either.
    return undefined
  }
  if (controllers === 'cpuset') {
    for (const file of ['cpuset.cpus', 'cpuset.mems'])
      await writeFile(join(folder, file), await readFile(join(parent, file)))
  }
  return folder
}

function mountOf(controllers: string): string | undefined {
  const unified = existsSync(join(mounts, 'unified')) ? join(mounts, 'unified') : mounts
  const folder = controllers === '' ? unified : join(mounts, controllers.replace(/^name=/, ''))
  return existsSync(folder) ? folder : undefined
}

/** Removes the folders with all that is below them; nothing may run there any more. */
export async function removeCgroup(folders: readonly string[]): Promise<void> {
  for (const folder of folders) await removeWithin(folder)
}

async function removeWithin(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) if (entry.isDirectory()) await removeWithin(join(folder, entry.name))
  // The kernel lets go of a process a moment after its end.
  for (let tries = 0; tries < 50; tries++) {
    try {
      return await rmdir(folder)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EBUSY')) return
      await new Promise(resolve => setTimeout(resolve, 20))
    }
  }
}

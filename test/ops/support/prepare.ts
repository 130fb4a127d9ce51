import { execFile, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readdir, rename, rm, symlink, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { missingForMachines } from './needs.ts'

/* Before the tests of operations: what they need from the system is installed, and what ships is packed once. */

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** What ships, as files. */
export interface Packages {
  /** The folder with its Node, as a tar.gz. */
  readonly tarball: string
  readonly deb: string
  /** The tarball of npm. */
  readonly npm: string
}

declare module 'vitest' {
  interface ProvidedContext {
    packages: Packages
  }
}

export default async function prepare(project: TestProject): Promise<() => Promise<void>> {
  if (existsSync('/etc/debian_version') && process.getuid?.() === 0)
    spawnSync(join(root, 'test/services/install-ops-debian.sh'), { stdio: 'inherit' })
  const folder = await mkdtemp(join(tmpdir(), 'postern-packages-'))
  // Those who skip need no packages.
  const packages = missingForMachines() === undefined ? await pack(folder) : { tarball: '', deb: '', npm: '' }
  project.provide('packages', packages)
  return () => rm(folder, { recursive: true, force: true })
}

/** Packs a copy of the project: its own dist may be in use, or older. */
async function pack(folder: string): Promise<Packages> {
  const copy = join(folder, 'project')
  const left = new Set(['node_modules', 'dist', 'data', 'coverage', '.git'])
  await cp(root, copy, {
    recursive: true,
    preserveTimestamps: true,
    filter: path => !left.has(basename(path)),
  })
  const link = join(copy, 'node_modules')
  await symlink(join(root, 'node_modules'), link)
  await promisify(execFile)('npm', ['run', 'package'], { cwd: copy })
  await unlink(link)
  await rename(join(copy, 'dist/packages'), join(folder, 'packages'))
  await rm(copy, { recursive: true })
  const names = await readdir(join(folder, 'packages'))
  const find = (pattern: RegExp) =>
    join(folder, 'packages', names.find(name => pattern.test(name)) ?? '(missing)')
  return { tarball: find(/\.tar\.gz$/), deb: find(/\.deb$/), npm: find(/\.tgz$/) }
}

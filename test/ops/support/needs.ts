import { spawnSync } from 'node:child_process'
import { describe } from 'vitest'
import { withSystemPaths } from '../../support/installed.ts'

const installer = 'test/services/install-ops-debian.sh'

/** What is missing here to boot machines, in the words of whoever can mend it; undefined where nothing is. */
export function missingForMachines(): string | undefined {
  if (process.platform !== 'linux') return 'needs Linux'
  if (process.getuid?.() !== 0) return 'needs root'
  const programs = ['systemd-nspawn', 'mmdebstrap', 'dpkg-deb', 'nsenter', 'setpriv', 'unshare']
  const missing = programs.filter(name => !isInstalled(name))
  return missing.length > 0 ? `needs ${missing.join(', ')}: ${installer}` : undefined
}

/** A suite that boots machines. Where that cannot be done it is skipped and says why; with `CI=true` it fails. */
export function describeOnMachines(name: string, suite: () => void): void {
  describeWith(missingForMachines(), name, suite)
}

/** A suite that needs programs of the system, and no root. */
export function describeWithPrograms(programs: readonly string[], name: string, suite: () => void): void {
  const missing = programs.filter(program => !isInstalled(program))
  describeWith(missing.length > 0 ? `needs ${missing.join(', ')}: ${installer}` : undefined, name, suite)
}

function describeWith(missing: string | undefined, name: string, suite: () => void): void {
  const isSkipped = missing !== undefined && process.env['CI'] !== 'true'
  describe.skipIf(isSkipped)(isSkipped ? `${name} (${missing})` : name, suite)
}

function isInstalled(program: string): boolean {
  const asked = spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program], { env: withSystemPaths() })
  return asked.status === 0
}

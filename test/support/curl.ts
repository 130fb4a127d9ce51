import { spawnSync } from 'node:child_process'
import { describe } from 'vitest'

export function hasCurl(): boolean {
  return spawnSync('curl', ['--version']).status === 0
}

/** A suite that runs commands as the papers tell them. Without curl it is skipped and says so; with `CI=true` it fails. */
export function describeWithCurl(name: string, suite: () => void): void {
  const isMissing = process.env['CI'] !== 'true' && !hasCurl()
  describe.skipIf(isMissing)(isMissing ? `${name} (needs curl: it is not on the PATH)` : name, suite)
}

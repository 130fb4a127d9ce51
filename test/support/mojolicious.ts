import { execFile, spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'

const folder = fileURLToPath(new URL('../e2e/mojolicious', import.meta.url))

export function hasMojolicious(): boolean {
  return spawnSync('perl', ['-MMojo::UserAgent', '-e', '1']).status === 0
}

/**
 * A suite of clients in Perl. Where perl or Mojolicious is missing it is skipped and says so; with `CI=true` it fails.
 */
export function describeWithMojolicious(name: string, suite: () => void): void {
  const isMissing = process.env['CI'] !== 'true' && !hasMojolicious()
  describe.skipIf(isMissing)(isMissing ? `${name} (needs perl with Mojolicious)` : name, suite)
}

/** What a client in Perl has found, in the words of the Test Anything Protocol. */
export interface Findings {
  /** How it has ended: 0 when all was as it should be. */
  readonly code: number | string | null | undefined
  /** What was not as it should be. */
  readonly failed: readonly string[]
  /** How many things it has looked at. */
  readonly checks: number
  /** All that it said, for the failure message. */
  readonly output: string
}

/** Runs a client to its end. @param env what it is told: the addresses of the servers. */
export function runMojolicious(file: string, env: Readonly<Record<string, string>>): Promise<Findings> {
  const { promise, resolve } = Promise.withResolvers<Findings>()
  execFile(
    'perl',
    [`-I${folder}`, `${folder}/${file}`],
    { env: { PATH: process.env['PATH'] ?? '', ...env } },
    (error, stdout, stderr) => {
      const lines = stdout.split('\n').map(line => line.trim())
      resolve({
        code: error ? error.code : 0,
        failed: lines.filter(line => line.startsWith('not ok')),
        checks: lines.filter(line => /^(not )?ok /.test(line)).length,
        output: `${stdout}\n${stderr}`,
      })
    },
  )
  return promise
}

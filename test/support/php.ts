import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe } from 'vitest'
import { type Command, startCommand } from './command.ts'

const folder = fileURLToPath(new URL('php', import.meta.url))

export function hasPhp(): boolean {
  return spawnSync('php', ['-r', 'exit(extension_loaded("sockets") ? 0 : 1);']).status === 0
}

/** A suite that runs PHP. Without it the suite is skipped and says so; with `CI=true` it fails. */
export function describeWithPhp(name: string, suite: () => void): void {
  const isMissing = process.env['CI'] !== 'true' && !hasPhp()
  describe.skipIf(isMissing)(
    isMissing ? `${name} (needs PHP with its sockets: it is not on the PATH)` : name,
    suite,
  )
}

/**
 * Runs a script of the folder `php`. Where the environment names a copy of PHPMessageBroker's repository in
 * `PHPMESSAGEBROKER`, its own classes are used in place of those that talk as they do.
 */
export function startPhp(
  script: 'receiver.php' | 'sender.php',
  ...args: readonly (string | number)[]
): Command {
  const library = process.env['PHPMESSAGEBROKER']
  return startCommand('php', [script, ...args.map(String)], {
    cwd: folder,
    ...(library && { env: { PHPMESSAGEBROKER: library } }),
  })
}

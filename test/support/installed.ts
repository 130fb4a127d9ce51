import { spawnSync } from 'node:child_process'

/** Whether the calls of a program to the system can be watched here. */
export function hasStrace(): boolean {
  return spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0
}

export function hasMariadb(): boolean {
  return ['mariadbd', 'mariadb-install-db'].every(
    name => spawnSync(name, ['--help'], { env: withSystemPaths() }).error === undefined,
  )
}

/** An environment in which the programs of the system are found, also by those who are not root. */
export function withSystemPaths(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin:/sbin` }
}

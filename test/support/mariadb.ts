import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { freePort } from './free-port.ts'
import { withSystemPaths } from './installed.ts'
import { type AtEnd, temporaryFolder } from './processes.ts'

/** A MariaDB server with a folder of its own, on a free port, that can be killed and started again in its place. */
export interface MariadbServer {
  /** Options of the connector: who may do everything in an empty database. */
  readonly options: {
    readonly host: string
    readonly port: number
    readonly user: string
    readonly password: string
    readonly database: string
  }
  readonly pid: number
  signal(signal: NodeJS.Signals): void
  stop(signal?: NodeJS.Signals): Promise<void>
  start(): Promise<void>
}

const password = 'postern'
const database = 'kept'

/** @param more arguments of the server. */
export async function startMariadb(
  atEnd: AtEnd = onTestFinished,
  more: readonly string[] = [],
): Promise<MariadbServer> {
  const folder = await temporaryFolder(atEnd)
  const data = join(folder, 'data')
  await mkdir(data)
  const account = `--user=${userInfo().username}`
  const installed = spawnSync(
    'mariadb-install-db',
    [
      '--no-defaults',
      account,
      `--datadir=${data}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
    ],
    { env: withSystemPaths(), encoding: 'utf8' },
  )
  if (installed.status !== 0) throw new Error(`mariadb-install-db failed\n${installed.stderr}`)
  const port = await freePort()
  // A statement a line: the server reads no other way.
  const init = [
    `CREATE DATABASE IF NOT EXISTS ${database};`,
    `CREATE USER IF NOT EXISTS postern@'%' IDENTIFIED BY '${password}';`,
    `GRANT ALL ON ${database}.* TO postern@'%';`,
  ]
  let child: ChildProcess | undefined
  let ended: Promise<unknown> = Promise.resolve()

  const start = async () => {
    const args = [
      '--no-defaults',
      account,
      `--datadir=${data}`,
      `--socket=${join(folder, 'socket')}`,
      `--pid-file=${join(folder, 'pid')}`,
      '--bind-address=127.0.0.1',
      '--skip-name-resolve',
      `--port=${port}`,
      '--innodb-buffer-pool-size=16M',
      `--init-file=${join(folder, 'init.sql')}`,
      ...more,
    ]
    const server = spawn('mariadbd', args, { env: withSystemPaths(), stdio: ['ignore', 'ignore', 'pipe'] })
    child = server
    ended = once(server, 'exit')
    await untilReady(server)
  }
  await writeFile(join(folder, 'init.sql'), `${init.join('\n')}\n`)
  atEnd(async () => {
    child?.kill('SIGCONT')
    child?.kill('SIGKILL')
    await ended
  })
  await start()
  return {
    options: { host: '127.0.0.1', port, user: 'postern', password, database },
    get pid() {
      return child?.pid ?? 0
    },
    signal: signal => child?.kill(signal),
    async stop(signal = 'SIGTERM') {
      child?.kill(signal)
      await ended
    },
    start,
  }
}

/** Resolves when it says that it takes connections. */
function untilReady(server: ChildProcess): Promise<void> {
  let output = ''
  return new Promise((resolve, reject) => {
    server.stderr?.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (/ready for connections/.test(output)) resolve()
    })
    server.once('exit', code => reject(new Error(`mariadbd has ended with ${code}\n${output}`)))
    server.once('error', reject)
  })
}

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const data = mkdtempSync(join(tmpdir(), 'postern-bench-'))
const children: ChildProcess[] = []

/** Starts a program in a process of its own and gives what it tells when it is up. */
async function start(file: string, args: readonly string[] = [], env: Record<string, string> = {}) {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(root, file), ...args],
    {
      env: { PATH: process.env['PATH'] ?? '', ...env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    },
  )
  children.push(child)
  const told = await new Promise<object>((resolve, reject) => {
    child.once('message', message => resolve(Object(message)))
    child.once('exit', code => reject(new Error(`${file} has ended with ${code}`)))
  })
  return (name: string) => String(Reflect.get(told, name))
}

/** Everything that is measured, each in processes of its own. */
export async function startServers() {
  const broker = await start('broker/main.ts', [], {
    POSTERN_INGEST: 'zmq-bind://PULL@127.0.0.1:0',
    POSTERN_PLAIN: 'zmq-bind://PUB@127.0.0.1:0',
    POSTERN_REQUESTS: 'zmq-bind://ROUTER@127.0.0.1:0',
    POSTERN_STREAM: 'zmq-bind://PUB@127.0.0.1:0',
    POSTERN_DATA: data,
  })
  const functions = await start('functions/main.ts', ['--host', 'node'], {
    POSTERN_BROKER: broker('requests'),
    PORT: '0',
  })
  const http = await start('test/bench/http-control.ts')
  const zeromq = await start('test/bench/zeromq-control.ts')
  const url = functions('url').replace(/\/$/, '')
  return {
    postern: { publish: `${url}/message/chat`, subscribe: `${url}/event/chat` },
    posternZeromq: { push: broker('ingest'), subscribe: broker('plain') },
    http: { publish: http('url'), subscribe: http('url') },
    zeromq: { push: zeromq('push'), subscribe: zeromq('subscribe') },
  }
}

export async function stopServers(): Promise<void> {
  const ended = children.filter(({ exitCode }) => exitCode === null).map(child => once(child, 'exit'))
  for (const child of children) child.kill()
  await Promise.all(ended)
  rmSync(data, { recursive: true, force: true })
}

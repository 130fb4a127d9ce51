import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** How long a program may take to be up on a busy machine. A bound for a broken test, not a wait. */
const upWithinMs = 20_000

type Env = Readonly<Record<string, string>>

/** A program of the project that runs as a process of its own. */
export interface Program {
  readonly child: ChildProcess
  /** What it said when it was up. */
  readonly told: Readonly<Record<string, unknown>>
  /** Everything it has written, for the failure message. */
  output(): string
  kill(signal: NodeJS.Signals): void
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>
}

/** Takes what is to be done when a test, or all tests of a suite, have ended. */
export type AtEnd = (end: () => Promise<void>) => void

/** Starts a TypeScript program of the checkout and waits until it says that it is listening. */
export async function startProgram(
  file: string,
  args: readonly string[],
  env: Env,
  atEnd: AtEnd = onTestFinished,
): Promise<Program> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', join(root, file), ...args],
    {
      // Only what a test says: a setting in the shell that runs the tests must not reach into them.
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    },
  )
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | NodeJS.Signals)
  atEnd(async () => {
    child.kill('SIGCONT')
    child.kill('SIGKILL')
    await ended
  })
  const told = await new Promise<Record<string, unknown>>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${file} is not up\n${output}`)), upWithinMs)
    child.on('message', message => {
      clearTimeout(timer)
      resolve({ ...(message as object) })
    })
    ended.then(how => {
      clearTimeout(timer)
      reject(new Error(`${file} has ended with ${how}\n${output}`))
    })
  })
  return { child, told, output: () => output, kill: signal => child.kill(signal), ended }
}

/** A broker as a process, that can be killed and started again in its place. */
export interface BrokerProcess {
  /** In libzmq's form: `tcp://127.0.0.1:41234`. */
  readonly ingest: string
  readonly plain: string
  readonly requests: string
  readonly stream: string
  readonly data: string
  readonly program: Program
  /** Ends it with a signal, SIGTERM by default, and waits for the end. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>
  /** Starts it again at the same addresses, with the same data. */
  restart(env?: Env): Promise<void>
}

/** Starts a broker on free ports with a folder of its own. */
export async function startBrokerProcess(
  env: Env = {},
  file = 'broker/main.ts',
  atEnd?: AtEnd,
): Promise<BrokerProcess> {
  const data = env['POSTERN_DATA'] ?? (await temporaryFolder(atEnd))
  const onFreePorts: Env = {
    POSTERN_INGEST: 'zmq-bind://PULL@127.0.0.1:0',
    POSTERN_PLAIN: 'zmq-bind://PUB@127.0.0.1:0',
    POSTERN_REQUESTS: 'zmq-bind://ROUTER@127.0.0.1:0',
    POSTERN_STREAM: 'zmq-bind://PUB@127.0.0.1:0',
    POSTERN_DATA: data,
    ...env,
  }
  let program = await startProgram(file, [], onFreePorts, atEnd)
  const { ingest, plain, requests, stream } = Object.fromEntries(
    Object.entries(program.told).map(([name, value]) => [name, String(value)]),
  )
  if (!ingest || !plain || !requests || !stream) throw new Error('the broker has not told its endpoints')
  const bound = (type: string, address: string) => `zmq-bind://${type}@${address.slice('tcp://'.length)}`
  const inPlace: Env = {
    ...env,
    POSTERN_INGEST: bound('PULL', ingest),
    POSTERN_PLAIN: bound('PUB', plain),
    POSTERN_REQUESTS: bound('ROUTER', requests),
    POSTERN_STREAM: bound('PUB', stream),
    POSTERN_DATA: data,
  }
  return {
    ingest,
    plain,
    requests,
    stream,
    data,
    get program() {
      return program
    },
    stop(signal = 'SIGTERM') {
      program.kill(signal)
      return program.ended
    },
    async restart(more = {}) {
      program = await startProgram(file, [], { ...inPlace, ...more }, atEnd)
    },
  }
}

/** A functions process. */
export interface FunctionsProcess {
  readonly url: string
  readonly program: Program
  /** The processes that it has started. */
  children(): Promise<number[]>
  /** How many files and sockets it holds. */
  openFiles(): Promise<number>
}

export async function startFunctionsProcess(
  broker: string,
  env: Env = {},
  args: readonly string[] = ['--host', 'node'],
  atEnd?: AtEnd,
): Promise<FunctionsProcess> {
  const onFreePort: Env = { POSTERN_BROKER: broker, PORT: '0', HOST: '127.0.0.1', ...env }
  const program = await startProgram('functions/main.ts', args, onFreePort, atEnd)
  const { pid } = program.child
  return {
    url: String(program.told['url']).replace(/\/$/, ''),
    program,
    async children() {
      const listed = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
      return listed.trim().split(' ').map(Number)
    },
    openFiles: async () => (await readdir(`/proc/${pid}/fd`)).length,
  }
}

/** A folder that is removed at the end, by default that of the test. */
export async function temporaryFolder(atEnd: AtEnd = onTestFinished): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-test-'))
  atEnd(() => rm(folder, { recursive: true, force: true }))
  return folder
}

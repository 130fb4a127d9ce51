import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** How long a program may take to be up. A bound for a broken one, not a wait. */
const upWithinMs = 20_000

/** What must not outlive this process, however it ends: a server in C does not notice that nobody asks any more. */
const running = new Set<ChildProcess>()
const folders = new Set<string>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGTERM')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** Everything that a measurement has started, to be ended with it. */
export class Stage {
  readonly #ends: (() => unknown)[] = []
  readonly folder = mkdtempSync(join(tmpdir(), 'postern-bench-'))

  constructor() {
    folders.add(this.folder)
  }

  atEnd(end: () => unknown): void {
    this.#ends.push(end)
  }

  async close(): Promise<void> {
    for (const end of this.#ends.reverse()) await end()
    rmSync(this.folder, { recursive: true, force: true })
    folders.delete(this.folder)
  }
}

/** A program that runs. */
export interface Running {
  readonly pid: number
  /** What it said when it was up. */
  readonly told: Readonly<Record<string, unknown>>
  /** Writes a line to it, and gives the next one that it writes. */
  ask(line: string): Promise<string>
  kill(signal: NodeJS.Signals): void
  /** Calls for each line that it writes. */
  onLine(listener: (line: string) => void): void
}

export interface Launch {
  /** Arguments of Node itself. */
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a TypeScript program of the checkout, which tells by a message to its parent that it is up. */
export async function startNode(
  stage: Stage,
  file: string,
  args: readonly string[] = [],
  { flags = [], env = {} }: Launch = {},
): Promise<Running> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', ...flags, join(root, file), ...args],
    {
      cwd: stage.folder,
      // Only what is said here: a setting of the shell must not reach into a measurement.
      env: { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '', ...env },
      stdio: ['pipe', 'pipe', 'inherit', 'ipc'],
    },
  )
  return up(stage, child, file, heard => void child.once('message', heard))
}

/** Starts any other program, which tells by one line of JSON that it is up; one that tells nothing is up at once. */
export async function startCommand(
  stage: Stage,
  command: string,
  args: readonly string[],
  { tells = true } = {},
): Promise<Running> {
  const child = spawn(command, args, { cwd: stage.folder, stdio: ['pipe', 'pipe', 'inherit'] })
  return up(stage, child, command, (heard, lines) => {
    if (tells) lines.once('line', line => heard(JSON.parse(line)))
    else heard({})
  })
}

async function up(
  stage: Stage,
  child: ChildProcess,
  name: string,
  listen: (heard: (told: unknown) => void, lines: Interface) => void,
): Promise<Running> {
  running.add(child)
  const ended = once(child, 'exit').finally(() => running.delete(child))
  stage.atEnd(async () => {
    child.kill('SIGCONT')
    child.kill('SIGTERM')
    await ended
  })
  // Read all along: a program whose output nobody reads stops when the pipe is full.
  if (!child.stdin || !child.stdout) throw new Error(`${name} has no pipes`)
  const { stdin } = child
  const lines = createInterface(child.stdout)
  const { promise, resolve, reject } = Promise.withResolvers<unknown>()
  const timer = setTimeout(() => reject(new Error(`${name} is not up`)), upWithinMs)
  child.once('error', reject)
  child.once('exit', (code, signal) => reject(new Error(`${name} has ended with ${code ?? signal}`)))
  listen(resolve, lines)
  const told = await promise
  clearTimeout(timer)
  if (child.pid === undefined) throw new Error(`${name} has no process`)
  return {
    pid: child.pid,
    told: { ...Object(told) },
    async ask(line) {
      const answer = Promise.race([once(lines, 'line'), ended.then(() => [])])
      stdin.write(`${line}\n`)
      const [text] = await answer
      if (typeof text !== 'string') throw new Error(`${name} has ended over: ${line}`)
      return text
    },
    kill: signal => void child.kill(signal),
    onLine: listener => void lines.on('line', listener),
  }
}

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

const source = fileURLToPath(new URL('../../broker/main.ts', import.meta.url))

export interface CommandInput {
  /** Nothing else of this process' environment reaches the command. */
  readonly env?: Readonly<Record<string, string>>
  /** On its standard input, which then ends. */
  readonly input?: string | Uint8Array
  readonly cwd?: string
  /** Default: that of the checkout. */
  readonly program?: string
  /** A file that its standard output goes to. Default: whoever has started it. */
  readonly stdout?: string
  /** Whom it runs as. Default: as this process. */
  readonly uid?: number
}

export interface CommandOutput {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts `broker` with some words, as a shell would. */
export function startBrokerCommand(
  words: readonly string[],
  { env, input, cwd, uid, stdout, program = source }: CommandInput = {},
): ChildProcessWithoutNullStreams {
  const line = [process.execPath, '--disable-warning=ExperimentalWarning', program, ...words]
  const redirected = stdout === undefined ? line : ['sh', '-c', 'exec "$@" >"$0"', stdout, ...line]
  const [file = '', ...parameters] = redirected
  const child = spawn(file, parameters, {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    ...(cwd !== undefined && { cwd }),
    ...(uid !== undefined && { uid }),
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  // A command that ends before it has read all of its input is what some tests are about.
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return child
}

/** A command on a terminal of its own, and who sits there. */
export interface TerminalSession {
  /** Types a line as soon as the screen shows a text that it has not shown before. */
  answer(question: string, line: string): Promise<void>
  /** All that the screen has shown. */
  readonly screen: string
  readonly ended: Promise<number | null>
}

/** Starts `broker` with some words on a terminal. */
export function startOnTerminal(words: readonly string[], cwd: string): TerminalSession {
  const line = [process.execPath, '--disable-warning=ExperimentalWarning', source, ...words].join(' ')
  const child = spawn('script', ['-qec', line, '/dev/null'], { cwd })
  onTestFinished(() => void child.kill('SIGKILL'))
  let screen = ''
  let answered = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    screen += text
  })
  const ended = once(child, 'close').then(([code]: (number | null)[]) => code ?? null)
  return {
    async answer(question, line) {
      while (screen.indexOf(question, answered) < 0) {
        if (child.exitCode !== null) throw new Error(`${question} was not asked\n${screen}`)
        await Promise.race([once(child.stdout, 'data'), ended])
      }
      answered = screen.indexOf(question, answered) + question.length
      child.stdin.write(`${line}\r`)
    },
    get screen() {
      return screen
    },
    ended,
  }
}

/** Runs `broker` with some words until it ends. */
export async function runBrokerCommand(words: readonly string[], how?: CommandInput): Promise<CommandOutput> {
  const child = startBrokerCommand(words, how)
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  const [code] = await once(child, 'close')
  return { code, ...output }
}

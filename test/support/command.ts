import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { onTestFinished } from 'vitest'

/** How long a command may take to say something. A bound for a broken test, not a wait. */
const sayWithinMs = 100_000

export interface CommandOptions {
  readonly cwd: string
  /** Nothing of this process' environment reaches the command beside, but the paths and what npm needs to install. */
  readonly env?: Readonly<Record<string, string>>
}

/** A command as somebody would type it, with everything that it starts in a process group of its own. */
export interface Command {
  /** Everything that it and its children have written. */
  output(): string
  /** Resolves with the first match in its output, or rejects with all of it when that does not come. */
  says(pattern: RegExp): Promise<RegExpExecArray>
  /** Signals the whole group, as a terminal does. */
  signalGroup(signal: NodeJS.Signals): void
  /** Signals the command alone. */
  signal(signal: NodeJS.Signals): void
  /** Resolves when it has ended and nobody holds its output open. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

export function startCommand(file: string, args: readonly string[], { cwd, env }: CommandOptions): Command {
  const child = spawn(file, args, {
    cwd,
    env: { ...passedOn(process.env), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  const watchers = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const watch of watchers) watch()
    })
  }
  const signalGroup = (signal: NodeJS.Signals) => {
    try {
      if (child.pid) process.kill(-child.pid, signal)
    } catch {
      // The group is empty.
    }
  }
  let hasEnded = false
  const ended = once(child, 'close').then(([code, signal]) => {
    hasEnded = true
    for (const watch of watchers) watch()
    return { code, signal }
  })
  onTestFinished(async () => {
    // A terminal's interrupt first: what stops in order takes along what it has put into groups of their own.
    signalGroup('SIGINT')
    const timer = setTimeout(() => signalGroup('SIGKILL'), 5000)
    await ended
    clearTimeout(timer)
  })
  return {
    output: () => output,
    says: pattern =>
      new Promise((resolve, reject) => {
        const settle = (settled: () => void) => {
          clearTimeout(timer)
          watchers.delete(watch)
          settled()
        }
        const refuse = () => settle(() => reject(new Error(`${file} has not said ${pattern}\n${output}`)))
        const watch = () => {
          const found = pattern.exec(output)
          if (found) settle(() => resolve(found))
          else if (hasEnded) refuse()
        }
        const timer = setTimeout(refuse, sayWithinMs)
        watchers.add(watch)
        watch()
      }),
    signalGroup,
    signal: signal => void child.kill(signal),
    ended,
  }
}

const passed =
  /^(PATH|HOME|npm_config_(registry|cache|userconfig|globalconfig)|https?_proxy|no_proxy|node_extra_ca_certs)$/i

function passedOn(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => passed.test(name)))
}

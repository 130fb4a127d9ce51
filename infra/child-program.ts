import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)

/** How a program has ended: by itself, or by a signal. */
export interface End {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A program of this project as a child process, which says when it is up and stops when this process is gone. */
export class ChildProgram {
  readonly name: string
  readonly ended: Promise<End>
  /** What it tells when it is up; undefined when it ends before. */
  readonly up: Promise<Readonly<Record<string, unknown>> | undefined>
  isUp = false
  readonly #child: ChildProcess

  /** @param file its path from the root of the project. */
  constructor(name: string, file: string, env: Readonly<Record<string, string>>) {
    this.name = name
    const path = fileURLToPath(new URL(file, root))
    this.#child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // A group of its own: a terminal's Ctrl-C goes to the whole group, and would stop all programs at once.
      detached: true,
    })
    this.ended = once(this.#child, 'exit').then(([code, signal]) => ({ code, signal }))
    this.up = new Promise(resolve => {
      this.#child.on('message', message => {
        // Under `node --watch` it also tells what it has imported.
        if (typeof message !== 'object' || !('event' in message) || message.event !== 'listening') return
        this.isUp = true
        resolve({ ...message })
      })
      this.ended.then(() => resolve(undefined))
    })
  }

  /** Asks it to stop, and kills it when it takes longer. @returns whether it has stopped by itself. */
  async stop(withinMs: number): Promise<boolean> {
    let isKilled = false
    const timer = setTimeout(() => {
      isKilled = this.#child.kill('SIGKILL')
    }, withinMs)
    this.#child.kill('SIGTERM')
    await this.ended
    clearTimeout(timer)
    return !isKilled
  }
}

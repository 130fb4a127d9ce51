import { Worker } from 'node:worker_threads'
import type { User } from './htpasswd.ts'
import type { Check, Checked } from './password-worker.ts'

/** A check of bcrypt at cost 10 takes 75 ms: what waits longer than a login may take is not worth the queue. */
const maxWaiting = 64

/**
 * Checks passwords on a thread of its own: a hash that is good is slow, and nothing else may wait for it. The thread
 * is started with the first password, and again after it has died. It takes 20 MB.
 */
export class Passwords {
  readonly #waiting = new Map<number, (outcome: boolean | 'busy') => void>()
  readonly #onFailed: (error: unknown) => void
  #worker: Worker | undefined
  #seq = 0
  #isClosed = false

  /** @param onFailed the thread has died: what it had to check is refused. */
  constructor(onFailed: (error: unknown) => void) {
    this.#onFailed = onFailed
  }

  /** Resolves with `busy` when too many wait already, or the thread has ended meanwhile. */
  check(password: string, user: User): Promise<boolean | 'busy'> {
    if (this.#isClosed || this.#waiting.size >= maxWaiting) return Promise.resolve('busy')
    const check: Check = { seq: ++this.#seq, password, user }
    return new Promise(resolve => {
      this.#waiting.set(check.seq, resolve)
      this.#worker ??= this.#start()
      this.#worker.postMessage(check)
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(new URL('./password-worker.ts', import.meta.url))
    // It is no reason for a program to stay.
    worker.unref()
    worker.on('message', ({ seq, isRight }: Checked) => this.#settle(seq, isRight))
    worker.on('error', this.#onFailed)
    worker.on('exit', () => {
      this.#worker = undefined
      for (const seq of [...this.#waiting.keys()]) this.#settle(seq, 'busy')
    })
    return worker
  }

  #settle(seq: number, outcome: boolean | 'busy'): void {
    const resolve = this.#waiting.get(seq)
    this.#waiting.delete(seq)
    resolve?.(outcome)
  }
}

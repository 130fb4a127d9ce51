import { parentPort } from 'node:worker_threads'
import type { User } from './htpasswd.ts'
import { isPassword } from './password.ts'

/** What the thread is asked; it answers with {@link Checked}, one after the other. */
export interface Check {
  readonly seq: number
  readonly password: string
  readonly user: User
}

export interface Checked {
  readonly seq: number
  readonly isRight: boolean
}

parentPort?.on('message', ({ seq, password, user }: Check) => {
  const checked: Checked = { seq, isRight: isPassword(password, user) }
  parentPort?.postMessage(checked)
})

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import type { User } from './htpasswd.ts'

/** How long a login holds. */
const sessionMs = 7 * 24 * 3600 * 1000

const secretBytes = 32

/** `session.<base64url of JSON>.<base64url of the digest>` */
const form = /^session\.([\w-]{1,600})\.([\w-]{43})$/

export interface SessionsOptions {
  readonly secret: Uint8Array
  /** Unix time. */
  readonly nowMs: () => number
}

interface Content {
  readonly name: string
  readonly expiresMs: number
}

/**
 * Tokens that stand for a user's name and password for a while, so that a browser need not keep those. Nothing is
 * remembered of them: each is signed together with the hash of the password, and ends with that.
 */
export class Sessions {
  readonly #options: SessionsOptions

  constructor(options: SessionsOptions) {
    this.#options = options
  }

  open({ name, hash }: Pick<User, 'name' | 'hash'>): { readonly token: string; readonly expiresMs: number } {
    const expiresMs = this.#options.nowMs() + sessionMs
    const content = Buffer.from(JSON.stringify({ name, expiresMs })).toString('base64url')
    return { token: `session.${content}.${this.#sign(content, hash).toString('base64url')}`, expiresMs }
  }

  /** Whose session it is; undefined when it is over, or was never one. */
  find(token: string, users: ReadonlyMap<string, Pick<User, 'hash'>>): Content | undefined {
    const [, content = '', digest = ''] = form.exec(token) ?? []
    const told = contentOf(content)
    const user = told && users.get(told.name)
    if (!user || told.expiresMs <= this.#options.nowMs()) return undefined
    return timingSafeEqual(Buffer.from(digest, 'base64url'), this.#sign(content, user.hash))
      ? told
      : undefined
  }

  #sign(content: string, hash: string): Buffer {
    return createHmac('sha256', this.#options.secret).update(`${content}\0${hash}`).digest()
  }
}

function contentOf(text: string): Content | undefined {
  try {
    const { name, expiresMs } = Object(JSON.parse(Buffer.from(text, 'base64url').toString()))
    return typeof name === 'string' && Number.isFinite(expiresMs) ? { name, expiresMs } : undefined
  } catch {
    return undefined
  }
}

/** The secret of sessions, which stands in a file that its owner alone may read. It is made when it is not there. */
export function sessionSecret(path: string): Uint8Array {
  try {
    // Of several that make it at once, the first does.
    writeFileSync(path, randomBytes(secretBytes).toString('base64url'), {
      mode: 0o600,
      flag: 'wx',
      flush: true,
    })
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
  const secret = Buffer.from(readFileSync(path, 'utf8'), 'base64url')
  if (secret.length !== secretBytes) throw new Error(`${path} is no secret of sessions: remove it.`)
  return secret
}

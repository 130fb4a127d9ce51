import { type Access, type Credential, type Login, openRights, PosternError, type Rights } from '#protocol'
import type { Identity } from '../../broker/auth/identity.ts'
import { type AccessRule, rightsOf } from '../../broker/auth/rules.ts'

/** Rules of access, and those whom they are for. */
export interface AccessTable {
  /** None: everything is allowed. */
  readonly rules: readonly AccessRule[]
  /** Passwords by the names of their users. */
  readonly users?: Readonly<Record<string, string>>
  /** What each token stands for, by its text. */
  readonly tokens?: Readonly<Record<string, Omit<Identity & { kind: 'token' }, 'kind'>>>
}

const sessionMs = 3_600_000

/** The contract of `authorize` in its plainest form: whoever is in the table is who it says. */
export class MemoryAccess {
  readonly #nowMs: () => number
  readonly #listeners = new Set<{ readonly tell: () => void }>()
  #table: AccessTable
  #version = 1

  constructor(table: AccessTable, nowMs: () => number) {
    this.#table = table
    this.#nowMs = nowMs
  }

  get access(): Access {
    return { isOpen: this.#table.rules.length === 0, version: `memory ${this.#version}` }
  }

  change(table: AccessTable): void {
    this.#table = table
    this.#version++
    this.tell()
  }

  tell(): void {
    for (const { tell } of [...this.#listeners]) tell()
  }

  onChange(tell: () => void): () => void {
    const entry = { tell }
    this.#listeners.add(entry)
    return () => this.#listeners.delete(entry)
  }

  authorize(credential: Credential): Rights {
    if (this.access.isOpen) return openRights
    const rights = rightsOf(this.#identify(credential), this.#table.rules)
    const isSession = credential.kind === 'token' && credential.token.startsWith('session.')
    return isSession ? { ...rights, expiresMs: this.#nowMs() + sessionMs } : rights
  }

  /** The token says who it is for: nobody here forges one. It is over when the user is not in the table any more. */
  login(name: string, password: string): Login {
    if (this.access.isOpen) throw new PosternError('NOT_FOUND')
    this.#identify({ kind: 'password', name, password })
    const token = `session.${Buffer.from(JSON.stringify([name, password])).toString('base64url')}`
    return { token, rights: this.authorize({ kind: 'token', token }) }
  }

  #session(text: string): Identity {
    const [name, password] = JSON.parse(Buffer.from(text, 'base64url').toString())
    try {
      return this.#identify({ kind: 'password', name, password })
    } catch {
      throw new PosternError('UNAUTHORIZED', 'The login is over. Log in again.')
    }
  }

  #identify(credential: Credential): Identity {
    const { users = {}, tokens = {} } = this.#table
    if (credential.kind === 'none') return { kind: 'anonymous' }
    if (credential.kind === 'password') {
      const { name, password } = credential
      if (users[name] === password) return { kind: 'user', name }
      throw new PosternError('UNAUTHORIZED', 'The name or the password is wrong.')
    }
    if (credential.token.startsWith('session.')) return this.#session(credential.token.slice(8))
    const token = tokens[credential.token]
    if (!token) throw new PosternError('UNAUTHORIZED', 'The token is not valid.')
    if (token.expiresMs !== undefined && token.expiresMs <= this.#nowMs())
      throw new PosternError('UNAUTHORIZED', 'The token has expired.')
    return { kind: 'token', ...token }
  }
}

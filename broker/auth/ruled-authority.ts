import type { Logger } from '../logger.ts'
import {
  type Access,
  type Credential,
  type Login,
  openRights,
  PosternError,
  type Rights,
} from '../protocol/index.ts'
import type { Authority } from './authority.ts'
import type { User } from './htpasswd.ts'
import type { Identity } from './identity.ts'
import { loginRefusal, type Refusal } from './refusal.ts'
import { type AccessRule, rightsOf } from './rules.ts'
import type { Sessions } from './sessions.ts'
import type { TokenKey } from './token-key.ts'
import type { Tokens } from './tokens.ts'
import { type LoginSettings, readUsers } from './user-list.ts'
import type { Users } from './users.ts'

export interface AccessSettings extends LoginSettings {
  /** In their order. None: everything is allowed. */
  readonly access: readonly AccessRule[]
  readonly tokens: readonly TokenKey[]
}

export interface AuthorityParts {
  readonly logger: Logger
  /** Never set back. */
  readonly monotonicMs: () => number
  /** Unix time. */
  readonly nowMs: () => number
  /** Where the secret stands that sessions are signed with. It is made for the first of them. */
  readonly sessionFile: string
}

/** What the token of a session begins with: no JWT does. */
const sessionMark = 'session.'

/** The one place of identities and rules. What it needs for users and for tokens it loads when there are any. */
export class RuledAuthority implements Authority {
  readonly counters = { unauthorized: 0 }
  readonly #parts: AuthorityParts
  readonly #onChange = new Set<() => void>()
  #settings: AccessSettings
  #users: Promise<Users> | undefined
  #loadedUsers: Users | undefined
  #tokens: Promise<Tokens> | undefined
  #sessions: Sessions | undefined
  #access: Access

  constructor(settings: AccessSettings, parts: AuthorityParts) {
    this.#settings = settings
    this.#parts = parts
    this.#access = this.#current()
  }

  /** Resolves when users are watched: from then on no change of theirs is missed. */
  async start(): Promise<void> {
    if (!this.#access.isOpen && this.#hasUsers) await this.users()
  }

  get access(): Access {
    return this.#access
  }

  /** Calls back whenever rights may have changed. */
  onChange(tell: () => void): void {
    this.#onChange.add(tell)
  }

  async authorize(credential: Credential, address: string): Promise<Rights> {
    if (this.#access.isOpen) return openRights
    return this.#tried(async () => {
      if (credential.kind === 'token' && credential.token.startsWith(sessionMark))
        return this.#rightsOfSession(credential.token, address)
      const identity = await this.#identify(credential, address)
      return rightsOf(identity, this.#settings.access)
    })
  }

  async login(
    credential: Credential & { readonly kind: 'password' },
    address: string,
  ): Promise<Omit<Login, 'token'> & Partial<Login>> {
    const rights = await this.authorize(credential, address)
    const user = this.#loadedUsers?.list.get(credential.name)
    if (rights.isOpen || !user) return { rights }
    return this.#tried(async () => {
      const { token, expiresMs } = (await this.#loadSessions()).open(user)
      return { rights: { ...rights, expiresMs }, token }
    })
  }

  /** The rights of a user who has logged in. */
  rightsOfUser(name: string): Rights {
    return rightsOf({ kind: 'user', name }, this.#settings.access)
  }

  /** Those who may log in. */
  users(): Promise<Users> {
    this.#users ??= this.#loadUsers().finally(() => {
      // One that could not be read is read again.
      if (!this.#loadedUsers) this.#users = undefined
    })
    return this.#users
  }

  reload(settings: AccessSettings): void {
    this.#settings = settings
    this.#tokens = undefined
    this.#loadedUsers?.reload(settings)
    this.#refresh()
    this.start().catch((error: unknown) =>
      this.#parts.logger.error('users-not-loaded', { reason: String(error) }),
    )
  }

  async close(): Promise<void> {
    await this.#loadedUsers?.close()
  }

  async #identify(credential: Credential, address: string): Promise<Identity> {
    switch (credential.kind) {
      case 'none':
        return { kind: 'anonymous' }
      case 'password':
        return this.#login(credential, address)
      case 'token':
        return this.#bearerOf(credential.token, address)
    }
  }

  async #login(credential: Credential & { kind: 'password' }, address: string): Promise<Identity> {
    const { name } = credential
    const users = this.#hasUsers ? await this.users() : undefined
    const outcome = users ? await users.login(address, credential) : 'wrong'
    if (typeof outcome !== 'string') return { kind: 'user', name }
    const full = outcome === 'wrong' && !users?.list.has(name) ? 'no such user' : reasons[outcome]
    return this.#refuse(loginRefusal(outcome, this.#settings.maxLoginFailures), {
      address,
      user: name,
      reason: full,
    })
  }

  async #bearerOf(token: string, address: string): Promise<Identity> {
    this.#tokens ??= this.#loadTokens()
    const loading = this.#tokens
    const outcome = await (await loading).identify(token)
    // Other keys hold meanwhile.
    if (loading !== this.#tokens) return this.#bearerOf(token, address)
    if ('kind' in outcome) return outcome
    return this.#refuse(new PosternError('UNAUTHORIZED', outcome.told), { address, reason: outcome.full })
  }

  /** What goes wrong here is no fault of the client, and is told in the log. */
  async #tried<Found>(find: () => Promise<Found>): Promise<Found> {
    try {
      return await find()
    } catch (error) {
      if (error instanceof PosternError) throw error
      this.#parts.logger.limited('authorize-failed', { reason: String(error) })
      throw new PosternError('LOGIN_UNAVAILABLE')
    }
  }

  async #rightsOfSession(token: string, address: string): Promise<Rights> {
    const users = this.#hasUsers ? (await this.users()).list : new Map<string, User>()
    const session = (await this.#loadSessions()).find(token, users)
    if (session) return { ...this.rightsOfUser(session.name), expiresMs: session.expiresMs }
    const error = new PosternError('UNAUTHORIZED', 'The login is over. Log in again.')
    return this.#refuse(error, { address, reason: 'the session has expired, or its user has changed' })
  }

  #refuse(error: PosternError, fields: Readonly<Record<string, string>>): never {
    this.counters.unauthorized++
    this.#parts.logger.limited('unauthorized', fields)
    throw error
  }

  get #hasUsers(): boolean {
    return this.#settings.usersFile !== '' || this.#settings.users.length > 0
  }

  get #userList(): ReadonlyMap<string, User> {
    try {
      return this.#loadedUsers?.list ?? readUsers(this.#settings)
    } catch {
      // Rules have to hold even then. Loading them tells what is wrong.
      return new Map()
    }
  }

  async #loadUsers(): Promise<Users> {
    const { Users } = await import('./users.ts')
    const { logger, monotonicMs } = this.#parts
    const users = new Users({ ...this.#settings, logger, nowMs: monotonicMs })
    this.#loadedUsers = users
    users.onChange(() => this.#refresh())
    this.#refresh()
    return users
  }

  async #loadSessions(): Promise<Sessions> {
    const { Sessions, sessionSecret } = await import('./sessions.ts')
    const { sessionFile, nowMs } = this.#parts
    this.#sessions ??= new Sessions({ secret: sessionSecret(sessionFile), nowMs })
    return this.#sessions
  }

  async #loadTokens(): Promise<Tokens> {
    const { Tokens } = await import('./tokens.ts')
    return new Tokens(this.#settings.tokens, this.#parts.nowMs)
  }

  #refresh(): void {
    const before = this.#access
    this.#access = this.#current()
    if (before.version === this.#access.version) return
    this.#parts.logger.info('access-changed', { rules: this.#settings.access.length })
    for (const tell of this.#onChange) tell()
  }

  /**
   * The version is a digest of all that rights come from, so that it is the same after a restart: functions then keep
   * what they know, and nobody's password is checked again.
   */
  #current(): Access {
    const { access, tokens } = this.#settings
    if (access.length === 0) return { isOpen: true, version: 'open' }
    const users = [...this.#userList.values()]
    const { createHash } = process.getBuiltinModule('node:crypto')
    const all = JSON.stringify([access, tokens, users.map(({ name, hash }) => [name, hash])])
    return { isOpen: false, version: createHash('sha256').update(all).digest('hex').slice(0, 12) }
  }
}

const reasons = {
  wrong: 'wrong password',
  limited: 'too many have failed from there',
  busy: 'too many passwords wait to be checked',
} as const satisfies Record<Refusal, string>

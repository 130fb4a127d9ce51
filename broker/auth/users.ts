import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { networkOf } from '../limits/network.ts'
import type { Logger } from '../logger.ts'
import { type FailureBounds, Failures } from './failures.ts'
import type { Scheme, User } from './htpasswd.ts'
import { Passwords } from './passwords.ts'
import type { Refusal } from './refusal.ts'
import { type LoginSettings, readUsers } from './user-list.ts'

/** Programs write a file in several steps: it is read when they have been quiet for this long. */
const settleMs = 100

/** Longer passwords are wrong: bcrypt looks at 72 bytes, and the work of the others grows with the length. */
const maxPasswordBytes = 1024

/** What anybody may get wrong at one name, so that one program with an old password does not shut out the others … */
function failuresOfName({ maxLoginFailures }: LoginSettings): FailureBounds {
  const burst = Math.ceil(maxLoginFailures / 10)
  return { burst, perSecond: burst / 20 }
}

/** … and at all names together. */
function failuresOfAddress({ maxLoginFailures }: LoginSettings): FailureBounds {
  return { burst: maxLoginFailures, perSecond: maxLoginFailures / 50 }
}

export interface Credentials {
  readonly name: string
  readonly password: string
}

export interface UsersOptions extends LoginSettings {
  readonly logger: Logger
  /** Never set back. */
  readonly nowMs: () => number
}

/**
 * Those who may log in. Reads their list again when its file changes. A password costs its hash once; after that it is
 * recognised by a keyed digest, until the list changes.
 */
export class Users {
  readonly #options: UsersOptions
  readonly #passwords: Passwords
  readonly #ofName = new Failures(() => failuresOfName(this.#settings))
  readonly #ofAddress = new Failures(() => failuresOfAddress(this.#settings))
  readonly #secret = randomBytes(32)
  /** Digests of the passwords that were right, by user. */
  readonly #known = new WeakMap<User, Buffer>()
  /** What is being checked, so that many logins of one program at once are one check. */
  readonly #checks = new Map<string, Promise<boolean | Refusal>>()
  readonly #onChange = new Set<() => void>()
  #settings: LoginSettings
  #users: ReadonlyMap<string, User>
  #watcher: FSWatcher | undefined
  #settling: NodeJS.Timeout | undefined
  #hasWarned = false

  /** @throws UserListError */
  constructor(options: UsersOptions) {
    this.#options = options
    this.#settings = options
    this.#users = readUsers(options)
    this.#passwords = new Passwords(error =>
      options.logger.limited('password-check-failed', { reason: String(error) }),
    )
    this.#warn()
    this.#watch()
  }

  /**
   * Whether these may come in. A name that is not known takes as long as one that is.
   *
   * @param address where they come from: too many failures from there are no longer looked at.
   */
  async login(address: string, { name, password }: Credentials): Promise<User | Refusal> {
    const place = networkOf(address)
    const nameThere = `${place} ${name}`
    const { nowMs } = this.#options
    if (this.#ofName.isOver(nameThere, nowMs()) || this.#ofAddress.isOver(place, nowMs())) return 'limited'
    const found = this.#users.get(name)
    const user = found ?? this.#standIn(name)
    const outcome = user ? await this.#check(password, user) : false
    if (typeof outcome === 'string') return outcome
    // The list may have changed meanwhile.
    if (outcome && found && this.isCurrent(found)) return found
    this.#ofName.add(nameThere, nowMs())
    this.#ofAddress.add(place, nowMs())
    return 'wrong'
  }

  /** Whether a user that has logged in still stands in the list, with the same password. */
  isCurrent(user: User): boolean {
    return this.#users.get(user.name)?.hash === user.hash
  }

  /** All of them, by their names. */
  get list(): ReadonlyMap<string, User> {
    return this.#users
  }

  /** Calls back whenever the list has changed. */
  onChange(tell: () => void): void {
    this.#onChange.add(tell)
  }

  /** Reads the list again. One that cannot be read leaves the old one in force, and is told in the log. */
  reload(settings: LoginSettings = this.#settings): void {
    const { logger } = this.#options
    try {
      const next = readUsers(settings)
      // Who has not changed keeps what is known of the password.
      this.#users = new Map([...next].map(([name, user]) => [name, this.#sameAs(user) ?? user]))
    } catch (error) {
      logger.error('users-not-reloaded', { reason: error instanceof Error ? error.message : String(error) })
      return
    }
    const isElsewhere = settings.usersFile !== this.#settings.usersFile
    this.#settings = settings
    if (isElsewhere) this.#watch()
    logger.info('users-reloaded', { users: this.#users.size })
    this.#warn()
    for (const tell of this.#onChange) tell()
  }

  async close(): Promise<void> {
    clearTimeout(this.#settling)
    this.#watcher?.close()
    await this.#passwords.close()
  }

  async #check(password: string, user: User): Promise<boolean | Refusal> {
    if (Buffer.byteLength(password) > maxPasswordBytes) return false
    const digest = createHmac('sha256', this.#secret).update(`${user.hash}\0${password}`).digest()
    const known = this.#known.get(user)
    if (known && timingSafeEqual(known, digest)) return true
    const key = digest.toString('base64')
    const check = this.#checks.get(key) ?? this.#begin(key, password, user)
    const outcome = await check
    if (outcome === true) this.#known.set(user, digest)
    return outcome
  }

  #begin(key: string, password: string, user: User): Promise<boolean | Refusal> {
    const check = this.#passwords.check(password, user).finally(() => this.#checks.delete(key))
    this.#checks.set(key, check)
    return check
  }

  /** Threat: an answer that comes at once tells that there is no such user. Always the same one for a name. */
  #standIn(name: string): User | undefined {
    const users = [...this.#users.values()]
    const at = createHmac('sha256', this.#secret).update(name).digest().readUInt32BE() % users.length
    return users[at]
  }

  #sameAs(user: User): User | undefined {
    const before = this.#users.get(user.name)
    return before?.hash === user.hash ? before : undefined
  }

  #watch(): void {
    this.#watcher?.close()
    this.#watcher = undefined
    const { usersFile } = this.#settings
    if (usersFile === '') return
    try {
      // Its folder: a file that is written anew and moved into place is another file.
      this.#watcher = watch(dirname(usersFile), { persistent: false }, (_, name) => {
        if (name === null || name === basename(usersFile)) this.#reloadSoon()
      })
      this.#watcher.on('error', error => this.#unwatched(error))
    } catch (error) {
      this.#unwatched(error)
    }
  }

  #unwatched(error: unknown): void {
    this.#options.logger.warn('users-not-watched', { reason: String(error) })
  }

  #reloadSoon(): void {
    clearTimeout(this.#settling)
    this.#settling = setTimeout(() => this.reload(), settleMs)
  }

  #warn(): void {
    if (this.#users.size === 0) this.#options.logger.warn('no-users', { remedy: 'htpasswd -B -c FILE NAME' })
    // MD5 and SHA-1 are quick: whoever gets hold of the file tries a great many passwords a second.
    const weak: readonly Scheme[] = ['apr1', 'sha']
    const users = [...this.#users.values()].filter(({ scheme }) => weak.includes(scheme)).length
    if (users === 0 || this.#hasWarned) return
    this.#hasWarned = true
    this.#options.logger.warn('weak-password-hashes', { users, remedy: 'htpasswd -B' })
  }
}

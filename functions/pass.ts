import { anonymous, openRights, PosternError, type Rights } from '#protocol'

/** How long the broker is left alone when it could not say what a client may do … */
const retryMs = 1000

/**
 * … and how often it is asked. Threat: who has lost a right and lets logins fail at its address would keep what is open,
 * since no password from there is looked at.
 */
const maxTries = 30

/** The longest delay that `setTimeout` knows. */
const maxDelayMs = 2 ** 31 - 1

/** Something that stays open, and is closed when its client may not have it any more. */
export interface Guarded {
  /** @returns why the client may not have it with these rights, or undefined. */
  refusal(rights: Rights): PosternError | undefined
  /** Closes it. Comes at most once. */
  revoke(error: PosternError): void
}

/** What a client may do, for as long as it is here. */
export interface Pass {
  /** As they are now. */
  readonly rights: Rights
  /**
   * Keeps an eye on something that is open: it is asked again whenever rules, users or keys have changed, and closed when
   * the rights expire.
   *
   * @returns what ends that. May be called twice.
   */
  guard(guarded: Guarded): () => void
}

/** Where there are no rules nothing is kept for anybody. */
export const openPass: Pass = { rights: openRights, guard: () => () => {} }

/** Asks the broker for the rights of a client as it has shown itself. */
export type Authorize = () => Promise<Rights>

export interface ClientPassOptions {
  /** Unix time. */
  readonly nowMs: () => number
  /** The passes with which something is open. This one enters itself, and leaves. */
  readonly open: Set<ClientPass>
}

const noRights: Rights = { identity: anonymous, isOpen: false, grants: [] }

/**
 * The pass of one client where there are rules. It allows nothing before it is told what, and knows how its client has
 * shown itself for as long as something is open.
 */
export class ClientPass {
  rights = noRights
  readonly #options: ClientPassOptions
  readonly #guarded = new Set<Guarded>()
  #authorize: Authorize | undefined
  #isOutdated = false
  #refused = false
  #timer: NodeJS.Timeout | undefined
  #renewal = 0
  #tries = 0

  constructor(options: ClientPassOptions) {
    this.#options = options
  }

  /** Whether nothing is open with it. */
  get isIdle(): boolean {
    return this.#guarded.size === 0
  }

  /** Whether it is good for nothing that comes now. */
  get isOver(): boolean {
    return this.#isOutdated || this.#refused || this.#remainingMs <= 0
  }

  /** The pass as one that has come with it holds it. */
  for(authorize: Authorize): Pass {
    const rights = () => this.rights
    return {
      get rights() {
        return rights()
      },
      guard: guarded => this.#guard(guarded, authorize),
    }
  }

  #guard(guarded: Guarded, authorize: Authorize): () => void {
    this.#guarded.add(guarded)
    this.#authorize = authorize
    this.#options.open.add(this)
    // What was true at the door may have changed on the way.
    if (this.isOver) this.#renew()
    else if (this.#timer === undefined) this.#awaitExpiry()
    return () => this.#leave(guarded)
  }

  /** Something has changed for it. With nothing open it is only not used again. */
  outdate(): void {
    this.#isOutdated = true
    this.#renew()
  }

  /** Asks for the rights anew, and closes what they do not allow. */
  #renew(): void {
    const renewal = ++this.#renewal
    this.#forgetTimer()
    this.#authorize?.().then(
      rights => {
        if (renewal === this.#renewal) this.take(rights)
      },
      (error: unknown) => {
        if (renewal !== this.#renewal || this.isIdle) return
        const { code } = error instanceof PosternError ? error : {}
        if (code === 'LOGIN_UNAVAILABLE') this.#tries++
        if (error instanceof PosternError && (code === 'UNAUTHORIZED' || this.#tries >= maxTries))
          this.#refuse(error)
        // Threat: a right that ends while the broker is away.
        else if (this.#remainingMs <= 0) this.#refuse(expired())
        else this.#timer = setTimeout(() => this.#renew(), Math.min(retryMs, this.#remainingMs))
      },
    )
  }

  get #remainingMs(): number {
    const { expiresMs } = this.rights
    return expiresMs === undefined ? Number.POSITIVE_INFINITY : expiresMs - this.#options.nowMs()
  }

  /** What the broker says, from now on. Closes what that does not allow. */
  take(rights: Rights): void {
    this.#renewal++
    this.rights = rights
    this.#isOutdated = false
    this.#refused = false
    this.#tries = 0
    for (const guarded of [...this.#guarded]) {
      const error = guarded.refusal(rights)
      if (error) this.#revoke(guarded, error)
    }
    this.#awaitExpiry()
  }

  #awaitExpiry(): void {
    this.#forgetTimer()
    if (this.isIdle || this.#remainingMs === Number.POSITIVE_INFINITY) return
    const delayMs = Math.min(Math.max(0, this.#remainingMs), maxDelayMs)
    this.#timer = setTimeout(() => {
      if (this.#remainingMs <= 0) this.#refuse(expired())
      else this.#awaitExpiry()
    }, delayMs)
  }

  #refuse(error: PosternError): void {
    this.#refused = true
    this.#tries = 0
    this.#forgetTimer()
    for (const guarded of [...this.#guarded]) this.#revoke(guarded, error)
  }

  #revoke(guarded: Guarded, error: PosternError): void {
    if (this.#leave(guarded)) guarded.revoke(error)
  }

  #leave(guarded: Guarded): boolean {
    const wasOpen = this.#guarded.delete(guarded)
    if (this.isIdle) {
      this.#forgetTimer()
      this.#authorize = undefined
      this.#options.open.delete(this)
    }
    return wasOpen
  }

  #forgetTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}

function expired(): PosternError {
  return new PosternError('UNAUTHORIZED', 'The token has expired.')
}

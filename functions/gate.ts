import { createHash } from 'node:crypto'
import type { Backbone } from '#client'
import type { Credential } from '#protocol'
import { type Authorize, ClientPass, openPass, type Pass } from './pass.ts'

/** Passes are forgotten beyond so many, those that were not used for longest first: about 500 bytes each. */
const maxPasses = 10_000

export interface GateOptions {
  readonly backbone: Pick<Backbone, 'access' | 'authorize' | 'onAccessChange' | 'ready'>
  /** There were no rules, and now there are some: whatever is open was opened by nobody in particular. */
  readonly onRules: () => void
  /** Unix time. Default: `Date.now`. */
  readonly nowMs?: () => number
}

/**
 * Lets clients in. What one may do the broker says, once for each credential, and again when it has changed its mind.
 * Passes are found by a digest: the credential itself is kept only with what its client has open.
 */
export class Gate {
  readonly #options: GateOptions
  readonly #nowMs: () => number
  /** In the order of their last use. */
  readonly #passes = new Map<string, ClientPass>()
  /** Those with something open. They are told of a change, whether they are still found by a digest or not. */
  readonly #open = new Set<ClientPass>()
  /** What the broker is being asked, so that many connections of one client at once are one question. */
  readonly #asked = new Map<string, Promise<ClientPass | undefined>>()
  readonly #known = Promise.withResolvers<void>()
  #wasOpen: boolean | undefined

  constructor(options: GateOptions) {
    this.#options = options
    this.#nowMs = options.nowMs ?? Date.now
    options.backbone.onAccessChange(() => this.#changed())
    this.#wasOpen = options.backbone.access?.isOpen
    if (this.isKnown) this.#known.resolve()
  }

  /** There are no rules: everybody has {@link openPass}. */
  get isOpen(): boolean {
    return this.#options.backbone.access?.isOpen === true
  }

  /** Whether the broker has said if there are rules. */
  get isKnown(): boolean {
    return this.#options.backbone.access !== undefined
  }

  /** Resolves when it has. */
  known(): Promise<void> {
    return this.#known.promise
  }

  /**
   * The pass of a client. At once, and without asking anybody, where there are no rules.
   *
   * @param address where it comes from: after too many wrong passwords from there none is looked at.
   * @throws PosternError `UNAUTHORIZED`, `LOGIN_UNAVAILABLE`, `BROKER_UNAVAILABLE` while the broker was never reached
   */
  enter(credential: Credential, address: string): Pass | Promise<Pass> {
    const { backbone } = this.#options
    const { access } = backbone
    if (!access) return backbone.ready().then(() => this.enter(credential, address))
    if (access.isOpen) return openPass
    const key = createHash('sha256').update(JSON.stringify(credential)).digest('base64')
    const authorize = () => backbone.authorize(credential, address)
    const known = this.#passes.get(key)
    if (!known || known.isOver) {
      const asked = this.#asked.get(key) ?? this.#ask(key, authorize)
      return asked.then(pass => pass?.for(authorize) ?? this.enter(credential, address))
    }
    this.#passes.delete(key)
    this.#passes.set(key, known)
    return known.for(authorize)
  }

  /** @returns undefined when there are no rules any more. */
  #ask(key: string, authorize: Authorize): Promise<ClientPass | undefined> {
    const { backbone } = this.#options
    const { version } = backbone.access ?? {}
    const asked = authorize()
      .then(rights => {
        if (rights.isOpen) return undefined
        const pass = this.#passes.get(key) ?? new ClientPass({ nowMs: this.#nowMs, open: this.#open })
        pass.take(rights)
        // What has changed meanwhile may not be in the answer.
        if (version !== backbone.access?.version) pass.outdate()
        this.#keep(key, pass)
        return pass
      })
      .finally(() => {
        if (this.#asked.get(key) === asked) this.#asked.delete(key)
      })
    this.#asked.set(key, asked)
    return asked
  }

  #keep(key: string, pass: ClientPass): void {
    this.#passes.delete(key)
    this.#passes.set(key, pass)
    if (this.#passes.size <= maxPasses) return
    const [oldest] = this.#passes.keys()
    if (oldest !== undefined) this.#passes.delete(oldest)
  }

  #changed(): void {
    this.#known.resolve()
    const isOpen = this.#options.backbone.access?.isOpen
    if (this.#wasOpen && isOpen === false) this.#options.onRules()
    this.#wasOpen = isOpen
    this.#asked.clear()
    for (const pass of new Set([...this.#passes.values(), ...this.#open])) pass.outdate()
    for (const [key, pass] of this.#passes) if (pass.isIdle) this.#passes.delete(key)
  }
}

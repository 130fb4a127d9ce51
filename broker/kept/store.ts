import type { Publication } from '../protocol/index.ts'

/** What a repeat of a publication is known by. */
export interface KeptKey {
  readonly key: string
  readonly identity: string
  /** Tells one publication's content from another's. */
  readonly fingerprint: string
}

/** A message as it is kept. */
export interface KeptRow extends Publication {
  /** Names it in the store. Ascending in the order of publication, and never given again. */
  readonly number: number
  /** When it was published, in Unix milliseconds. */
  readonly timeMs: number
  /** How often it has been handed to receivers, or may have been. */
  readonly deliveries: number
  readonly idempotency?: KeptKey | undefined
}

/** What one transaction does. All of it can be done again without another effect. */
export interface Change {
  /** In the order of their numbers, all of them above every number before. */
  readonly add: readonly KeptRow[]
  /** By their numbers. One that is not there is passed over. */
  readonly remove: readonly number[]
  /** Messages that get another topic and a number at its end. */
  readonly move: readonly { readonly number: number; readonly to: number; readonly topic: string }[]
  readonly deliveries: readonly { readonly number: number; readonly deliveries: number }[]
  /** Every message up to this number is in the log. */
  readonly loggedThrough: number
}

/** What a store is found to hold. */
export interface KeptState {
  /** Names the store, once and for all: 12 hexadecimal digits, as an epoch has. */
  readonly name: string
  /** The highest number that was ever given in it. */
  readonly last: number
  readonly loggedThrough: number
  /** Messages of each topic, and the bytes of their payloads. */
  readonly topics: readonly { readonly topic: string; readonly messages: number; readonly bytes: number }[]
}

/** Which messages are read. */
export interface KeptQuery {
  /** Exactly this one; without it all. */
  readonly topic?: string
  /** After and up to these numbers. */
  readonly after: number
  readonly through: number
  readonly maxMessages: number
  /** Of payloads. One message is always given, however large. */
  readonly maxBytes: number
}

export interface KeptPage {
  /** In the order of their numbers. */
  readonly rows: readonly KeptRow[]
  /** Whether a bound has cut the page. */
  readonly more: boolean
}

/** The store could not do what it was asked for. */
export class KeptStoreError extends Error {
  override readonly name = 'KeptStoreError'
  /** Nothing of the change is kept, or ever will be. */
  readonly isCertain: boolean
  /** Another broker has taken the store over: nothing will succeed any more. */
  readonly isTaken: boolean

  constructor(reason: string, { isCertain = false, isTaken = false, cause }: KeptStoreErrorOptions = {}) {
    super(reason, { cause })
    this.isCertain = isCertain
    this.isTaken = isTaken
  }
}

interface KeptStoreErrorOptions {
  readonly isCertain?: boolean
  readonly isTaken?: boolean
  readonly cause?: unknown
}

/**
 * Where messages of durable topics are until they are acknowledged.
 *
 * A store MUST have synced a change, as one, to what survives a power loss before `apply` resolves. When `apply` has
 * rejected without being certain, the same change is applied again: a store MUST then find out whether it was kept.
 * A store that is reached over a network MUST reject in bounded time when there is no answer, and find back by itself.
 * Calls are not made before `open` has resolved; `apply` and `read` may overlap, and then come one after the other.
 */
export interface KeptStore {
  /**
   * Makes what is missing, takes the store over from whoever had it, and says what is in it. When it has rejected it
   * may be called again.
   */
  open(): Promise<KeptState>
  apply(change: Change): Promise<void>
  read(query: KeptQuery): Promise<KeptPage>
  /** What is under way is finished first. May be called twice. */
  close(): Promise<void>
}

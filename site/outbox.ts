import type { ChatMessage } from './message.ts'

/** Why a message is not sent. */
export type Failure =
  /** The server says that it is certainly not published. */
  | { readonly kind: 'unavailable' }
  /** The server got no answer from its broker: the message may be published. */
  | { readonly kind: 'unknown' }
  /** The server gave no answer, or none that can be understood: the message may be published. */
  | { readonly kind: 'unreachable' }
  /** The server takes it only of somebody who has logged in. */
  | { readonly kind: 'login' }
  /** The server does not take it, now or later. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** Kept back, because the one before it was not sent. */
  | { readonly kind: 'held' }
  /** Left over from an earlier visit. */
  | { readonly kind: 'left' }

export type Outcome =
  | { readonly kind: 'published'; readonly id: string }
  | { readonly kind: 'failed'; readonly failure: Failure }

/** What is kept of an unsent message, so that it outlives the page. */
export interface Draft {
  /** The idempotency key of every attempt to send it. */
  readonly key: string
  readonly from: string
  readonly text: string
  /** Tells the order of the drafts. */
  readonly createdMs: number
  /** When the first attempt was made whose end is not known. Undefined: it is certainly not published. */
  readonly doubtSinceMs?: number
}

export type DraftState =
  | { readonly kind: 'waiting' }
  /** `seenAs`: a message of the stream that is most likely this one. */
  | { readonly kind: 'sending'; readonly seenAs?: string }
  | { readonly kind: 'failed'; readonly failure: Failure }
  /** Published, and on its way back by the stream. */
  | { readonly kind: 'published'; readonly id: string }

export interface Unsent {
  readonly draft: Draft
  readonly state: DraftState
}

/** Keeps drafts beyond the life of the page. */
export interface DraftStore {
  load(): Draft[]
  put(draft: Draft): void
  delete(key: string): void
}

export interface OutboxEffects {
  readonly store: DraftStore
  post(draft: Draft): Promise<Outcome>
  newKey(): string
  now(): number
  /** Whether the stream has brought a message. */
  isShown(id: string): boolean
  /** A message turned out to be this browser's own. */
  own(id: string): void
  changed(): void
}

/**
 * The messages of a room that are written but not yet seen in it. They are sent one at a time, in their order; what
 * fails waits for its writer's decision. Every attempt carries the draft's own key, so that none is published twice.
 */
export class Outbox {
  readonly #effects: OutboxEffects
  readonly #unsent = new Map<string, Unsent>()
  #newestMs = 0
  #sendingKey: string | undefined

  constructor(effects: OutboxEffects) {
    this.#effects = effects
    for (const draft of effects.store.load().sort((a, b) => a.createdMs - b.createdMs)) {
      this.#unsent.set(draft.key, { draft, state: { kind: 'failed', failure: { kind: 'left' } } })
      this.#newestMs = draft.createdMs
    }
  }

  /** In the order in which they were written. */
  get unsent(): Unsent[] {
    return [...this.#unsent.values()]
  }

  /** Whether a message of the stream is taken for one that is just being sent. */
  claims(id: string): boolean {
    return this.#seenAs() === id
  }

  add(from: string, text: string): void {
    this.#newestMs = Math.max(this.#newestMs + 1, this.#effects.now())
    const draft: Draft = { key: this.#effects.newKey(), from, text, createdMs: this.#newestMs }
    this.#effects.store.put(draft)
    this.#unsent.set(draft.key, { draft, state: { kind: 'waiting' } })
    this.#effects.changed()
    void this.#sendAll()
  }

  retry(key: string): void {
    const unsent = this.#unsent.get(key)
    if (unsent?.state.kind !== 'failed') return
    this.#unsent.set(key, { ...unsent, state: { kind: 'waiting' } })
    this.#effects.changed()
    void this.#sendAll()
  }

  /** Tries all that failed again, in their order; those that the server does not take stay where they are. */
  retryAll(): void {
    for (const { draft, state } of this.unsent)
      if (state.kind === 'failed' && state.failure.kind !== 'refused')
        this.#unsent.set(draft.key, { draft, state: { kind: 'waiting' } })
    this.#effects.changed()
    void this.#sendAll()
  }

  /** Forgets a message that is not being sent just now. */
  discard(key: string): Draft | undefined {
    const unsent = this.#unsent.get(key)
    if (unsent?.state.kind !== 'failed') return undefined
    this.#remove(unsent.draft)
    this.#effects.changed()
    return unsent.draft
  }

  /** Another page of this browser has sent or discarded it. */
  forget(key: string): void {
    const unsent = this.#unsent.get(key)
    if (unsent?.state.kind !== 'failed' && unsent?.state.kind !== 'waiting') return
    this.#unsent.delete(key)
    this.#effects.changed()
  }

  /** Takes notice of a message that the stream brings: it may be one of these. */
  observe(message: ChatMessage): void {
    const unsent = this.unsent
    const published = unsent.find(({ state }) => state.kind === 'published' && state.id === message.id)
    if (published) {
      this.#remove(published.draft)
      this.#effects.changed()
      return
    }
    const match = unsent.find(candidate => mayBe(candidate, message))
    if (!match) return
    if (match.state.kind === 'sending') {
      this.#unsent.set(match.draft.key, { ...match, state: { kind: 'sending', seenAs: message.id } })
    } else {
      this.#remove(match.draft)
      this.#effects.own(message.id)
    }
    this.#effects.changed()
  }

  /** A history has come: what it shows needs to be shown here no longer. */
  reconcile(): void {
    for (const { draft, state } of this.unsent)
      if (state.kind === 'published' && this.#effects.isShown(state.id)) this.#remove(draft)
    this.#effects.changed()
  }

  async #sendAll(): Promise<void> {
    if (this.#sendingKey !== undefined) return
    for (let next = this.#nextWaiting(); next; next = this.#nextWaiting()) {
      const { draft } = next
      this.#sendingKey = draft.key
      // Noted before the attempt: a page that is closed during it does not learn its end.
      const doubtful = { ...draft, doubtSinceMs: draft.doubtSinceMs ?? this.#effects.now() }
      this.#effects.store.put(doubtful)
      this.#unsent.set(draft.key, { draft: doubtful, state: { kind: 'sending' } })
      this.#effects.changed()
      const outcome = await this.#effects.post(draft)
      if (outcome.kind === 'published') this.#settlePublished(doubtful, outcome.id)
      else this.#settleFailed(draft, doubtful, outcome.failure)
      this.#sendingKey = undefined
      this.#effects.changed()
    }
  }

  #settlePublished(draft: Draft, id: string): void {
    this.#effects.own(id)
    this.#effects.store.delete(draft.key)
    if (this.#effects.isShown(id)) this.#unsent.delete(draft.key)
    else this.#unsent.set(draft.key, { draft, state: { kind: 'published', id } })
  }

  #settleFailed(before: Draft, doubtful: Draft, failure: Failure): void {
    const isCertain = ['unavailable', 'login', 'refused'].includes(failure.kind)
    const draft = isCertain ? before : doubtful
    const seenAs = this.#seenAs()
    if (seenAs !== undefined && draft.doubtSinceMs !== undefined) {
      this.#remove(draft)
      this.#effects.own(seenAs)
      return
    }
    this.#effects.store.put(draft)
    this.#unsent.set(draft.key, { draft, state: { kind: 'failed', failure } })
    if (failure.kind !== 'refused') this.#holdWaiting()
  }

  // What was written after a message that failed must not overtake it.
  #holdWaiting(): void {
    for (const { draft, state } of this.unsent)
      if (state.kind === 'waiting')
        this.#unsent.set(draft.key, { draft, state: { kind: 'failed', failure: { kind: 'held' } } })
  }

  #seenAs(): string | undefined {
    const state = this.#unsent.get(this.#sendingKey ?? '')?.state
    return state?.kind === 'sending' ? state.seenAs : undefined
  }

  #nextWaiting(): Unsent | undefined {
    return this.unsent.find(({ state }) => state.kind === 'waiting')
  }

  #remove(draft: Draft): void {
    this.#unsent.delete(draft.key)
    this.#effects.store.delete(draft.key)
  }
}

/** Whether the stream seems to have brought a message whose receipt is still to come. */
export function isSeen(state: DraftState): boolean {
  return state.kind === 'sending' && state.seenAs !== undefined
}

// Without a receipt only the words tell. A message that is certainly not published cannot be in the stream.
function mayBe({ draft, state }: Unsent, { content }: ChatMessage): boolean {
  return (
    state.kind !== 'published' &&
    !isSeen(state) &&
    draft.doubtSinceMs !== undefined &&
    content.kind === 'said' &&
    content.from === draft.from &&
    content.text === draft.text
  )
}

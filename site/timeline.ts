import type { ChatMessage } from './message.ts'

/** One entry of the list: a message, or a place where messages are missing. */
export type Line = { readonly kind: 'message'; readonly message: ChatMessage } | { readonly kind: 'gap' }

/** Where a message has been put: after all others, between them, or nowhere because it was there. */
export type Placed = 'end' | 'inside' | 'known'

export interface TimelineOptions {
  /** The oldest lines beyond it are dropped when `trim` is called. Default: 2,000. */
  readonly maxLines?: number
}

/** A room's messages in the order of the log, each once. */
export class Timeline {
  readonly #maxLines: number
  readonly #ids = new Set<string>()
  #lines: Line[] = []
  #settling = false

  constructor({ maxLines = 2_000 }: TimelineOptions = {}) {
    this.#maxLines = maxLines
  }

  get lines(): readonly Line[] {
    return this.#lines
  }

  has(id: string): boolean {
    return this.#ids.has(id)
  }

  /**
   * Takes in a history: at arrival, and again whenever the page has been away from the stream. A history that has
   * no message in common with what is already here leaves a gap.
   *
   * @param resumesAfter whether the stream goes on exactly where the history ends. When false it may bring older
   *   messages first.
   */
  arrive(history: readonly ChatMessage[], resumesAfter: boolean): void {
    const shared = history.find(message => this.#ids.has(message.id))
    if (shared) this.#weave(history, shared)
    else {
      if (this.#ids.size > 0) this.gap()
      for (const message of history) this.#insert(this.#lines.length, message)
    }
    this.#settling = !resumesAfter
  }

  /** Takes a message from the stream. */
  add(message: ChatMessage): Placed {
    if (this.#ids.has(message.id)) {
      if (message.id === lastMessage(this.#lines)?.id) this.#settling = false
      return 'known'
    }
    const at = this.#settling ? this.#placeByTime(message) : this.#lines.length
    const placed = at === this.#lines.length ? 'end' : 'inside'
    if (placed === 'end') this.#settling = false
    this.#insert(at, message)
    return placed
  }

  /** Marks that messages are missing here. @returns false when that is already the last line. */
  gap(): boolean {
    if (this.#lines.at(-1)?.kind === 'gap') return false
    this.#lines.push({ kind: 'gap' })
    return true
  }

  /** Drops the oldest lines when there are many too many. @returns whether it did. */
  trim(): boolean {
    // A slack of a quarter makes it rare: the whole list is drawn again after it.
    if (this.#lines.length <= this.#maxLines * 1.25) return false
    for (const line of this.#lines.splice(0, this.#lines.length - this.#maxLines))
      if (line.kind === 'message') this.#ids.delete(line.message.id)
    return true
  }

  #weave(history: readonly ChatMessage[], firstShared: ChatMessage): void {
    let at = this.#indexOf(firstShared)
    for (const message of history) {
      if (this.#ids.has(message.id)) at = this.#indexOf(message)
      else this.#insert(at, message)
      at++
    }
  }

  // A stream that serves several rooms resumes from what the other rooms have seen. It can then repeat messages that
  // are older than this room's history reaches; they belong in front of it.
  #placeByTime(message: ChatMessage): number {
    return (
      1 + this.#lines.findLastIndex(line => line.kind === 'message' && line.message.timeMs <= message.timeMs)
    )
  }

  #indexOf(message: ChatMessage): number {
    return this.#lines.findIndex(line => line.kind === 'message' && line.message.id === message.id)
  }

  #insert(at: number, message: ChatMessage): void {
    this.#ids.add(message.id)
    this.#lines.splice(at, 0, { kind: 'message', message })
  }
}

function lastMessage(lines: readonly Line[]): ChatMessage | undefined {
  const line = lines.findLast(candidate => candidate.kind === 'message')
  return line?.kind === 'message' ? line.message : undefined
}

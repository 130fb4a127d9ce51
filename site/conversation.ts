import type { OwnMessages } from './browser-store.ts'
import type { ConnectionState, FromHub } from './hub-protocol.ts'
import type { ListView } from './list-view.ts'
import type { ChatMessage } from './message.ts'
import type { Outbox } from './outbox.ts'
import type { Scroll } from './scroll.ts'
import type { Timeline } from './timeline.ts'

export interface ConversationParts {
  readonly timeline: Timeline
  readonly outbox: Outbox
  readonly own: OwnMessages
  readonly list: ListView
  readonly scroll: Scroll
  /** The live region: silent until the history is in it. */
  readonly said: HTMLElement
  /** Shown while nothing has been said. */
  readonly empty: HTMLElement
  showConnection(state: ConnectionState): void
  /** The server does not serve this room, or only to those who have logged in. */
  refuse(reason: string, asksForLogin: boolean): void
  /** A message came that the reader may not have seen. */
  noteUnread(): void
}

/** What is said in a room: puts what the stream brings on the page. */
export class Conversation {
  readonly #parts: ConversationParts

  constructor(parts: ConversationParts) {
    this.#parts = parts
  }

  hear(message: FromHub): void {
    switch (message.kind) {
      case 'state':
        return this.#parts.showConnection(message.state)
      case 'history':
        return this.#arrive(message.messages, message.resumesAfter)
      case 'message':
        return this.#add(message.message)
      case 'gap':
        return this.#gap()
      case 'refused':
        return this.#parts.refuse(message.reason, message.asksForLogin)
    }
  }

  #arrive(history: readonly ChatMessage[], resumesAfter: boolean): void {
    this.#parts.timeline.arrive(history, resumesAfter)
    this.#redraw()
    this.#parts.outbox.reconcile()
    this.#showEmpty()
    // A frame later: nobody wants a hundred old messages read out.
    requestAnimationFrame(() => {
      this.#parts.said.ariaLive = 'polite'
    })
  }

  #add(message: ChatMessage): void {
    const { timeline, outbox, own, list, scroll } = this.#parts
    const placed = timeline.add(message)
    if (placed === 'known') return
    outbox.observe(message)
    if (placed === 'inside' || timeline.trim()) this.#redraw()
    else list.append({ kind: 'message', message })
    this.#showEmpty()
    scroll.grew(1)
    if (!own.has(message.id)) this.#parts.noteUnread()
  }

  #gap(): void {
    if (!this.#parts.timeline.gap()) return
    this.#parts.list.append({ kind: 'gap' })
    this.#showEmpty()
    this.#parts.scroll.grew(0)
  }

  #redraw(): void {
    this.#parts.scroll.steady(() => this.#parts.list.render(this.#parts.timeline.lines))
  }

  #showEmpty(): void {
    this.#parts.empty.hidden = this.#parts.timeline.lines.length > 0
  }
}

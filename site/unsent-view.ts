import { textElement } from './bubble.ts'
import { element } from './dom.ts'
import { isSeen, type Unsent } from './outbox.ts'
import { explainFailure } from './reasons.ts'

export interface UnsentActions {
  retry(key: string): void
  retryAll(): void
  discard(key: string): void
  /** The server does not take it as it is. */
  edit(key: string): void
}

export interface UnsentParts {
  readonly list: HTMLOListElement
  /** Shown when several wait for a decision. */
  readonly bar: HTMLElement
  readonly count: HTMLElement
  readonly retryAll: HTMLButtonElement
  /** Read out by screen readers. */
  readonly news: HTMLElement
}

interface Drawn {
  readonly item: HTMLLIElement
  readonly why: HTMLElement
  readonly buttons: HTMLElement
  shows: string
}

/** Draws the messages that are on their way or not sent. */
export class UnsentView {
  readonly #parts: UnsentParts
  readonly #actions: UnsentActions
  readonly #drawn = new Map<string, Drawn>()

  constructor(parts: UnsentParts, actions: UnsentActions) {
    this.#parts = parts
    this.#actions = actions
    parts.retryAll.addEventListener('click', () => actions.retryAll())
  }

  render(unsent: readonly Unsent[], nowMs: number): void {
    // One that the stream has brought already stands among the messages.
    const visible = unsent.filter(({ state }) => !isSeen(state))
    const keys = new Set(visible.map(({ draft }) => draft.key))
    for (const [key, { item }] of this.#drawn) {
      if (keys.has(key)) continue
      item.remove()
      this.#drawn.delete(key)
    }
    for (const one of visible) this.#update(this.#drawn.get(one.draft.key) ?? this.#draw(one), one, nowMs)
    this.#count(visible.filter(isRetryable).length)
  }

  #count(failed: number): void {
    const { bar, count, news } = this.#parts
    const words = failed === 1 ? '1 message is not sent.' : `${failed} messages are not sent.`
    bar.hidden = failed < 2
    count.textContent = words
    const text = failed === 0 ? '' : words
    if (news.textContent !== text) news.textContent = text
  }

  #draw({ draft }: Unsent): Drawn {
    const why = element('p', 'why')
    const buttons = element('p', 'choices')
    const item = element('li', 'message own', element('div', 'bubble', textElement(draft.text), why, buttons))
    const drawn = { item, why, buttons, shows: '' }
    this.#drawn.set(draft.key, drawn)
    // Messages are only ever added at the end, so their order needs no other care.
    this.#parts.list.append(item)
    return drawn
  }

  #update(drawn: Drawn, { draft, state }: Unsent, nowMs: number): void {
    const why = state.kind === 'failed' ? explainFailure(draft, state.failure, nowMs) : progress[state.kind]
    const shows = `${state.kind} ${why}`
    if (shows === drawn.shows) return
    drawn.shows = shows
    drawn.item.dataset['state'] = state.kind
    drawn.why.textContent = why
    drawn.buttons.replaceChildren()
    if (state.kind !== 'failed') return
    drawn.buttons.append(
      state.failure.kind === 'refused'
        ? button('Edit', () => this.#actions.edit(draft.key))
        : button('Retry', () => this.#actions.retry(draft.key)),
      button('Discard', () => this.#actions.discard(draft.key)),
    )
  }
}

const progress = { waiting: 'Waiting…', sending: 'Sending…', published: 'Sent' } as const

function isRetryable({ state }: Unsent): boolean {
  return state.kind === 'failed' && state.failure.kind !== 'refused'
}

function button(label: string, act: () => void): HTMLButtonElement {
  const made = element('button', label.toLowerCase(), label)
  made.type = 'button'
  made.addEventListener('click', act)
  return made
}

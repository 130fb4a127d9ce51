import { bubble, dayOf, divider } from './bubble.ts'
import type { ChatMessage } from './message.ts'
import type { Line } from './timeline.ts'

/** Messages of one sender closer together than this read as one turn. */
const turnMs = 5 * 60_000

/** Draws the lines of a timeline into a list. */
export class ListView {
  readonly #list: HTMLOListElement
  readonly #isOwn: (id: string) => boolean
  #previous: Line | undefined
  #day = ''

  constructor(list: HTMLOListElement, isOwn: (id: string) => boolean) {
    this.#list = list
    this.#isOwn = isOwn
  }

  render(lines: readonly Line[]): void {
    this.#previous = undefined
    this.#day = ''
    this.#list.replaceChildren(...lines.flatMap(line => this.#draw(line)))
  }

  append(line: Line): void {
    this.#list.append(...this.#draw(line))
  }

  /** Marks the own messages anew. */
  refreshOwn(): void {
    for (const item of this.#list.children)
      if (item instanceof HTMLElement && item.dataset['id'] !== undefined)
        item.classList.toggle('own', this.#isOwn(item.dataset['id']))
  }

  #draw(line: Line): HTMLLIElement[] {
    const previous = this.#previous
    this.#previous = line
    if (line.kind === 'gap') return [divider('gap', 'Some messages are missing here.')]
    const { message } = line
    const day = dayOf(message.timeMs)
    const isNewDay = day !== this.#day
    this.#day = day
    const item = bubble(message, !isNewDay && isSameTurn(previous, message))
    item.classList.toggle('own', this.#isOwn(message.id))
    return isNewDay ? [divider('day', day), item] : [item]
  }
}

function isSameTurn(previous: Line | undefined, { content, timeMs }: ChatMessage): boolean {
  if (previous?.kind !== 'message' || content.kind !== 'said') return false
  const { content: before, timeMs: beforeMs } = previous.message
  return before.kind === 'said' && before.from === content.from && timeMs - beforeMs < turnMs
}

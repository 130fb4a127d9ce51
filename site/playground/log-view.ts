import { element } from '../dom.ts'

/** Older entries than this many are let go of. */
const maxEntries = 500

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
})

/** What an entry is about: it came, it was sent, the connection itself, or something that went wrong. */
export type EntryKind = 'heard' | 'sent' | 'state' | 'trouble'

/** Draws what happens at a seat into a list, newest first. */
export class LogView {
  readonly #list: HTMLOListElement

  constructor(list: HTMLOListElement) {
    this.#list = list
  }

  /** @returns the entry, for what becomes known of it later. */
  add(kind: EntryKind, text: string, details: readonly string[] = []): Entry {
    const time = element('time', '', clock.format(Date.now()))
    const said = element('span', 'text', text)
    said.dir = 'auto'
    const notes = element('span', 'notes')
    const item = element('li', 'entry', time, said, notes)
    item.dataset['kind'] = kind
    this.#list.prepend(item)
    while (this.#list.childElementCount > maxEntries) this.#list.lastElementChild?.remove()
    const entry = new Entry(item, notes)
    for (const detail of details) entry.note(detail)
    return entry
  }

  clear(): void {
    this.#list.replaceChildren()
  }
}

/** One line of the log. */
export class Entry {
  readonly #item: HTMLLIElement
  readonly #notes: HTMLElement

  constructor(item: HTMLLIElement, notes: HTMLElement) {
    this.#item = item
    this.#notes = notes
  }

  note(text: string): void {
    this.#notes.append(element('span', 'note', text), ' ')
  }

  /** Marks it as something that went wrong. */
  trouble(text: string): void {
    this.#item.dataset['kind'] = 'trouble'
    this.note(text)
  }
}

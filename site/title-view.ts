import type { Room } from './room.ts'

/** The names of the room: above the conversation and in the window's title, there with what came while it was hidden. */
export class TitleView {
  readonly #title: string
  #unread = 0

  constructor(room: Room, heading: HTMLElement) {
    this.#title = `${room.name === '' ? room.topic : room.name} · Postern`
    heading.textContent = room.name === '' ? room.topic : room.name
    document.title = this.#title
    document.addEventListener('visibilitychange', () => this.#count(0))
  }

  noteUnread(): void {
    if (document.hidden) this.#count(this.#unread + 1)
  }

  #count(unread: number): void {
    this.#unread = unread
    document.title = unread === 0 ? this.#title : `(${unread}) ${this.#title}`
  }
}

import type { ConnectionState } from './hub-protocol.ts'

interface ConnectionParts {
  readonly box: HTMLElement
  readonly text: HTMLElement
  /** Read out by screen readers: only what is worth an interruption, not every second of a countdown. */
  readonly news: HTMLElement
  readonly button: HTMLButtonElement
}

/** Shows how the stream is doing, and counts down to the next attempt. */
export class ConnectionView {
  readonly #parts: ConnectionParts
  #state: ConnectionState = { kind: 'connecting' }
  #wasLive = false
  #ticking: ReturnType<typeof setInterval> | undefined

  constructor(parts: ConnectionParts, reconnect: () => void) {
    this.#parts = parts
    parts.button.addEventListener('click', reconnect)
  }

  get isLive(): boolean {
    return this.#state.kind === 'live'
  }

  show(state: ConnectionState): void {
    this.#state = state
    clearInterval(this.#ticking)
    if (state.kind === 'reconnecting') this.#ticking = setInterval(() => this.#draw(), 250)
    this.#parts.box.dataset['state'] = state.kind
    this.#parts.button.hidden = state.kind === 'live' || state.kind === 'connecting'
    this.#draw()
    this.#tellNews()
    this.#wasLive ||= state.kind === 'live'
  }

  #draw(): void {
    const text = this.#words()
    if (this.#parts.text.textContent !== text) this.#parts.text.textContent = text
  }

  #words(): string {
    switch (this.#state.kind) {
      case 'connecting':
        return 'Connecting…'
      case 'live':
        return 'Live'
      case 'offline':
        return 'Offline'
      case 'reconnecting': {
        const seconds = Math.max(1, Math.ceil((this.#state.atMs - Date.now()) / 1_000))
        return `Reconnecting in ${seconds} s`
      }
    }
  }

  #tellNews(): void {
    const { kind } = this.#state
    // The attempts in between are no news.
    if (kind === 'connecting') return
    const news =
      kind === 'live'
        ? this.#wasLive
          ? 'Connected again.'
          : 'Connected.'
        : kind === 'offline'
          ? 'You are offline.'
          : 'The connection is lost. Reconnecting.'
    if (this.#parts.news.textContent !== news) this.#parts.news.textContent = news
  }
}

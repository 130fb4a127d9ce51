/** Closer to the end than this, the reader is taken to be at the end. */
const nearPx = 48

/** Keeps the newest message in sight, unless the reader has scrolled up: then a button tells how many are new. */
export class Scroll {
  readonly #box: HTMLElement
  readonly #button: HTMLButtonElement
  #isAtEnd = true
  #isScheduled = false
  #unread = 0

  constructor(box: HTMLElement, content: readonly HTMLElement[], button: HTMLButtonElement) {
    this.#box = box
    this.#button = button
    // The keyboard scrolls only what can have the focus.
    box.tabIndex = 0
    box.addEventListener('scroll', () => this.#noteScroll(), { passive: true })
    button.addEventListener('click', () => {
      this.toEnd()
      box.focus({ preventScroll: true })
    })
    // Also the box itself: it shrinks when a keyboard comes up or the composer grows.
    const observer = new ResizeObserver(() => this.#settle())
    for (const part of [box, ...content]) observer.observe(part)
  }

  /** New messages have been put at the end. */
  grew(count: number): void {
    if (this.#isAtEnd) return this.#settle()
    this.#unread += count
    this.#button.textContent = this.#unread === 1 ? '1 new message ↓' : `${this.#unread} new messages ↓`
    this.#button.hidden = false
  }

  toEnd(): void {
    this.#isAtEnd = true
    this.#read()
    this.#settle()
  }

  /** Draws without moving what the reader is looking at. */
  steady(draw: () => void): void {
    const fromEnd = this.#box.scrollHeight - this.#box.scrollTop
    draw()
    if (this.#isAtEnd) this.#settle()
    else this.#box.scrollTop = this.#box.scrollHeight - fromEnd
  }

  // Once a frame: measuring after each of a thousand messages would cost more than showing them.
  #settle(): void {
    if (!this.#isAtEnd || this.#isScheduled) return
    this.#isScheduled = true
    requestAnimationFrame(() => {
      this.#isScheduled = false
      if (this.#isAtEnd) this.#box.scrollTop = this.#box.scrollHeight
    })
  }

  #noteScroll(): void {
    if (this.#isScheduled) return
    this.#isAtEnd = this.#box.scrollHeight - this.#box.scrollTop - this.#box.clientHeight < nearPx
    if (this.#isAtEnd) this.#read()
  }

  #read(): void {
    this.#unread = 0
    this.#button.hidden = true
  }
}

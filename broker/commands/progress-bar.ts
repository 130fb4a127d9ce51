const width = 30

/** Shows how far something has come, on a terminal only. */
export class ProgressBar {
  readonly #isShown = process.stderr.isTTY === true
  #shown = ''

  /** May be called as often as one likes: a terminal is slow, and is written to when there is something to see. */
  show(share: number, label: string): void {
    if (!this.#isShown) return
    const done = Math.round(Math.min(1, share) * width)
    const line = `${'█'.repeat(done)}${'░'.repeat(width - done)} ${label}`
    if (line === this.#shown) return
    this.#shown = line
    process.stderr.write(`\r${line}\u001b[K`)
  }

  clear(): void {
    if (this.#isShown) process.stderr.write('\r\u001b[K')
  }
}

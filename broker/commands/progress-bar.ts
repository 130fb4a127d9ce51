const width = 30

/** Shows how far something has come, on a terminal only. */
export class ProgressBar {
  readonly #isShown = process.stderr.isTTY === true

  /** @param share from 0 to 1. */
  show(share: number, label: string): void {
    if (!this.#isShown) return
    const done = Math.round(Math.min(1, share) * width)
    process.stderr.write(`\r${'█'.repeat(done)}${'░'.repeat(width - done)} ${label}\u001b[K`)
  }

  clear(): void {
    if (this.#isShown) process.stderr.write('\r\u001b[K')
  }
}

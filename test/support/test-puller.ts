import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Backbone, PullSink } from '#client'
import type { Message } from '#protocol'
import { Watchers } from './watchers.ts'

/** A puller that remembers what it got, and flushes at once unless it holds. */
export class TestPuller implements PullSink {
  readonly messages: Message[] = []
  readonly told: string[] = []
  /** Does not flush what comes while this is set. */
  isHolding = false
  #held: (() => void)[] = []
  readonly #watchers = new Watchers()

  deliver(message: Message, flushed: () => void): void {
    this.messages.push(message)
    if (this.isHolding) this.#held.push(flushed)
    else flushed()
    this.#tell(Buffer.from(message.payload).toString())
  }

  end(reason: string): void {
    this.#tell(`end ${reason}`)
  }

  /** Flushes what it has held, and holds no more. */
  flush(): void {
    this.isHolding = false
    const held = this.#held
    this.#held = []
    for (const flushed of held) flushed()
  }

  until(condition: () => boolean): Promise<void> {
    return this.#watchers.until(condition)
  }

  /** Resolves when it has been told so much. */
  async has(count: number): Promise<void> {
    await this.until(() => this.told.length >= count)
  }

  #tell(what: string): void {
    this.told.push(what)
    this.#watchers.tell()
  }
}

/** Asks until so many pullers are known. */
export async function untilPullers(backbone: Pick<Backbone, 'status'>, count: number): Promise<void> {
  while ((await backbone.status()).pullers !== count) await nextTurn()
}

import type { Delivered, ReceiveEnd, ReceiveSink } from '#client'
import type { PosternError } from '#protocol'
import { textOf } from './publications.ts'
import { Watchers } from './watchers.ts'

/** A receiver that remembers what it got, and acknowledges at once unless it holds. */
export class BackboneReceiver implements ReceiveSink {
  readonly delivered: Delivered[] = []
  readonly ends: ReceiveEnd[] = []
  /** Its acknowledgements that the broker has confirmed, as texts. */
  readonly confirmed: string[] = []
  error: PosternError | undefined
  /** Does not acknowledge what comes while this is set. */
  isHolding = false
  readonly #watchers = new Watchers()

  deliver(delivered: Delivered): void {
    this.delivered.push(delivered)
    if (!this.isHolding) this.acknowledge(delivered)
    this.#tell()
  }

  end(reason: ReceiveEnd, error?: PosternError): void {
    this.ends.push(reason)
    this.error = error
    this.#tell()
  }

  /** Everything that it got, a redelivery as `text #2`. */
  get texts(): string[] {
    return this.delivered.map(({ message, deliveries, redelivered }) =>
      redelivered ? `${textOf(message)} #${deliveries}` : textOf(message),
    )
  }

  acknowledge(delivered: Delivered): void {
    delivered.acknowledge().then(
      () => {
        this.confirmed.push(textOf(delivered.message))
        this.#tell()
      },
      () => {},
    )
  }

  until(condition: () => boolean): Promise<void> {
    return this.#watchers.until(condition)
  }

  /** Resolves when it has got so many. */
  async has(count: number): Promise<void> {
    await this.until(() => this.delivered.length >= count)
  }

  #tell(): void {
    this.#watchers.tell()
  }
}

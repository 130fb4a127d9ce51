import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import type { Delivered, Relay } from '#client'
import { PosternError } from '#protocol'
import { textOf } from './publications.ts'
import { Watchers } from './watchers.ts'

const topic = 'sms'

/** What was handed out, in its order. */
interface Got {
  readonly text: string
  readonly redelivered: boolean
  /** Whether the broker had confirmed its acknowledgement before. */
  readonly wasConfirmed: boolean
}

/** Publishers, a receiver who acknowledges and a subscriber of one durable topic, and what each of them was told. */
export class KeptLoad {
  /** Messages with a receipt, as `publisher number`. */
  readonly receipts: string[] = []
  readonly got: Got[] = []
  readonly confirmed = new Set<string>()
  readonly streamed: string[] = []
  gaps = 0
  readonly #relay: Relay
  readonly #publishers: Promise<void>[]
  readonly #watchers = new Watchers()
  #isEnding = false

  constructor(relay: Relay, publishers: number) {
    this.#relay = relay
    relay.subscribe(
      { topics: [topic], exact: true },
      {},
      {
        start: () => {},
        gap: () => this.gaps++,
        deliver: messages => {
          this.streamed.push(...messages.map(textOf))
          this.#tell()
          return true
        },
        end: () => {},
      },
    )
    relay.receive(topic, { deliver: delivered => this.#take(delivered), end: () => {} })
    this.#publishers = Array.from({ length: publishers }, (_, i) => this.#publish(i))
  }

  until(condition: () => boolean): Promise<void> {
    return this.#watchers.until(condition)
  }

  /**
   * Publishes no more, and waits until everything with a receipt has been received and seen, and nothing is kept. An
   * acknowledgement whose confirmation was lost with the broker is never confirmed.
   */
  async end(): Promise<void> {
    this.#isEnding = true
    await Promise.all(this.#publishers)
    const got = () => new Set(this.got.map(({ text }) => text))
    await this.until(() => this.streamed.length >= this.receipts.length)
    await this.until(() => got().size >= this.receipts.length)
    while ((await this.#relay.status()).keptMessages > 0) await nextTurn()
  }

  /** What happened, in figures. */
  get summary(): string {
    const texts = new Set(this.got.map(({ text }) => text))
    const lost = this.receipts.filter(text => !texts.has(text)).length
    const again = this.got.length - texts.size
    return `${this.receipts.length} messages with a receipt, ${lost} lost, ${again} delivered again`
  }

  /** What is wrong with what everybody was told: nothing, when the broker has kept its promises. */
  faults(): string[] {
    const faults: string[] = []
    const seen = new Set<string>()
    const last = new Map<string, number>()
    for (const { text, redelivered, wasConfirmed } of this.got) {
      const [publisher = '', number = ''] = text.split(' ')
      if (wasConfirmed) faults.push(`${text} came again after it was confirmed`)
      if (seen.has(text)) {
        if (!redelivered) faults.push(`${text} came again and is not marked`)
        continue
      }
      seen.add(text)
      if (Number(number) !== (last.get(publisher) ?? -1) + 1) faults.push(`${text} is out of order`)
      last.set(publisher, Number(number))
    }
    for (const text of this.receipts) if (!seen.has(text)) faults.push(`${text} was not delivered`)
    if (new Set(this.streamed).size !== this.streamed.length) faults.push('something is in the log twice')
    if (new Set(this.streamed).size !== this.receipts.length) faults.push('log and receipts differ')
    if (this.gaps > 0) faults.push('the log has a gap')
    return faults
  }

  async #publish(publisher: number): Promise<void> {
    for (let number = 0; !this.#isEnding; number++) {
      const text = `${publisher} ${number}`
      await this.#publishUntilReceived(text)
      this.receipts.push(text)
      this.#tell()
    }
  }

  async #publishUntilReceived(text: string): Promise<void> {
    const publication = { topic, type: '', binary: false, payload: Buffer.from(text) }
    for (;;) {
      try {
        await this.#relay.publish(publication, { idempotencyKey: text })
        return
      } catch (error) {
        if (!(error instanceof PosternError)) throw error
        // The broker is away: it is asked again, as often as a client would.
        await delay(20)
      }
    }
  }

  #take(delivered: Delivered): void {
    const text = textOf(delivered.message)
    this.got.push({ text, redelivered: delivered.redelivered, wasConfirmed: this.confirmed.has(text) })
    this.#tell()
    delivered.acknowledge().then(
      () => {
        this.confirmed.add(text)
        this.#tell()
      },
      () => {},
    )
  }

  #tell(): void {
    this.#watchers.tell()
  }
}

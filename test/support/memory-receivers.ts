import { Message, type Publication } from '#protocol'
import type { Handout, ReceiverRegister, ReceiverSink, Registration } from '../../broker/receivers.ts'

interface Kept {
  readonly message: Message
  deliveries: number
  /** Those who have it now. */
  readonly holders: Set<Registration>
}

interface Registered {
  readonly sink: ReceiverSink
  readonly bytes: number
  readonly held: Set<Kept>
}

/** What is kept of one durable topic, in memory: every receiver within the limit gets every message. */
export class MemoryReceivers implements ReceiverRegister {
  limit = 0
  /** What was acknowledged, rejected and handed out so far, as texts. */
  readonly acknowledged: string[] = []
  readonly rejected: { readonly text: string; readonly reason: string }[] = []
  readonly #kept = new Map<number, Kept>()
  readonly #line = new Map<Registration, Registered>()
  readonly #topic: string
  #next = 1
  #watchers: (() => void)[] = []

  constructor(topic: string) {
    this.#topic = topic
  }

  get texts(): string[] {
    return [...this.#kept.values()].map(({ message }) => textOf(message))
  }

  get receivers(): number {
    return this.#line.size
  }

  /** Resolves when something holds, which is looked at again after each step. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>(resolve => this.#watchers.push(resolve))
  }

  keep({ type, binary, payload }: Pick<Publication, 'type' | 'binary' | 'payload'>): void {
    const offset = this.#next++
    const place = { epoch: '00000000cafe', offset, timeMs: 0 }
    const label = { topic: this.#topic, type, binary }
    const message = new Message(place, label, payload, 0, payload.length)
    this.#kept.set(offset, { message, deliveries: 0, holders: new Set() })
    this.#soon()
  }

  register(_: string, sink: ReceiverSink, options: { window?: { bytes: number } } = {}): Registration {
    const registration: Registration = {
      isCounted: true,
      acknowledge: (offsets, onRemoved) => {
        for (const kept of this.#drop(offsets)) this.acknowledged.push(textOf(kept.message))
        if (onRemoved) setImmediate(onRemoved)
        return []
      },
      giveBack: offsets => {
        for (const offset of offsets) this.#return(registration, this.#kept.get(offset))
      },
      reject: (offsets, reason) => {
        for (const { message } of this.#drop(offsets)) this.rejected.push({ text: textOf(message), reason })
      },
      pause() {},
      leave: () => {
        for (const kept of this.#kept.values()) this.#return(registration, kept)
        this.#line.delete(registration)
        this.#soon()
      },
    }
    this.#line.set(registration, { sink, bytes: options.window?.bytes ?? 64 * 1024, held: new Set() })
    this.#soon()
    return registration
  }

  #drop(offsets: readonly number[]): Kept[] {
    const dropped = offsets.flatMap(offset => this.#kept.get(offset) ?? [])
    for (const kept of dropped) {
      this.#kept.delete(kept.message.offset)
      for (const { held } of this.#line.values()) held.delete(kept)
    }
    this.#soon()
    return dropped
  }

  #return(registration: Registration, kept: Kept | undefined): void {
    kept?.holders.delete(registration)
    if (kept) this.#line.get(registration)?.held.delete(kept)
  }

  #soon(): void {
    setImmediate(() => {
      const counted = [...this.#line].slice(0, this.limit || this.#line.size)
      for (const [registration, receiver] of counted) this.#hand(registration, receiver)
      const watchers = this.#watchers
      this.#watchers = []
      for (const watch of watchers) watch()
    })
  }

  #hand(registration: Registration, { sink, bytes, held }: Registered): void {
    const handouts: Handout[] = []
    let sum = [...held].reduce((total, { message }) => total + message.weight, 0)
    for (const kept of this.#kept.values()) {
      if (kept.holders.has(registration)) continue
      sum += kept.message.weight
      if (sum > bytes && held.size > 0) break
      kept.holders.add(registration)
      held.add(kept)
      kept.deliveries++
      handouts.push({ message: kept.message, deliveries: kept.deliveries, redelivered: kept.deliveries > 1 })
    }
    if (handouts.length > 0) sink.take(handouts)
  }
}

function textOf({ payload }: { readonly payload: Uint8Array }): string {
  return Buffer.from(payload).toString()
}

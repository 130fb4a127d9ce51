import { Delivery, type DeliveryBounds, type Handover } from '../../broker/delivery.ts'
import { type Message, type PullSteps, spaceTopic } from '../../broker/protocol/index.ts'
import { messageOf } from './messages.ts'

export const defaultBounds: DeliveryBounds = {
  maxPushBytes: 100_000,
  maxUnpulledBytes: 50_000,
  pushAgeMs: 100_000,
  pullWindowMessages: 3,
  pullWindowBytes: 10_000,
  peerTimeoutMs: 1000,
}

interface TestPuller {
  readonly peer: string
  readonly pull: number
  readonly topic: string
  /** What it has and has not flushed. */
  readonly held: Set<number>
  /** Everything that it was ever handed. */
  readonly handed: number[]
}

/**
 * A delivery, and what its pullers have: it fails as soon as a message is with two of them, comes again after it was
 * flushed, or goes beyond a window.
 */
export class DeliveryModel {
  readonly delivery: Delivery
  readonly pullers = new Map<number, TestPuller>()
  /** Peers that cannot be reached, and why. */
  readonly broken = new Map<string, 'full' | 'gone'>()
  /** How often each peer was asked whether it is there. */
  readonly probed: string[] = []
  readonly flushed = new Set<number>()
  readonly added: { readonly offset: number; readonly topic: string }[] = []
  untilMs = 0
  nowMs = 0
  #lastPull = 0
  #failures: (() => void)[] = []

  constructor(bounds: Partial<DeliveryBounds> = {}) {
    this.delivery = new Delivery(
      { ...defaultBounds, ...bounds },
      { hand: (peer, handovers, untilMs, onFailed) => this.#hand(peer, handovers, untilMs, onFailed) },
    )
  }

  add(topic: string, count = 1, payload = ''): void {
    const messages: Message[] = []
    for (let i = 0; i < count; i++) {
      const offset = this.added.length + 1
      messages.push(messageOf({ topic: spaceTopic('push', topic), offset, payload }))
      this.added.push({ offset, topic })
    }
    this.delivery.add(messages)
    this.#fail()
  }

  /** @returns the name of the new puller. */
  open(peer: string, topic: string): number {
    const pull = ++this.#lastPull
    this.pullers.set(pull, { peer, pull, topic, held: new Set(), handed: [] })
    this.tell(peer, { open: [{ pull, topic: spaceTopic('push', topic) }] })
    return pull
  }

  close(pull: number): void {
    const { peer } = this.puller(pull)
    this.pullers.delete(pull)
    this.tell(peer, { close: [pull] })
  }

  /** Flushes what it has had for longest. */
  flush(pull: number, count = 1): void {
    const { peer, held } = this.puller(pull)
    const offsets = [...held].slice(0, count)
    for (const offset of offsets) {
      held.delete(offset)
      this.flushed.add(offset)
    }
    this.tell(peer, { flushed: [{ pull, offsets }] })
  }

  /** Gives everything back that it has. */
  giveBack(pull: number): void {
    const { peer, held } = this.puller(pull)
    const offsets = [...held]
    held.clear()
    this.tell(peer, { returned: [{ pull, offsets }] })
  }

  /** @returns how many pullers the broker knows of this peer. */
  tell(peer: string, steps: Partial<PullSteps> = {}): number {
    const nothing: PullSteps = { open: [], flushed: [], returned: [], close: [] }
    const known = this.delivery.take(peer, { ...nothing, ...steps }, this.nowMs)
    this.#fail()
    return known
  }

  /** The connection of this peer has ended. */
  lose(peer: string): void {
    this.broken.set(peer, 'gone')
    this.#forget(peer)
    this.delivery.probe()
    this.#fail()
  }

  /** Time passes in which these peers say nothing, and the others do. */
  pass(ms: number, silent: readonly string[]): void {
    const peers = new Set([...this.pullers.values()].map(({ peer }) => peer))
    for (let leftMs = ms; leftMs > 0; leftMs -= 500) {
      this.nowMs += Math.min(500, leftMs)
      for (const peer of peers) if (!silent.includes(peer)) this.tell(peer)
    }
    if (ms > defaultBounds.peerTimeoutMs) for (const peer of silent) this.#forget(peer)
    this.delivery.expire(this.nowMs, this.nowMs)
    this.#fail()
  }

  puller(pull: number): TestPuller {
    const puller = this.pullers.get(pull)
    if (!puller) throw new Error(`there is no puller ${pull}`)
    return puller
  }

  handedTo(pull: number): readonly number[] {
    return this.puller(pull).handed
  }

  /** Messages of a topic that nobody has and that were not flushed. */
  waiting(topic: string): number[] {
    const held = new Set([...this.pullers.values()].flatMap(puller => [...puller.held]))
    return this.added
      .filter(added => added.topic === topic && !held.has(added.offset) && !this.flushed.has(added.offset))
      .map(({ offset }) => offset)
  }

  #forget(peer: string): void {
    for (const puller of [...this.pullers.values()])
      if (puller.peer === peer) this.pullers.delete(puller.pull)
  }

  #hand(
    peer: string,
    handovers: readonly Handover[],
    untilMs: number,
    onFailed: (why: 'full' | 'gone') => void,
  ): void {
    if (handovers.length === 0) this.probed.push(peer)
    const why = this.broken.get(peer)
    if (why) {
      this.#failures.push(() => onFailed(why))
      return
    }
    this.untilMs = untilMs
    for (const { pull, message } of handovers) this.#take(peer, pull, message)
  }

  #take(peer: string, pull: number, { offset, topic }: Message): void {
    const puller = this.puller(pull)
    if (puller.peer !== peer || spaceTopic('push', puller.topic) !== topic)
      throw new Error(`message ${offset} went to a puller that is not meant`)
    if (this.flushed.has(offset)) throw new Error(`message ${offset} was flushed already`)
    for (const { held } of this.pullers.values())
      if (held.has(offset)) throw new Error(`message ${offset} is with somebody already`)
    puller.held.add(offset)
    puller.handed.push(offset)
    if (puller.held.size > this.delivery.bounds.pullWindowMessages)
      throw new Error(`puller ${pull} has more than its window`)
  }

  /** What could not be sent is told after the call that has sent it, as a socket does. */
  #fail(): void {
    for (let failure = this.#failures.shift(); failure; failure = this.#failures.shift()) failure()
  }
}

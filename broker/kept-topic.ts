import type { KeptWindow } from './kept-window.ts'
import type { Entry, Receiver } from './receiver.ts'
import type { NamedRule } from './topic-rules.ts'

export interface KeptTopicParts {
  readonly rule: NamedRule
  /** What may stand in line for a receiver that is slower than the others. */
  readonly maxBacklogBytes: number
  /** A message has come back. */
  readonly onReturned: () => void
}

/** Who receives the kept messages of one topic: the first so many that have come, and one or all of them each message. */
export class KeptTopic {
  readonly topic: string
  readonly window: KeptWindow
  readonly #parts: KeptTopicParts
  /** In the order of arrival. */
  readonly #receivers = new Set<Receiver>()
  /** The counted ones. Where each message goes to one, who has got one goes to the end. */
  #line: Receiver[] = []

  constructor(topic: string, window: KeptWindow, parts: KeptTopicParts) {
    this.topic = topic
    this.window = window
    this.#parts = parts
  }

  get receivers(): ReadonlySet<Receiver> {
    return this.#receivers
  }

  /** Whether nothing would be lost with this object. */
  get isIdle(): boolean {
    return this.#receivers.size === 0 && this.window.isIdle
  }

  /** Whether anybody gets messages. */
  get hasAudience(): boolean {
    return this.#takers.length > 0
  }

  /** The counted ones that get more. */
  get #takers(): readonly Receiver[] {
    return this.#line.filter(({ isRetiring }) => !isRetiring)
  }

  join(receiver: Receiver): void {
    this.#receivers.add(receiver)
    this.#recount()
  }

  leave(receiver: Receiver): void {
    if (!this.#receivers.delete(receiver)) return
    receiver.isCounted = false
    this.#line = this.#line.filter(other => other !== receiver)
    this.#recount()
    const { held, queued } = receiver.releaseAll()
    this.#returned(held)
    this.#putBack(queued)
  }

  /** The receiver gets nothing more. */
  retire(receiver: Receiver): void {
    receiver.isRetiring = true
    this.#putBack(receiver.releaseQueue())
  }

  /**
   * @param receiver who has received them; undefined where that is told by somebody else.
   * @returns the numbers that no message has had.
   */
  acknowledge(
    receiver: Receiver | undefined,
    numbers: readonly number[],
    onRemoved: () => void = () => {},
  ): number[] {
    let open = 1
    const done = () => {
      open--
      if (open === 0) onRemoved()
    }
    const unknown = numbers.filter(number => {
      if (receiver) receiver.release(number)
      else for (const one of this.#line) if (this.#isToldByOthers(one)) one.release(number)
      open++
      return !this.window.release(number, done)
    })
    // Of those it cannot be said that they are off the disk.
    if (unknown.length === 0) done()
    return unknown
  }

  /** Whether what a receiver has received may be told by somebody else alone. */
  #isToldByOthers({ isRetiring }: Receiver): boolean {
    return isRetiring || this.#parts.rule.delivery === 'one'
  }

  giveBack(receiver: Receiver, numbers: readonly number[]): void {
    this.#returned(numbers.flatMap(number => receiver.release(number) ?? []))
  }

  reject(receiver: Receiver, numbers: readonly number[], reason: string): void {
    for (const number of numbers) {
      const entry = receiver.release(number)
      if (entry && isNobodys(entry)) this.window.bury(entry, reason)
    }
  }

  /** Hands out what can be. @returns those who are too slow to stay. */
  handOut(): Receiver[] {
    return this.#parts.rule.delivery === 'one' ? this.#handToOne() : this.#handToAll()
  }

  #handToOne(): Receiver[] {
    for (;;) {
      const at = this.#line.findIndex(receiver => receiver.hasRoom)
      const entry = at === -1 ? undefined : this.window.next()
      const [receiver] = entry ? this.#line.splice(at, 1) : []
      if (!entry || !receiver) return []
      this.#line.push(receiver)
      this.#hand(receiver, entry)
    }
  }

  /** The fastest sets the pace: the others have their messages in line. */
  #handToAll(): Receiver[] {
    const takers = this.#takers
    for (const receiver of takers) this.#serve(receiver)
    while (takers.some(receiver => receiver.hasRoom && receiver.queueLength === 0)) {
      const entry = this.window.next()
      if (!entry) break
      for (const receiver of takers) {
        receiver.enqueue(entry)
        this.#serve(receiver)
      }
    }
    return takers.filter(({ queueBytes }) => queueBytes > this.#parts.maxBacklogBytes)
  }

  /** Hands on what stands in line. */
  #serve(receiver: Receiver): void {
    while (receiver.hasRoom) {
      const entry = receiver.dequeue()
      if (!entry) return
      if (!entry.isDead) this.#hand(receiver, entry)
    }
  }

  #hand(receiver: Receiver, entry: Entry): void {
    receiver.hold(entry)
    if (!entry.isReleased) this.window.note(entry)
  }

  /** A receiver does not have them any more, and has not received them. */
  #returned(entries: readonly Entry[]): void {
    for (const entry of entries) if (isNobodys(entry)) this.#parts.onReturned()
    const { maxDeliveries } = this.#parts.rule
    const isOver = ({ deliveries }: Entry) => maxDeliveries > 0 && deliveries >= maxDeliveries
    for (const entry of entries) {
      if (isNobodys(entry) && isOver(entry)) this.window.bury(entry, 'maxDeliveries')
    }
    this.#putBack(entries)
  }

  #putBack(entries: readonly Entry[]): void {
    const left = entries.filter(isNobodys)
    if (this.#parts.rule.delivery === 'one') for (const entry of left) this.window.putBack(entry)
    // Where nobody is left, they stay with what was given, which whoever comes next gets first.
    else for (const receiver of this.#takers) receiver.enqueueFirst(left)
  }

  #recount(): void {
    const { receivers: limit, delivery } = this.#parts.rule
    for (const receiver of this.#receivers) {
      if (limit > 0 && this.#line.length >= limit) return
      if (receiver.isCounted) continue
      receiver.isCounted = true
      this.#line.push(receiver)
      if (delivery === 'all') for (const entry of this.window.given()) receiver.enqueue(entry)
    }
  }
}

/** Nobody has it or is in line for it, and nobody has received it. */
function isNobodys({ holders, queued, isReleased, isDead }: Entry): boolean {
  return holders === 0 && queued === 0 && !isReleased && !isDead
}

import { type Message, PosternError, type PullSteps } from './protocol/index.ts'
import { Puller, PushQueue, type Tally, type Window } from './push-queue.ts'

export interface DeliveryBounds {
  /** What may wait for pullers, over all topics, before publishers are refused with `BACKLOG_FULL`. */
  readonly maxPushBytes: number
  /** A puller that has not flushed so many messages … */
  readonly pullWindowMessages: number
  /** … or so many bytes gets no more. */
  readonly pullWindowBytes: number
  /** A functions process that has been silent for longer loses its pullers. */
  readonly peerTimeoutMs: number
}

/** A message that is one puller's alone, until it is given back. */
export interface Handover {
  /** Names the puller within its functions process. */
  readonly pull: number
  readonly message: Message
}

/** Takes messages to the functions processes. */
export interface DeliveryOutput {
  /**
   * May not wait, and calls back only later.
   *
   * @param handovers may be empty: whether the peer is there is all that is asked.
   * @param untilMs on the monotonic clock: later the messages are no longer the peer's.
   * @param onFailed `full`: these were not sent, since too much waits for the peer already. `gone`: it has no
   * connection any more.
   */
  hand(
    peer: string,
    handovers: readonly Handover[],
    untilMs: number,
    onFailed: (why: 'full' | 'gone') => void,
  ): void
}

/** A functions process that has pullers. */
interface Peer {
  readonly name: string
  readonly pullers: Map<number, Puller>
  seenMs: number
  isFull: boolean
}

/**
 * `delivery: one`: each message of a push topic goes to exactly one puller, in turns to those that have room. What a
 * puller had and did not flush goes to the next, before everything newer. No sockets and no clock of its own.
 *
 * It holds messages in memory only. For those that are kept until they are acknowledged, a store stands before `add`
 * (what it gives back at a start is added again) and behind the flush, which is then an acknowledgement.
 */
export class Delivery {
  bounds: DeliveryBounds
  /** Messages that pullers have flushed, and that came back from them. */
  readonly counters = { flushed: 0, returned: 0 }
  readonly #output: DeliveryOutput
  readonly #queues = new Map<string, PushQueue>()
  readonly #peers = new Map<string, Peer>()
  readonly #waiting: Tally = { messages: 0, bytes: 0 }
  /** Queues in which something may be handed over. */
  readonly #stirred = new Set<PushQueue>()

  constructor(bounds: DeliveryBounds, output: DeliveryOutput) {
    this.bounds = bounds
    this.#output = output
  }

  get pullers(): number {
    let sum = 0
    for (const { pullers } of this.#peers.values()) sum += pullers.size
    return sum
  }

  /** What waits for a puller, counted as it counts against `maxPushBytes`. */
  get waiting(): Readonly<Tally> {
    return this.#waiting
  }

  /**
   * Asks before a message is taken. One that a puller waits for is never refused, so that a topic without pullers
   * does not stop the others; what is gathered in one batch may exceed the bound.
   *
   * @throws PosternError `BACKLOG_FULL`
   */
  assertRoom(topic: string): void {
    if (this.#waiting.bytes < this.bounds.maxPushBytes) return
    if (this.#queues.get(topic)?.isWaitedFor(this.#window)) return
    throw new PosternError('BACKLOG_FULL', undefined, {
      limit: this.bounds.maxPushBytes,
      setting: 'maxPushBytes',
    })
  }

  /** Messages that have their place in the log, in its order. */
  add(messages: Iterable<Message>): void {
    for (const message of messages) {
      // It may wait for long, and must not keep the whole batch that it came in.
      message.detach()
      const queue = this.#queueOf(message.topic)
      queue.push(message)
      this.#stirred.add(queue)
    }
    this.#handOver()
  }

  /**
   * What a functions process tells of its pullers, which also shows that it is alive.
   *
   * @returns how many pullers it has from now on: others than it believes, and it has lost them meanwhile.
   */
  take(name: string, steps: PullSteps, nowMs: number): number {
    const known = this.#peers.get(name)
    if (known) this.#flush(known, steps.flushed)
    // Its time was over before it came back: what it had is not its own any more.
    if (known && this.#isSilent(known, nowMs)) this.#drop(known)
    const peer = this.#peers.get(name) ?? { name, pullers: new Map(), seenMs: nowMs, isFull: false }
    this.#peers.set(name, peer)
    peer.seenMs = nowMs
    this.#unblock(peer)
    for (const { pull, topic } of steps.open) this.#open(peer, pull, topic)
    for (const { pull, offsets } of steps.returned) {
      const puller = peer.pullers.get(pull)
      if (!puller) continue
      this.#giveBack(puller, offsets)
      this.#stir(puller)
    }
    for (const pull of steps.close) {
      const puller = peer.pullers.get(pull)
      if (puller) this.#putBack(puller.queue, this.#close(peer, puller))
    }
    if (peer.pullers.size === 0) this.#peers.delete(name)
    this.#handOver()
    return peer.pullers.size
  }

  /** Lets go of functions processes that have been silent. */
  expire(nowMs: number): void {
    for (const peer of this.#peers.values()) if (this.#isSilent(peer, nowMs)) this.#drop(peer)
    this.#handOver()
  }

  /** Some connection has ended: finds out whose, by asking all. */
  probe(): void {
    for (const peer of this.#peers.values()) this.#hand(peer, [])
  }

  get #window(): Window {
    return { messages: this.bounds.pullWindowMessages, bytes: this.bounds.pullWindowBytes }
  }

  #queueOf(topic: string): PushQueue {
    const known = this.#queues.get(topic)
    if (known) return known
    const queue = new PushQueue(topic, this.#waiting)
    this.#queues.set(topic, queue)
    return queue
  }

  #isSilent({ seenMs }: Peer, nowMs: number): boolean {
    return nowMs - seenMs > this.bounds.peerTimeoutMs
  }

  #open(peer: Peer, pull: number, topic: string): void {
    // Told again after a doubt: it goes on as it is.
    if (peer.pullers.has(pull)) return
    const puller = new Puller(this.#queueOf(topic), peer.name, pull)
    puller.queue.pullers++
    peer.pullers.set(pull, puller)
    this.#stir(puller)
  }

  #flush(peer: Peer, flushed: PullSteps['flushed']): void {
    for (const { pull, offsets } of flushed) {
      const puller = peer.pullers.get(pull)
      if (!puller) continue
      for (const offset of offsets) if (puller.release(offset)) this.counters.flushed++
      this.#stir(puller)
    }
  }

  /** @returns what the puller had. */
  #close(peer: Peer, puller: Puller): Message[] {
    peer.pullers.delete(puller.pull)
    puller.queue.leave(puller)
    puller.queue.pullers--
    return puller.releaseAll()
  }

  #drop(peer: Peer): void {
    this.#peers.delete(peer.name)
    // Together for each queue: put back one by one they would be sorted as often as there are pullers.
    const returned = new Map<PushQueue, Message[]>()
    for (const puller of peer.pullers.values()) {
      const messages = this.#close(peer, puller)
      const ofQueue = returned.get(puller.queue)
      if (ofQueue) ofQueue.push(...messages)
      else returned.set(puller.queue, messages)
    }
    for (const [queue, messages] of returned) this.#putBack(queue, messages)
  }

  #unblock(peer: Peer): void {
    if (!peer.isFull) return
    peer.isFull = false
    for (const puller of peer.pullers.values()) {
      puller.isBlocked = false
      this.#stir(puller)
    }
  }

  /** The puller may have room now. */
  #stir(puller: Puller): void {
    puller.queue.join(puller)
    this.#stirred.add(puller.queue)
  }

  #giveBack(puller: Puller, offsets: readonly number[]): void {
    const messages = offsets.flatMap(offset => puller.release(offset) ?? [])
    this.#putBack(puller.queue, messages)
  }

  #putBack(queue: PushQueue, messages: readonly Message[]): void {
    this.counters.returned += messages.length
    queue.giveBack(messages)
    this.#stirred.add(queue)
  }

  #handOver(): void {
    const window = this.#window
    const handovers = new Map<string, Handover[]>()
    for (const queue of this.#stirred) {
      for (let found = queue.next(window); found; found = queue.next(window)) {
        const { puller, message } = found
        const handover = { pull: puller.pull, message }
        const ofPeer = handovers.get(puller.peer)
        if (ofPeer) ofPeer.push(handover)
        else handovers.set(puller.peer, [handover])
      }
      if (queue.isEmpty && queue.pullers === 0) this.#queues.delete(queue.topic)
    }
    this.#stirred.clear()
    for (const [name, ofPeer] of handovers) {
      const peer = this.#peers.get(name)
      if (peer) this.#hand(peer, ofPeer)
    }
  }

  #hand(peer: Peer, handovers: readonly Handover[]): void {
    this.#output.hand(peer.name, handovers, peer.seenMs + this.bounds.peerTimeoutMs, why => {
      // It may have gone, and come back under its name.
      if (this.#peers.get(peer.name) !== peer) return
      if (why === 'gone') this.#drop(peer)
      else this.#block(peer, handovers)
      this.#handOver()
    })
  }

  /** Nothing goes to the peer until it is heard again. What it was sent before stays its own. */
  #block(peer: Peer, unsent: readonly Handover[]): void {
    peer.isFull = true
    for (const puller of peer.pullers.values()) puller.isBlocked = true
    for (const { pull, message } of unsent) {
      const puller = peer.pullers.get(pull)
      if (puller) this.#giveBack(puller, [message.offset])
    }
  }
}

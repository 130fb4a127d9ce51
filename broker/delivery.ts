import { type Message, PosternError, type PullSteps } from './protocol/index.ts'
import { type Holdings, Puller, PushQueue, type Window } from './push-queue.ts'

export interface DeliveryBounds {
  /** What all topics may hold, unflushed messages included, before publishers are refused with `BACKLOG_FULL`. */
  readonly maxPushBytes: number
  /** Of that, what may wait on topics that nobody pulls. */
  readonly maxUnpulledBytes: number
  /** A message that waits for a puller goes when it is older. */
  readonly pushAgeMs: number
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
  /** Messages that pullers have flushed, that came back from them, and that nobody pulled in time. */
  readonly counters = { flushed: 0, returned: 0, pushExpired: 0 }
  readonly #output: DeliveryOutput
  readonly #queues = new Map<string, PushQueue>()
  readonly #peers = new Map<string, Peer>()
  readonly #holdings: Holdings = {
    waiting: { messages: 0, bytes: 0 },
    unflushed: { messages: 0, bytes: 0 },
    unpulledBytes: 0,
  }
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

  /** What is in memory, counted as it counts against the bounds. */
  get holdings(): Readonly<Holdings> {
    return this.#holdings
  }

  /**
   * Asks before a message is taken. A topic may hold as much as is free beside it: whatever one has gathered, the next
   finds room. Topics that nobody pulls share a part of the bound in the same way, since filling any number of them
   costs nobody a connection. What is gathered in one batch may exceed the bounds.
   *
   * @throws PosternError `BACKLOG_FULL`
   */
  assertRoom(topic: string): void {
    const { maxPushBytes, maxUnpulledBytes } = this.bounds
    const { waiting, unflushed, unpulledBytes } = this.#holdings
    const queue = this.#queues.get(topic)
    const bytes = queue?.bytes ?? 0
    if (bytes >= maxPushBytes - waiting.bytes - unflushed.bytes) throw fullOf('maxPushBytes', maxPushBytes)
    if (!queue?.isPulled && bytes >= maxUnpulledBytes - unpulledBytes)
      throw fullOf('maxUnpulledBytes', maxUnpulledBytes)
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
      if (puller) for (const offset of offsets) this.#giveBack(puller, offset)
    }
    for (const pull of steps.close) {
      const puller = peer.pullers.get(pull)
      if (puller) this.#close(peer, puller)
    }
    if (peer.pullers.size === 0) this.#peers.delete(name)
    this.#handOver()
    return peer.pullers.size
  }

  /**
   * Lets go of functions processes that have been silent, and then of messages that nobody has pulled.
   *
   * @param nowMs on the monotonic clock.
   * @param timeMs in Unix milliseconds, as messages are stamped.
   * @returns how many messages have gone.
   */
  expire(nowMs: number, timeMs: number): number {
    for (const peer of this.#peers.values()) if (this.#isSilent(peer, nowMs)) this.#drop(peer)
    this.#handOver()
    let expired = 0
    for (const queue of this.#queues.values()) {
      expired += queue.expire(timeMs - this.bounds.pushAgeMs)
      this.#forgetIdle(queue)
    }
    this.counters.pushExpired += expired
    return expired
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
    const queue = new PushQueue(topic, this.#holdings)
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
    peer.pullers.set(pull, puller)
    puller.queue.enter(puller)
    this.#stirred.add(puller.queue)
  }

  #flush(peer: Peer, flushed: PullSteps['flushed']): void {
    for (const { pull, offsets } of flushed) {
      const puller = peer.pullers.get(pull)
      if (!puller) continue
      for (const offset of offsets) if (puller.queue.flush(puller, offset)) this.counters.flushed++
      this.#stirred.add(puller.queue)
    }
  }

  #close(peer: Peer, puller: Puller): void {
    peer.pullers.delete(puller.pull)
    this.counters.returned += puller.queue.leave(puller)
    this.#stirred.add(puller.queue)
  }

  #drop(peer: Peer): void {
    this.#peers.delete(peer.name)
    for (const puller of peer.pullers.values()) this.#close(peer, puller)
  }

  #unblock(peer: Peer): void {
    if (!peer.isFull) return
    peer.isFull = false
    for (const puller of peer.pullers.values()) {
      puller.isBlocked = false
      puller.queue.join(puller)
      this.#stirred.add(puller.queue)
    }
  }

  #giveBack(puller: Puller, offset: number): void {
    if (!puller.queue.giveBack(puller, offset)) return
    this.counters.returned++
    this.#stirred.add(puller.queue)
  }

  #forgetIdle(queue: PushQueue): void {
    if (queue.isIdle) this.#queues.delete(queue.topic)
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
      this.#forgetIdle(queue)
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
      if (puller) this.#giveBack(puller, message.offset)
    }
  }
}

function fullOf(setting: 'maxPushBytes' | 'maxUnpulledBytes', limit: number): PosternError {
  return new PosternError('BACKLOG_FULL', undefined, { limit, setting })
}

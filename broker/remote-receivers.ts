import { type ErrorBody, PosternError, type ReceiveSteps } from './protocol/index.ts'
import type { Handout, ReceiverEnd, Receivers, Registration, RetiringRegistration } from './receivers.ts'

/** A message for a receiver of a functions process. */
export interface RemoteHandout extends Handout {
  /** Names the receiver within its functions process. */
  readonly receiver: number
}

/** Receivers that get nothing more, by the names that their functions process has for them. */
export interface EndedReceivers {
  /** They were too slow. */
  readonly slow: readonly number[]
  /** They were to stop, and nothing that they had is left. */
  readonly done: readonly number[]
}

/** Takes messages to the functions processes. */
export interface ReceiverOutput {
  /**
   * May not wait, and calls back only later.
   *
   * @param handouts may be empty: whether the peer is there is all that is asked.
   * @param untilMs on the monotonic clock: later the messages are no longer the peer's.
   * @param onFailed `full`: these were not sent, since too much waits for the peer already. `gone`: it has no
   * connection any more.
   */
  deliver(
    peer: string,
    handouts: readonly RemoteHandout[],
    ended: EndedReceivers,
    untilMs: number,
    onFailed: (why: 'full' | 'gone') => void,
  ): void
}

/** What has become of the steps of a functions process. */
export interface ReceiveOutcome {
  readonly receivers: number
  readonly refused: readonly { readonly receiver: number; readonly error: ErrorBody }[]
  readonly unknown: readonly string[]
}

export interface RemoteReceiversParts {
  readonly receivers: Receivers
  readonly output: ReceiverOutput
  /** A functions process that has been silent for longer loses its receivers. */
  readonly bounds: () => { readonly peerTimeoutMs: number }
  /** Runs a task when the current one is over. */
  readonly defer: (task: () => void) => void
}

/** A functions process that has receivers. */
interface Peer {
  readonly name: string
  readonly receivers: Map<number, RetiringRegistration>
  seenMs: number
  isFull: boolean
  handouts: RemoteHandout[]
  slow: number[]
  done: number[]
}

/** The receivers that are in functions processes: registers them, and lets go of them with their process. */
export class RemoteReceivers {
  readonly #parts: RemoteReceiversParts
  readonly #peers = new Map<string, Peer>()
  readonly #stirred = new Set<Peer>()

  constructor(parts: RemoteReceiversParts) {
    this.#parts = parts
  }

  /**
   * What a functions process tells of its receivers, which also shows that it is alive.
   *
   * @param reply called when what was acknowledged has left the disk.
   */
  take(name: string, steps: ReceiveSteps, nowMs: number, reply: (outcome: ReceiveOutcome) => void): void {
    const known = this.#peers.get(name)
    let open = 1
    const unknown: string[] = []
    const idsOf = (offsets: readonly number[]) => offsets.map(offset => this.#parts.receivers.idOf(offset))
    const refused: { receiver: number; error: ErrorBody }[] = []
    const done = () => {
      open--
      if (open === 0) reply({ receivers: this.#peers.get(name)?.receivers.size ?? 0, refused, unknown })
    }
    if (known) {
      for (const { receiver, offsets } of steps.acknowledged) {
        const registration = known.receivers.get(receiver)
        open++
        unknown.push(...idsOf(registration ? acknowledge(registration, offsets, done) : offsets))
        if (!registration) done()
      }
      // Its time was over before it came back: what it had is not its own any more.
      if (this.#isSilent(known, nowMs)) this.#drop(known)
    } else unknown.push(...steps.acknowledged.flatMap(({ offsets }) => idsOf(offsets)))
    for (const { topic, ids } of steps.released) {
      open++
      unknown.push(...this.#release(topic, ids, done))
    }
    this.#open(name, steps, nowMs, refused)
    done()
  }

  /** Lets go of functions processes that have been silent. */
  expire(nowMs: number): void {
    for (const peer of [...this.#peers.values()]) if (this.#isSilent(peer, nowMs)) this.#drop(peer)
  }

  /** Some connection has ended: finds out whose, by asking all. */
  probe(): void {
    for (const peer of [...this.#peers.values()]) this.#send(peer, [], { slow: [], done: [] })
  }

  #open(
    name: string,
    { open, returned, close }: ReceiveSteps,
    nowMs: number,
    refused: { receiver: number; error: ErrorBody }[],
  ): void {
    const peer = this.#peers.get(name) ?? newPeer(name, nowMs)
    this.#peers.set(name, peer)
    peer.seenMs = nowMs
    if (peer.isFull) {
      peer.isFull = false
      for (const registration of peer.receivers.values()) registration.pause(false)
    }
    for (const opening of open) {
      try {
        this.#register(peer, opening)
      } catch (error) {
        if (!(error instanceof PosternError)) throw error
        refused.push({ receiver: opening.receiver, error: error.toBody() })
      }
    }
    for (const { receiver, offsets } of returned) peer.receivers.get(receiver)?.giveBack(offsets)
    for (const receiver of close) {
      peer.receivers.get(receiver)?.leave()
      peer.receivers.delete(receiver)
    }
    if (peer.receivers.size === 0) this.#peers.delete(name)
  }

  #register(peer: Peer, { receiver, topic, messages, bytes, stopped }: ReceiveSteps['open'][number]): void {
    const known = peer.receivers.get(receiver)
    if (stopped && known) return known.retire()
    // It was lost meanwhile, and what it had with it.
    if (stopped) throw new PosternError('NOT_FOUND')
    // Told again after a doubt: it goes on as it is.
    if (known) return
    const window = messages === undefined || bytes === undefined ? {} : { window: { messages, bytes } }
    const sink = {
      take: (handouts: readonly Handout[]) => {
        peer.handouts.push(...handouts.map(handout => ({ ...handout, receiver })))
        this.#stir(peer)
      },
      end: (reason: ReceiverEnd) => {
        peer.receivers.delete(receiver)
        if (reason !== 'slow' && reason !== 'done') return
        peer[reason].push(receiver)
        this.#stir(peer)
      },
    }
    peer.receivers.set(receiver, this.#parts.receivers.register(topic, sink, window))
  }

  #release(topic: string, ids: readonly string[], done: () => void): string[] {
    const { receivers } = this.#parts
    const unknown = new Set(receivers.acknowledge(topic, ids, done))
    if (unknown.size === 0) return []
    const known = ids.filter(id => !unknown.has(id))
    if (known.length > 0) receivers.acknowledge(topic, known, done)
    else done()
    return [...unknown]
  }

  #isSilent({ seenMs }: Peer, nowMs: number): boolean {
    return nowMs - seenMs > this.#parts.bounds().peerTimeoutMs
  }

  #drop(peer: Peer): void {
    if (this.#peers.get(peer.name) === peer) this.#peers.delete(peer.name)
    for (const registration of peer.receivers.values()) registration.leave()
    peer.receivers.clear()
    peer.handouts = []
  }

  /** What several receivers of a process get goes to it together. */
  #stir(peer: Peer): void {
    if (this.#stirred.size === 0) this.#parts.defer(() => this.#flush())
    this.#stirred.add(peer)
  }

  #flush(): void {
    const stirred = [...this.#stirred]
    this.#stirred.clear()
    for (const peer of stirred) {
      const { handouts, slow, done } = peer
      peer.handouts = []
      peer.slow = []
      peer.done = []
      if (this.#peers.get(peer.name) === peer) this.#send(peer, handouts, { slow, done })
    }
  }

  #send(peer: Peer, handouts: readonly RemoteHandout[], ended: EndedReceivers): void {
    const untilMs = peer.seenMs + this.#parts.bounds().peerTimeoutMs
    this.#parts.output.deliver(peer.name, handouts, ended, untilMs, why => {
      // It may have gone, and come back under its name.
      if (this.#peers.get(peer.name) !== peer) return
      if (why === 'gone') return this.#drop(peer)
      // Nothing goes to the peer until it is heard again.
      peer.isFull = true
      peer.slow.push(...ended.slow)
      peer.done.push(...ended.done)
      for (const registration of peer.receivers.values()) registration.pause(true)
      for (const { receiver, message } of handouts) peer.receivers.get(receiver)?.giveBack([message.offset])
    })
  }
}

/** @returns those of which nothing is known; `onRemoved` is called for the others, or at once. */
function acknowledge(
  registration: Registration,
  offsets: readonly number[],
  onRemoved: () => void,
): readonly number[] {
  const unknown = registration.acknowledge(offsets, onRemoved)
  if (unknown.length > 0) {
    const known = offsets.filter(offset => !unknown.includes(offset))
    registration.acknowledge(known, onRemoved)
  }
  return unknown
}

function newPeer(name: string, nowMs: number): Peer {
  return { name, receivers: new Map(), seenMs: nowMs, isFull: false, handouts: [], slow: [], done: [] }
}

import type { KeptAudience } from './keeper.ts'
import type { KeptRow } from './kept/store.ts'
import type { KeptLedger } from './kept-ledger.ts'
import { KeptTopic } from './kept-topic.ts'
import { KeptWindow, type PageSize } from './kept-window.ts'
import {
  formatId,
  isInSpace,
  type Message,
  noEpoch,
  PosternError,
  parseId,
  spaceTopic,
} from './protocol/index.ts'
import { Receiver } from './receiver.ts'
import type { TopicRules } from './topic-rules.ts'
import { UnattendedTopics } from './unattended-topics.ts'

/** A message that is kept until it is acknowledged, on its way to a receiver. */
export interface Handout {
  /**
   * The message as it was published. Its id names it for as long as it is kept, over restarts too: it is not the id of
   * its place in the log. Its offset is what it is acknowledged by.
   */
  readonly message: Message
  /** How often it has been handed out, this time included. After a restart it may count one too many. */
  readonly deliveries: number
  /** Somebody may have received it before. */
  readonly redelivered: boolean
}

/** Why a receiver gets nothing any more without having left. */
export type ReceiverEnd =
  /** It has held too much for too long while others went on. It may register again. */
  | 'slow'
  /** The broker stops. */
  | 'shutdown'
  /** `take` has thrown. */
  | 'failed'
  /** It was to retire, and nothing that it had is left. */
  | 'done'

/** What a receiver may hold unacknowledged before it gets no more. One message is always let through. */
export interface ReceiverWindow {
  readonly messages: number
  readonly bytes: number
}

/** What a way of receiving does with the messages of one receiver. It is never called from within a call to it. */
export interface ReceiverSink {
  /** Messages of the topic, at least one. Each is acknowledged, given back or rejected, or goes back by `leave`. */
  take(handouts: readonly Handout[]): void
  /** Nothing follows; what it had has gone back. */
  end(reason: ReceiverEnd): void
}

export interface RegisterOptions {
  /** Default: the settings `pullWindowMessages` and `pullWindowBytes`. */
  readonly window?: ReceiverWindow
}

/** One receiver of a durable topic. */
export interface Registration {
  /** Whether it is among the first `receivers: N` of its topic, and so gets messages. */
  readonly isCounted: boolean
  /**
   * These are received, and leave the store.
   *
   * @param offsets those that it had, or had before it came back.
   * @param onRemoved called when all of them have left the disk: no restart brings them back. However long the store is
   * away, it is not called before that. It is called as well when they were acknowledged before.
   * @returns those that no message of the topic has had, which is all of them before the store could be opened. Where
   * there are any, `onRemoved` is not called.
   */
  acknowledge(offsets: readonly number[], onRemoved?: () => void): readonly number[]
  /**
   * These were not received: they go to the next, marked `redelivered`. Offsets that it does not have are passed over,
   * here and below.
   */
  giveBack(offsets: readonly number[]): void
  /** This receiver can never take them: they go to `$dead/<topic>`, and the log says why. */
  reject(offsets: readonly number[], reason: string): void
  /** While true nothing is taken; what it has stays its own. */
  pause(isPaused: boolean): void
  /** Gives back everything that it has. May be called twice. */
  leave(): void
}

/** A registration for whoever takes some messages and no more. */
export interface RetiringRegistration extends Registration {
  /**
   * Nothing more is taken. What it has stays its own until it is acknowledged, by whomever, or goes back; with the last
   * of it, it leaves, and is ended as `done`.
   */
  retire(): void
}

/** Who receives. Every way of receiving registers here, so that the limit counts them all. */
export interface ReceiverRegister {
  /**
   * A new receiver of exactly one topic, last in the order of arrival. What was kept comes first, oldest first.
   *
   * @param topic a durable topic, or `$dead/<topic>` of one.
   * @throws PosternError `NOT_DURABLE` for any other.
   */
  register(topic: string, sink: ReceiverSink, options?: RegisterOptions): Registration
}

export interface ReceiverBounds {
  /** What a receiver has unacknowledged before it gets no more, unless it says otherwise. */
  readonly pullWindowMessages: number
  readonly pullWindowBytes: number
  /** What may stand in line for a receiver that is slower than the others of its topic; beyond it, it is ended. */
  readonly maxReceiverBacklogBytes: number
}

export interface ReceiversParts {
  readonly rules: TopicRules
  readonly ledger: KeptLedger
  /** Runs a task at the end of this turn of the event loop. */
  readonly defer: (task: () => void) => void
  /** Bytes of a topic have left the disk. */
  readonly onRemoved: (topic: string, bytes: number) => void
  /** A message went to `$dead/<topic>`. */
  readonly onDead: (message: Message, deliveries: number, reason: string) => void
  readonly onExpired: (topic: string, messages: number) => void
}

/** How far all topics together read ahead of their receivers. Each has its part of it, as long as that is enough … */
const maxAheadBytes = 8 * 1024 * 1024

/** … to go on with, and is not more than a few receivers have room for. */
const pageBytes = { least: 8 * 1024, most: 256 * 1024 }

/** A short message takes so much of it. */
const messageBytes = 1024

/** Who receives the messages of durable topics. No sockets, no disk and no clock of its own. */
export class Receivers implements ReceiverRegister, KeptAudience {
  bounds: ReceiverBounds
  /** Messages that receivers have acknowledged, that came back from them, that none of them could receive. */
  readonly counters = { acknowledged: 0, givenBack: 0, dead: 0, expired: 0 }
  readonly #parts: ReceiversParts
  readonly #topics = new Map<string, KeptTopic>()
  readonly #stirred = new Set<KeptTopic>()
  readonly #unattended = new UnattendedTopics()
  /** Those who came before the store was open. */
  #early: (() => void)[] = []
  /** Its name, and up to where what is in it may have been handed out by who is not remembered. */
  #store: { readonly name: string; foundThrough: number } | undefined
  #isDeferred = false

  constructor(bounds: ReceiverBounds, parts: ReceiversParts) {
    this.bounds = bounds
    this.#parts = parts
  }

  get count(): number {
    let sum = 0
    for (const { receivers } of this.#topics.values()) sum += receivers.size
    return sum
  }

  /**
   * The store is there.
   *
   * @param foundThrough the highest number in it.
   */
  open(name: string, foundThrough: number): void {
    this.#store = { name, foundThrough }
    const early = this.#early
    this.#early = []
    for (const join of early) join()
  }

  register(topic: string, sink: ReceiverSink, options: RegisterOptions = {}): RetiringRegistration {
    if (!this.#parts.rules.durable(topic)) throw new PosternError('NOT_DURABLE')
    const { pullWindowMessages: messages, pullWindowBytes: bytes } = this.bounds
    const receiver = new Receiver(sink, options.window ?? { messages, bytes })
    let joined: KeptTopic | undefined
    let hasLeft = false
    const join = () => {
      if (hasLeft) return
      joined = this.#topicOf(topic)
      joined?.join(receiver)
      this.#stir(joined)
    }
    if (this.#store) join()
    else this.#early.push(join)
    return {
      get isCounted() {
        return receiver.isCounted
      },
      acknowledge: (offsets, onRemoved) => {
        if (!joined) return offsets
        const unknown = joined.acknowledge(receiver, offsets, onRemoved)
        this.counters.acknowledged += offsets.length - unknown.length
        this.#stir(joined)
        return unknown
      },
      giveBack: offsets => {
        joined?.giveBack(receiver, offsets)
        this.#stir(joined)
      },
      reject: (offsets, reason) => {
        joined?.reject(receiver, offsets, reason)
        this.#stir(joined)
      },
      pause: isPaused => {
        receiver.isPaused = isPaused
        this.#stir(joined)
      },
      retire: () => {
        receiver.isRetiring = true
        joined?.retire(receiver)
        this.#stir(joined)
      },
      leave: () => {
        hasLeft = true
        joined?.leave(receiver)
        this.#stir(joined)
      },
    }
  }

  /** The id of a kept message, by its offset. */
  idOf(offset: number): string {
    return formatId({ epoch: this.#store?.name ?? noEpoch, offset })
  }

  /** As {@link Registration.acknowledge}, for whoever is not the receiver: by the ids of the messages. */
  acknowledge(topic: string, ids: readonly string[], onRemoved: () => void): readonly string[] {
    const joined = this.#topicOf(topic)
    const name = this.#store?.name
    const known = ids.flatMap(id => {
      const place = parseId(id)
      return place && place.epoch === name ? { id, offset: place.offset } : []
    })
    const offsets = known.map(({ offset }) => offset)
    const strange = ids.filter(id => !known.some(one => one.id === id))
    // Where some are strange, nothing is said of the others before they are asked for alone.
    const onAll = strange.length === 0 ? onRemoved : undefined
    const unknown = new Set(joined?.acknowledge(undefined, offsets, onAll) ?? offsets)
    this.counters.acknowledged += offsets.length - unknown.size
    this.#stir(joined)
    return [...strange, ...known.flatMap(({ id, offset }) => (unknown.has(offset) ? id : []))]
  }

  goesLive(topic: string, bytes: number): boolean {
    const known = this.#topics.get(topic)
    return known?.hasAudience === true && known.window.goesLive(bytes)
  }

  staysBehind(topic: string, bytes: number): void {
    this.#topics.get(topic)?.window.staysBehind(bytes)
  }

  kept(row: KeptRow, isLive: boolean): void {
    const known = this.#topics.get(row.topic)
    known?.window.kept(row, isLive)
    this.#stir(known)
  }

  /** Lets go of what is older than its topic keeps. */
  expire(topics: Iterable<string>, nowMs: number): void {
    if (!this.#store) return
    for (const topic of topics) {
      const ageS = this.#parts.rules.durable(topic)?.keptAgeS ?? 0
      if (ageS === 0) continue
      this.#topicOf(topic)?.window.expire(nowMs - 1000 * ageS, messages => {
        this.counters.expired += messages
        this.#parts.onExpired(topic, messages)
      })
    }
  }

  /** Ends every receiver. What they have goes back. */
  close(): void {
    for (const topic of this.#topics.values()) {
      for (const receiver of [...topic.receivers]) {
        topic.leave(receiver)
        receiver.end('shutdown')
      }
      if (!topic.window.isBusy) topic.window.giveUp()
    }
  }

  #topicOf(topic: string): KeptTopic | undefined {
    const known = this.#topics.get(topic)
    const rule = this.#parts.rules.durable(topic)
    if (known || !this.#store || !rule) return known
    const { name, foundThrough } = this.#store
    const { ledger, onRemoved } = this.#parts
    const window = new KeptWindow(topic, {
      ledger,
      store: name,
      foundThrough,
      // What is not in the log yet is told of when it is.
      last: isInSpace('dead', topic) ? ledger.keptThrough : ledger.loggedThrough,
      maxDeliveries: rule.maxDeliveries,
      page: () => this.#page,
      onReady: () => this.#stir(this.#topics.get(topic)),
      onRemoved: bytes => {
        onRemoved(topic, bytes)
        this.#stir(this.#topics.get(topic))
      },
      onDead: (message, deliveries, reason) => this.#bury(topic, message, deliveries, reason),
    })
    const made = new KeptTopic(topic, window, {
      rule,
      maxBacklogBytes: this.bounds.maxReceiverBacklogBytes,
      onReturned: () => this.counters.givenBack++,
    })
    this.#topics.set(topic, made)
    return made
  }

  get #page(): PageSize {
    const part = maxAheadBytes / this.#topics.size
    const maxBytes = Math.min(pageBytes.most, Math.max(pageBytes.least, Math.floor(part)))
    return { maxBytes, maxMessages: Math.floor(maxBytes / messageBytes) }
  }

  #bury(topic: string, message: Message, deliveries: number, reason: string): void {
    this.counters.dead++
    this.#parts.onDead(message, deliveries, reason)
    const grave = this.#topics.get(isInSpace('dead', topic) ? topic : spaceTopic('dead', topic))
    grave?.window.reach(this.#parts.ledger.keptThrough)
    this.#stir(grave)
    this.#stir(this.#topics.get(topic))
  }

  /** Something may be handed out. That is never done within a call: whoever calls has not heard of its result yet. */
  #stir(topic: KeptTopic | undefined): void {
    if (!topic) return
    this.#stirred.add(topic)
    if (this.#isDeferred) return
    this.#isDeferred = true
    this.#parts.defer(() => {
      this.#isDeferred = false
      this.#handOut()
    })
  }

  #handOut(): void {
    const stirred = [...this.#stirred]
    this.#stirred.clear()
    for (const topic of stirred) {
      // Nobody receives it any more, and another one may have its name.
      if (this.#topics.get(topic.topic) !== topic) continue
      for (const receiver of topic.handOut()) this.#end(topic, receiver, 'slow')
      for (const receiver of [...topic.receivers]) {
        if (!receiver.flush()) this.#end(topic, receiver, 'failed')
        else if (receiver.isDone) this.#end(topic, receiver, 'done')
      }
      if (topic.isIdle) this.#topics.delete(topic.topic)
      for (const left of this.#unattended.look(topic)) this.#giveUp(left)
    }
  }

  #giveUp(topic: KeptTopic): void {
    // It is looked at again when that is done.
    if (!this.#store || topic.window.isBusy) return
    topic.window.giveUp()
    this.#topics.delete(topic.topic)
    this.#store.foundThrough = this.#parts.ledger.last
  }

  #end(topic: KeptTopic, receiver: Receiver, reason: ReceiverEnd): void {
    topic.leave(receiver)
    receiver.end(reason)
    this.#stir(topic)
  }
}

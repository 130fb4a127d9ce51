import type {
  Access,
  BrokerStatus,
  Credential,
  Login,
  Message,
  Position,
  PosternError,
  Publication,
  Rights,
  Selection,
} from '../protocol/index.ts'

/** Whether the log can be reached: not yet or just lost, yes, or gone for longer than a moment. */
export type BackboneState = 'connecting' | 'up' | 'away'

/** The message is in the log. */
export interface Receipt {
  readonly id: string
}

export interface PublishOptions {
  /** A repeat under the same key, by the same identity to the same topic, gets the first id. 1 to 255 characters. */
  readonly idempotencyKey?: string
  /** Who publishes. Default: anybody. */
  readonly identity?: string
}

/** Where a subscription begins. With neither, at what comes next. */
export interface Start {
  /** The last id that was seen: everything after it. Beats `history`. */
  readonly since?: string
  /** The last so many messages first. */
  readonly history?: number
}

/** Why a subscription ended without being closed by its owner. */
export type EndReason = 'slow' | 'shutdown' | 'failed'

/** What a connection does with what it is subscribed to. Every call comes in the order of the log. */
export interface Sink {
  /** The place at which the subscription begins. Comes once, before anything else. */
  start(position: Position): void
  /** Messages between the last seen one and this position are no longer there. */
  gap(position: Position): void
  /**
   * Messages, in order. The list is shared by every subscription that selects the same, so that what is encoded
   * for one can be used for all.
   *
   * @returns false when the sink is full: it has taken these, and gets no more until `resume()`.
   */
  deliver(messages: readonly Message[]): boolean
  /**
   * The subscription has ended: nothing follows. `slow`: more than the bound was waiting. `failed`: the sink has
   * thrown.
   */
  end(reason: EndReason): void
}

export interface Subscription {
  /** Whether everything up to the end of the log has been delivered. */
  readonly caughtUp: boolean
  /** How far it has come: the id that resumes it. Undefined until it has begun. */
  readonly position: Position | undefined
  /** The sink takes messages again. */
  resume(): void
  /** Nothing is delivered any more. May be called twice. */
  close(): void
}

/** What a puller does with the messages that are its own. */
export interface PullSink {
  /**
   * A message that is this puller's alone. The messages come in the order of the log, except those that come back
   * from another puller.
   *
   * @param flushed to be called when the message has left this process: until then it counts against the puller's
   * window, and closed meanwhile it goes to the next puller. May be called twice.
   */
  deliver(message: Message, flushed: () => void): void
  /** The pull has ended: nothing follows. `failed`: the sink has thrown. */
  end(reason: 'shutdown' | 'failed'): void
}

export interface Pull {
  /** Nothing is delivered any more; what was not flushed goes to the next puller. May be called twice. */
  close(): void
}

/** A message that is kept until it is acknowledged, with one receiver. */
export interface Delivered {
  /**
   * As it was published. Its id names it for as long as it is kept, over restarts of the broker too: it is not the id of
   * its receipt.
   */
  readonly message: Message
  /** How often it has been handed out, this time included. After a restart of the broker it may count one too many. */
  readonly deliveries: number
  /** Somebody may have received it before. */
  readonly redelivered: boolean
  /**
   * It is received. Resolves when it has left the broker's disk: it never comes again.
   *
   * @throws PosternError `RECEIPT_UNKNOWN` when the broker did not say so in time, or was lost meanwhile: it may come
   * again. `NOT_FOUND` when the broker has been restarted since: it does come again.
   */
  acknowledge(): Promise<void>
  /** It was not received: the next one gets it. Without effect after an acknowledgement. */
  giveBack(): void
}

/** Why a receiver gets nothing more without having been closed by its owner. */
export type ReceiveEnd =
  /** It has held too much for too long while the others of its topic went on. */
  | 'slow'
  | 'shutdown'
  /** The sink has thrown. */
  | 'failed'
  /** The broker does not let it receive; the error says why. */
  | 'refused'
  /** It was stopped, and nothing that it had is left. */
  | 'done'

/** What a receiver does with the messages of a durable topic. */
export interface ReceiveSink {
  /** One message, oldest first. It counts against the receiver's window until it is acknowledged or given back. */
  deliver(delivered: Delivered): void
  /** Nothing follows. What was not acknowledged goes to others. */
  end(reason: ReceiveEnd, error?: PosternError): void
}

export interface ReceiveOptions {
  /** What the receiver has unacknowledged at the most. Default: as the broker is set. */
  readonly window?: { readonly messages: number; readonly bytes: number }
}

export interface Receiving {
  /**
   * Nothing more is handed to it. What it has stays its own until it is acknowledged, in whatever process, or goes back;
   * with the last of it, it ends as `done`.
   *
   * @returns when everything has come that was under way to it, or the broker is lost.
   */
  stop(): Promise<void>
  /** Nothing is delivered any more; what was not acknowledged goes to the next receiver. May be called twice. */
  close(): void
}

/** The newest messages of a selection at one moment. */
export interface Snapshot {
  /** A subscription since here gets exactly what the snapshot does not hold. */
  readonly position: Position
  readonly messages: readonly Message[]
}

/**
 * What carries the log, as functions see it. A publish either has a receipt, or fails with
 * `BROKER_UNAVAILABLE` (certainly not in the log, now or later), `RECEIPT_UNKNOWN`, or an error that says what is
 * wrong with it.
 */
export interface Backbone {
  readonly state: BackboneState
  /** The topic of messages that name none. Undefined until the log was reached once. */
  readonly defaultTopic: string | undefined
  readonly maxPayloadBytes: number | undefined
  /** Whether there are rules of access. Undefined until the log was reached once. */
  readonly access: Access | undefined
  /** Resolves when the log can be reached, or rejects with `BROKER_UNAVAILABLE` when it is away. */
  ready(): Promise<void>
  publish(publication: Publication, options?: PublishOptions): Promise<Receipt>
  subscribe(selection: Selection, start: Start, sink: Sink): Subscription
  /**
   * Receives messages of a push topic: each goes to exactly one puller of all processes, in turns to those that have
   * room. What is published while none has room waits in the broker's memory, up to a bound (`BACKLOG_FULL`), and not
   * over its restart. A process that loses the broker, or goes silent, loses what its pullers have not flushed to
   * others, so that this may come twice; the pull itself goes on when the broker is back.
   *
   * @param topic in its name space: `$push/x`.
   */
  pull(topic: string, sink: PullSink): Pull
  /**
   * Receives the messages of exactly one durable topic, or of its `$dead/<topic>`: what was kept first, then what
   * follows. Who of several receivers gets what is the topic's rule. A process that loses the broker, or goes silent,
   * loses what is not acknowledged to others, so that it may come twice; the receiving itself goes on when the broker
   * is back. A topic that is not durable ends it as `refused`, with `NOT_DURABLE`.
   */
  receive(topic: string, sink: ReceiveSink, options?: ReceiveOptions): Receiving
  /**
   * Acknowledges messages that any process was given, by their ids. Resolves when they have left the broker's disk.
   *
   * @returns the ids that the broker does not know since it has started: their messages come again.
   * @throws PosternError `BROKER_UNAVAILABLE`, `RECEIPT_UNKNOWN`
   */
  acknowledge(topic: string, ids: readonly string[]): Promise<readonly string[]>
  /**
   * What a client may do. Where there are no rules that is everything, whatever it shows. It holds until it expires, or
   * until {@link onAccessChange} tells that it has to be asked for again.
   *
   * @param address where the client comes from: too many wrong passwords from there are no longer looked at.
   * @throws PosternError `UNAUTHORIZED`, saying what is wrong with the credential; `LOGIN_UNAVAILABLE` when nobody can
   * tell now.
   */
  authorize(credential: Credential, address: string): Promise<Rights>
  /**
   * Lets a user log in for a while: the token is a credential that stands for the name and the password, and ends when
   * these change.
   *
   * @throws PosternError as {@link authorize} does; `NOT_FOUND` where there are no rules.
   */
  login(name: string, password: string, address: string): Promise<Login>
  /**
   * Calls back when rules, users or keys have changed: within two seconds, and when the broker is reached again and has
   * others than before.
   *
   * @returns what ends it.
   */
  onAccessChange(listener: () => void): () => void
  /** @throws PosternError `BROKER_UNAVAILABLE` */
  history(selection: Selection, count: number): Promise<Snapshot>
  /** @throws PosternError `BROKER_UNAVAILABLE` */
  status(): Promise<BrokerStatus>
  /** Ends every subscription and lets go of the connection. May be called twice. */
  close(): Promise<void>
}

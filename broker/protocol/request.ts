import type { Access, Credential, Rights } from './access.ts'
import type { ErrorBody } from './codes.ts'

/** The version of the requests and batches. A broker refuses a hello with another one. */
export const protocolVersion = 2

/*
 * A request is one frame of JSON, for a publish followed by one frame with a batch. Its reply repeats `seq`.
 * Every moment in it is on the broker's own monotonic clock, which hello tells.
 */

export interface HelloRequest {
  readonly op: 'hello'
  readonly seq: number
  readonly version: number
  /** The broker's public key, with which the client has come in: the reply then tells where the stream has the same. */
  readonly serverKey?: string
}

/** An idempotency key for one record of the batch. It belongs to an identity and the record's topic. */
export interface RecordKey {
  /** Index of the record in the batch. */
  readonly at: number
  readonly key: string
  /** Who publishes; empty for anybody. */
  readonly identity: string
}

export interface PublishRequest {
  readonly op: 'publish'
  readonly seq: number
  /** From hello. A publish for another process of the broker is refused: its deadline means nothing here. */
  readonly session: string
  /** After this moment the broker refuses the request, so that one answered as failed is never published. */
  readonly deadlineMs: number
  readonly keys: readonly RecordKey[]
}

export interface ReplayRequest {
  readonly op: 'replay'
  readonly seq: number
  /** Null is the whole log, the system's topics included, as far as the tail reaches. */
  readonly topics: readonly string[] | null
  readonly exact: boolean
  /** Everything after this id … */
  readonly since?: string
  /** … or the last so many messages, when there is no id. */
  readonly last?: number
}

/** How far a functions process has come; also how each side learns that the other is alive. */
export interface PositionRequest {
  readonly op: 'position'
  readonly seq: number
  readonly session: string
  readonly offset: number
  /** Who is connected to the process, for the status: subscribers now, and messages handed to subscribers so far. */
  readonly subscribers?: number
  readonly delivered?: number
}

/** Some messages of one puller, by their offsets. */
export interface PullOffsets {
  readonly pull: number
  readonly offsets: readonly number[]
}

/** What has happened to the pullers of a functions process. */
export interface PullSteps {
  /** New pullers, and the push topics (`$push/x`) that they pull from. One that is known already goes on as it is. */
  readonly open: readonly { readonly pull: number; readonly topic: string }[]
  /** Messages that have left the functions process. */
  readonly flushed: readonly PullOffsets[]
  /** Messages that came when they were no longer this process's own. */
  readonly returned: readonly PullOffsets[]
  /** Pullers that are gone. What they have not flushed goes to others. */
  readonly close: readonly number[]
}

/** Also shows that the functions process is alive: sent at every sign while it has pullers, with or without steps. */
export interface PullRequest extends PullSteps {
  readonly op: 'pull'
  readonly seq: number
  readonly session: string
}

/** Some messages of one receiver, by their offsets. */
export interface ReceiverOffsets {
  readonly receiver: number
  readonly offsets: readonly number[]
}

/** What has happened to the receivers of a functions process. */
export interface ReceiveSteps {
  /**
   * New receivers, and the durable topics that they receive from. One that is known already goes on as it is.
   * `messages` and `bytes` are what it has unacknowledged at the most; without them the broker's settings hold. One that
   * is `stopped` gets nothing more, and is over when nothing that it has is left; where the broker does not know it, it is
   * refused with `NOT_FOUND`.
   */
  readonly open: readonly {
    readonly receiver: number
    readonly topic: string
    readonly messages?: number
    readonly bytes?: number
    readonly stopped?: boolean
  }[]
  /** Messages that are received. */
  readonly acknowledged: readonly ReceiverOffsets[]
  /** The same for messages that another functions process was given, by their ids. */
  readonly released: readonly { readonly topic: string; readonly ids: readonly string[] }[]
  /** Messages that were not received. */
  readonly returned: readonly ReceiverOffsets[]
  /** Receivers that are gone. What they have not acknowledged goes to others. */
  readonly close: readonly number[]
}

/** Also shows that the functions process is alive, as a pull does. */
export interface ReceiveRequest extends ReceiveSteps {
  readonly op: 'receive'
  readonly seq: number
  readonly session: string
}

/** Asks what a client may do. */
export interface AuthorizeRequest {
  readonly op: 'authorize'
  readonly seq: number
  readonly credential: Credential
  /** Where the client comes from: too many failures from there are no longer looked at. */
  readonly address: string
  /** A token shall stand for the name and the password from now on. */
  readonly login?: boolean
}

export interface StatusRequest {
  readonly op: 'status'
  readonly seq: number
}

/** Which topics there are, in the order of their names. */
export interface TopicsRequest {
  readonly op: 'topics'
  readonly seq: number
  /** Only those that come after this name. */
  readonly after?: string
}

export type Request =
  | HelloRequest
  | PublishRequest
  | ReplayRequest
  | PositionRequest
  | PullRequest
  | ReceiveRequest
  | AuthorizeRequest
  | StatusRequest
  | TopicsRequest

export interface HelloReply {
  readonly op: 'hello'
  readonly seq: number
  readonly version: number
  /** Names this process of the broker. */
  readonly session: string
  readonly epoch: string
  /** Offset of the newest message. */
  readonly last: number
  /** The broker's monotonic clock when it answered. */
  readonly clockMs: number
  /** Endpoints of the stream; a wildcard host stands for the host of the requests. */
  readonly stream: readonly string[]
  readonly defaultTopic: string
  readonly maxPayloadBytes: number
  readonly access: Access
}

/** The outcome for one record of a publish, in the order of the batch. */
export type ReceiptEntry = { readonly id: string } | { readonly error: ErrorBody }

export interface ReceiptsReply {
  readonly op: 'receipts'
  readonly seq: number
  readonly receipts: readonly ReceiptEntry[]
}

/** Followed by any number of frames, each a batch. */
export interface ReplayReply {
  readonly op: 'replay'
  readonly seq: number
  /** True when messages after `since` are no longer there. */
  readonly gap: boolean
  /** The position before the first message of this reply. */
  readonly from: string
  /** The position that this reply reaches: ask again from here while there is `more`. */
  readonly through: string
  readonly more: boolean
}

export interface PositionReply {
  readonly op: 'position'
  readonly seq: number
  readonly epoch: string
  readonly last: number
  readonly access: Access
}

export interface AuthorizeReply {
  readonly op: 'authorize'
  readonly seq: number
  readonly rights: Rights
  /** What the rights come from. */
  readonly access: Access
  /** What stands for the name and the password, where that was asked for and there are rules. */
  readonly token?: string
}

export interface PullReply {
  readonly op: 'pull'
  readonly seq: number
  /** How many pullers of this functions process the broker knows after the steps. */
  readonly pullers: number
}

/**
 * Messages for pullers of a functions process. Nobody has asked for it: it answers no request. Followed by batches with
 * one record for each entry of `to`.
 */
export interface HandReply {
  readonly op: 'hand'
  readonly seq: null
  /** The puller of each record. */
  readonly to: readonly number[]
  /** On the broker's clock: who reads it later gives the messages back. */
  readonly untilMs: number
}

/** Comes when what was acknowledged has left the disk: at once where nothing was. */
export interface ReceiveReply {
  readonly op: 'receive'
  readonly seq: number
  /** How many receivers of this functions process the broker knows after the steps. */
  readonly receivers: number
  /** Receivers that were not opened, and why. */
  readonly refused: readonly { readonly receiver: number; readonly error: ErrorBody }[]
  /** Ids of what was acknowledged and is not known since the broker has started: it comes again. */
  readonly unknown: readonly string[]
}

/**
 * Messages for receivers of a functions process, unasked as in a `hand`. Followed by batches with one record for each
 * entry of `to`.
 */
export interface DeliverReply {
  readonly op: 'deliver'
  readonly seq: null
  /** The receiver of each record. */
  readonly to: readonly number[]
  /** How often each record has been handed out, this time included. */
  readonly deliveries: readonly number[]
  /** On the broker's clock: who reads it later gives the messages back. */
  readonly untilMs: number
  /** Receivers that get nothing more, because they were slower than the others for too long. */
  readonly slow: readonly number[]
  /** Receivers that were stopped, and have nothing left. */
  readonly done: readonly number[]
}

/** Figures of a running broker. */
export interface BrokerStatus {
  readonly version: string
  readonly epoch: string
  readonly last: number
  readonly uptimeMs: number
  /** What the process has in memory. */
  readonly residentBytes: number
  readonly peers: number
  /** Subscribers of all functions processes, and the messages that these have handed to them. */
  readonly subscribers: number
  readonly delivered: number
  readonly tcpConnections: number
  /** Over the last ten seconds: messages that have come into the log, and those handed to subscribers. */
  readonly publishedPerS: number
  readonly deliveredPerS: number
  readonly topics: number
  readonly historyMessages: number
  readonly historyBytes: number
  readonly tailBytes: number
  readonly withheldReceipts: number
  readonly pullers: number
  /** What waits for pullers. */
  readonly pushMessages: number
  readonly pushBytes: number
  /** What pullers have been handed and have not flushed. */
  readonly unflushedMessages: number
  readonly unflushedBytes: number
  /** Receivers of durable topics. */
  readonly receivers: number
  /** What is kept for them: messages, and bytes of their payloads. */
  readonly keptMessages: number
  readonly keptBytes: number
  readonly counters: Readonly<Record<string, number>>
}

export interface StatusReply {
  readonly op: 'status'
  readonly seq: number
  readonly status: BrokerStatus
}

/** What there is of one topic. */
export interface TopicSummary {
  readonly topic: string
  /** In the history. */
  readonly messages: number
  readonly bytes: number
  /** When the newest of these was published, in Unix milliseconds; null where there is none. */
  readonly newestMs: number | null
  /** Kept until they are received. */
  readonly keptMessages: number
  readonly keptBytes: number
}

export interface TopicsReply {
  readonly op: 'topics'
  readonly seq: number
  readonly topics: readonly TopicSummary[]
  /** There are others: ask again, after the last of these. */
  readonly more: boolean
}

export interface ErrorReply {
  readonly op: 'error'
  /** Null when the request could not be read far enough to know. */
  readonly seq: number | null
  readonly error: ErrorBody
}

export type Reply =
  | HelloReply
  | ReceiptsReply
  | ReplayReply
  | PositionReply
  | PullReply
  | HandReply
  | ReceiveReply
  | DeliverReply
  | AuthorizeReply
  | StatusReply
  | TopicsReply
  | ErrorReply

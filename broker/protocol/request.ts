import { type ErrorBody, isCode } from './codes.ts'

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

export interface StatusRequest {
  readonly op: 'status'
  readonly seq: number
}

export type Request =
  | HelloRequest
  | PublishRequest
  | ReplayRequest
  | PositionRequest
  | PullRequest
  | StatusRequest

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

/** Figures of a running broker. */
export interface BrokerStatus {
  readonly version: string
  readonly epoch: string
  readonly last: number
  readonly uptimeMs: number
  readonly peers: number
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
  readonly counters: Readonly<Record<string, number>>
}

export interface StatusReply {
  readonly op: 'status'
  readonly seq: number
  readonly status: BrokerStatus
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
  | StatusReply
  | ErrorReply

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true })

export function encodeHead(head: Request | Reply): Uint8Array {
  return encoder.encode(JSON.stringify(head))
}

/** Reads the first frame of a request, or gives what is wrong with it as a text for the error. */
export function decodeRequest(
  frame: Uint8Array,
): Request | { readonly broken: string; readonly seq: number | null } {
  const head = decodeObject(frame)
  if (!head) return { broken: 'The first frame is not a JSON object.', seq: null }
  const seq = isCount(head['seq']) ? head['seq'] : null
  if (seq === null) return { broken: '"seq" is not a whole number.', seq }
  const broken = (what: string) => ({ broken: what, seq })
  switch (head['op']) {
    case 'hello':
      if (!isCount(head['version'])) return broken('"version" is not a whole number.')
      return { op: 'hello', seq, version: head['version'] }
    case 'publish': {
      const { session, deadlineMs, keys = [] } = head
      if (typeof session !== 'string') return broken('"session" is not a text.')
      if (!Number.isFinite(deadlineMs) || typeof deadlineMs !== 'number')
        return broken('"deadlineMs" is not a number.')
      if (!Array.isArray(keys) || !keys.every(isRecordKey))
        return broken('"keys" is not a list of {at, key, identity}.')
      return { op: 'publish', seq, session, deadlineMs, keys }
    }
    case 'replay': {
      const { topics, exact = false, since, last } = head
      if (topics !== null && !isTexts(topics)) return broken('"topics" is neither null nor a list of texts.')
      if (typeof exact !== 'boolean') return broken('"exact" is not true or false.')
      if (since !== undefined && typeof since !== 'string') return broken('"since" is not a text.')
      if (last !== undefined && !isCount(last)) return broken('"last" is not a whole number.')
      return {
        op: 'replay',
        seq,
        topics,
        exact,
        ...(since === undefined ? {} : { since }),
        ...(last === undefined ? {} : { last }),
      }
    }
    case 'position': {
      const { session, offset } = head
      if (typeof session !== 'string') return broken('"session" is not a text.')
      if (!isCount(offset)) return broken('"offset" is not a whole number.')
      return { op: 'position', seq, session, offset }
    }
    case 'pull': {
      const { session, open = [], flushed = [], returned = [], close = [] } = head
      if (typeof session !== 'string') return broken('"session" is not a text.')
      if (!isListOf(open, isPullOpening)) return broken('"open" is not a list of {pull, topic}.')
      if (!isListOf(flushed, isPullOffsets)) return broken('"flushed" is not a list of {pull, offsets}.')
      if (!isListOf(returned, isPullOffsets)) return broken('"returned" is not a list of {pull, offsets}.')
      if (!isListOf(close, isCount)) return broken('"close" is not a list of whole numbers.')
      return { op: 'pull', seq, session, open, flushed, returned, close }
    }
    case 'status':
      return { op: 'status', seq }
    default:
      return broken('"op" is not hello, publish, replay, position, pull or status.')
  }
}

/** Reads the first frame of a reply, or gives undefined for one that is none. */
export function decodeReply(frame: Uint8Array): Reply | undefined {
  const head = decodeObject(frame)
  return head && isReply(head) ? head : undefined
}

type Fields = Record<string, unknown>

function decodeObject(frame: Uint8Array): Fields | undefined {
  try {
    const value: unknown = JSON.parse(decoder.decode(frame))
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string')
}

function isListOf<Item>(value: unknown, isItem: (item: unknown) => item is Item): value is Item[] {
  return Array.isArray(value) && value.every(isItem)
}

function isPullOpening(value: unknown): value is PullSteps['open'][number] {
  return isObject(value) && isCount(value['pull']) && typeof value['topic'] === 'string'
}

function isPullOffsets(value: unknown): value is PullOffsets {
  return isObject(value) && isCount(value['pull']) && isListOf(value['offsets'], isCount)
}

function isRecordKey(value: unknown): value is RecordKey {
  return (
    isObject(value) &&
    isCount(value['at']) &&
    typeof value['key'] === 'string' &&
    typeof value['identity'] === 'string'
  )
}

function isErrorBody(value: unknown): value is ErrorBody {
  return isObject(value) && isCode(value['code']) && typeof value['message'] === 'string'
}

function isReceiptEntry(value: unknown): value is ReceiptEntry {
  return isObject(value) && (typeof value['id'] === 'string' || isErrorBody(value['error']))
}

function isReply(head: Fields): head is Fields & Reply {
  if (head['seq'] === null) return isUnasked(head)
  if (!isCount(head['seq'])) return false
  switch (head['op']) {
    case 'hello':
      return (
        isCount(head['version']) &&
        typeof head['session'] === 'string' &&
        typeof head['epoch'] === 'string' &&
        isCount(head['last']) &&
        Number.isFinite(head['clockMs']) &&
        isTexts(head['stream']) &&
        typeof head['defaultTopic'] === 'string' &&
        isCount(head['maxPayloadBytes'])
      )
    case 'receipts':
      return Array.isArray(head['receipts']) && head['receipts'].every(isReceiptEntry)
    case 'replay':
      return (
        typeof head['gap'] === 'boolean' &&
        typeof head['from'] === 'string' &&
        typeof head['through'] === 'string' &&
        typeof head['more'] === 'boolean'
      )
    case 'position':
      return typeof head['epoch'] === 'string' && isCount(head['last'])
    case 'pull':
      return isCount(head['pullers'])
    case 'status':
      return isObject(head['status'])
    case 'error':
      return isErrorBody(head['error'])
    default:
      return false
  }
}

/** What answers no request: messages for pullers, and an error for a request that could not be read. */
function isUnasked(head: Fields): boolean {
  if (head['op'] === 'hand') return isListOf(head['to'], isCount) && Number.isFinite(head['untilMs'])
  return head['op'] === 'error' && isErrorBody(head['error'])
}

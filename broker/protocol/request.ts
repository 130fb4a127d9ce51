import { type ErrorBody, isCode } from './codes.ts'

/** The version of the requests and batches. A broker refuses a hello with another one. */
export const protocolVersion = 1

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

export interface StatusRequest {
  readonly op: 'status'
  readonly seq: number
}

export type Request = HelloRequest | PublishRequest | ReplayRequest | PositionRequest | StatusRequest

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

export type Reply = HelloReply | ReceiptsReply | ReplayReply | PositionReply | StatusReply | ErrorReply

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
    case 'status':
      return { op: 'status', seq }
    default:
      return broken('"op" is not hello, publish, replay, position or status.')
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
  if (!isCount(head['seq']))
    return head['op'] === 'error' && head['seq'] === null && isErrorBody(head['error'])
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
    case 'status':
      return isObject(head['status'])
    case 'error':
      return isErrorBody(head['error'])
    default:
      return false
  }
}

import type { Access, Credential, Grant, Rights, TopicScope } from './access.ts'
import { type ErrorBody, isCode } from './codes.ts'
import type {
  PullOffsets,
  PullSteps,
  ReceiptEntry,
  ReceiveReply,
  ReceiverOffsets,
  ReceiveSteps,
  RecordKey,
  Reply,
  Request,
  TopicSummary,
} from './request.ts'

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
    case 'hello': {
      const { version, serverKey } = head
      if (!isCount(version)) return broken('"version" is not a whole number.')
      if (serverKey !== undefined && typeof serverKey !== 'string')
        return broken('"serverKey" is not a text.')
      return { op: 'hello', seq, version, ...(serverKey === undefined ? {} : { serverKey }) }
    }
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
      const { session, offset, subscribers, delivered } = head
      if (typeof session !== 'string') return broken('"session" is not a text.')
      if (!isCount(offset)) return broken('"offset" is not a whole number.')
      if (subscribers === undefined && delivered === undefined)
        return { op: 'position', seq, session, offset }
      if (!isCount(subscribers) || !isCount(delivered))
        return broken('"subscribers" and "delivered" are not whole numbers.')
      return { op: 'position', seq, session, offset, subscribers, delivered }
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
    case 'receive': {
      const { session, open = [], acknowledged = [], released = [], returned = [], close = [] } = head
      if (typeof session !== 'string') return broken('"session" is not a text.')
      if (!isListOf(open, isReceiverOpening))
        return broken('"open" is not a list of {receiver, topic, messages, bytes, stopped}.')
      if (!isListOf(acknowledged, isReceiverOffsets))
        return broken('"acknowledged" is not a list of {receiver, offsets}.')
      if (!isListOf(released, isRelease)) return broken('"released" is not a list of {topic, ids}.')
      if (!isListOf(returned, isReceiverOffsets))
        return broken('"returned" is not a list of {receiver, offsets}.')
      if (!isListOf(close, isCount)) return broken('"close" is not a list of whole numbers.')
      return { op: 'receive', seq, session, open, acknowledged, released, returned, close }
    }
    case 'authorize': {
      const { credential, address, login } = head
      if (!isCredential(credential))
        return broken(
          '"credential" is not {kind: "none"}, {kind: "password", name, password} or {kind: "token", token}.',
        )
      if (typeof address !== 'string') return broken('"address" is not a text.')
      if (login === undefined) return { op: 'authorize', seq, credential, address }
      if (login !== true || credential.kind !== 'password')
        return broken('"login" is not true, or there is no password.')
      return { op: 'authorize', seq, credential, address, login }
    }
    case 'status':
      return { op: 'status', seq }
    case 'topics': {
      const { after } = head
      if (after !== undefined && typeof after !== 'string') return broken('"after" is not a text.')
      return { op: 'topics', seq, ...(after === undefined ? {} : { after }) }
    }
    default:
      return broken(
        '"op" is not hello, publish, replay, position, pull, receive, authorize, status or topics.',
      )
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

function isReceiverOpening(value: unknown): value is ReceiveSteps['open'][number] {
  if (!isObject(value) || !isCount(value['receiver']) || typeof value['topic'] !== 'string') return false
  const { messages, bytes, stopped } = value
  if (stopped !== undefined && typeof stopped !== 'boolean') return false
  return [messages, bytes].every(bound => bound === undefined || isCount(bound))
}

function isReceiverOffsets(value: unknown): value is ReceiverOffsets {
  return isObject(value) && isCount(value['receiver']) && isListOf(value['offsets'], isCount)
}

function isRelease(value: unknown): value is ReceiveSteps['released'][number] {
  return isObject(value) && typeof value['topic'] === 'string' && isTexts(value['ids'])
}

function isRefusal(value: unknown): value is ReceiveReply['refused'][number] {
  return isObject(value) && isCount(value['receiver']) && isErrorBody(value['error'])
}

function isRecordKey(value: unknown): value is RecordKey {
  return (
    isObject(value) &&
    isCount(value['at']) &&
    typeof value['key'] === 'string' &&
    typeof value['identity'] === 'string'
  )
}

function isCredential(value: unknown): value is Credential {
  if (!isObject(value)) return false
  if (value['kind'] === 'password') return isTexts([value['name'], value['password']])
  return value['kind'] === 'token' ? typeof value['token'] === 'string' : value['kind'] === 'none'
}

function isAccess(value: unknown): value is Access {
  return isObject(value) && typeof value['isOpen'] === 'boolean' && typeof value['version'] === 'string'
}

function isTopicScope(value: unknown): value is TopicScope {
  return isObject(value) && isTexts(value['publish']) && isTexts(value['subscribe'])
}

function isGrant(value: unknown): value is Grant {
  return isObject(value) && isTopicScope(value) && typeof value['history'] === 'boolean'
}

function isRights(value: unknown): value is Rights {
  if (!isObject(value) || typeof value['identity'] !== 'string') return false
  const { isOpen, grants, scope, expiresMs } = value
  if (typeof isOpen !== 'boolean' || !isListOf(grants, isGrant)) return false
  return (
    (scope === undefined || isTopicScope(scope)) && (expiresMs === undefined || Number.isFinite(expiresMs))
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
        isCount(head['maxPayloadBytes']) &&
        isAccess(head['access'])
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
      return typeof head['epoch'] === 'string' && isCount(head['last']) && isAccess(head['access'])
    case 'authorize':
      return (
        isRights(head['rights']) &&
        isAccess(head['access']) &&
        (head['token'] === undefined || typeof head['token'] === 'string')
      )
    case 'pull':
      return isCount(head['pullers'])
    case 'receive':
      return isCount(head['receivers']) && isListOf(head['refused'], isRefusal) && isTexts(head['unknown'])
    case 'status':
      return isObject(head['status'])
    case 'topics':
      return isListOf(head['topics'], isTopicSummary) && typeof head['more'] === 'boolean'
    case 'error':
      return isErrorBody(head['error'])
    default:
      return false
  }
}

function isTopicSummary(value: unknown): value is TopicSummary {
  if (!isObject(value) || typeof value['topic'] !== 'string') return false
  const { messages, bytes, newestMs, keptMessages, keptBytes } = value
  return [messages, bytes, keptMessages, keptBytes].every(isCount) && (newestMs === null || isCount(newestMs))
}

/** What answers no request: messages for pullers, and an error for a request that could not be read. */
function isUnasked(head: Fields): boolean {
  if (head['op'] === 'hand') return isListOf(head['to'], isCount) && Number.isFinite(head['untilMs'])
  if (head['op'] === 'deliver') {
    const { to, deliveries, slow, done, untilMs } = head
    const areLists = isListOf(to, isCount) && isListOf(deliveries, isCount)
    if (!areLists || !isListOf(slow, isCount) || !isListOf(done, isCount)) return false
    return to.length === deliveries.length && Number.isFinite(untilMs)
  }
  return head['op'] === 'error' && isErrorBody(head['error'])
}

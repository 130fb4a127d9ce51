import { genericChannel, PosternError, parsePublicTopic, parseTopic } from '../protocol/index.ts'
import { memberText } from './json-member.ts'

/** What every document may carry. */
interface Named {
  /** The text of its `id`, which goes back with the answer; `null` where there is none to give back. */
  readonly id: string
  /** Its sender wants answers: results, receipts and errors, and acknowledges what it receives. */
  readonly wantsAnswers: boolean
}

/** What a client of the TCP door asks for. */
export type Command = Named &
  (
    | { readonly kind: 'login'; readonly name: string; readonly password: string }
    | { readonly kind: 'register'; readonly topic: string }
    | {
        readonly kind: 'message'
        readonly topic: string
        /** The JSON text of its data, as it came. */
        readonly payload: Uint8Array
        readonly key: string | undefined
      }
    /** A message was received: the text of its id. */
    | { readonly kind: 'ack'; readonly message: string }
    | { readonly kind: 'ping' | 'reload-user' }
  )

/** A document that asks for nothing that can be done. */
export interface Misunderstood extends Named {
  readonly kind: 'misunderstood'
  readonly error: PosternError
}

/** Only what is short goes back: an answer is not to be larger than what it answers. */
const maxIdBytes = 255

/** U+FEFF is a character here as any other. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

type Members = Readonly<Record<string, unknown>>

/**
 * Reads one document.
 *
 * @throws PosternError `INVALID_REQUEST` for what is no JSON: where one document ends and the next begins is not known
 * any more.
 */
export function parseCommand(document: Uint8Array): Command | Misunderstood {
  const members = membersOf(document)
  const named: Named = { id: idOf(document), wantsAnswers: members['ack'] === true }
  try {
    return { ...named, ...commandOf(members, document) }
  } catch (error) {
    if (!(error instanceof PosternError)) throw error
    return { ...named, kind: 'misunderstood', error }
  }
}

function commandOf(members: Members, document: Uint8Array) {
  const { command } = members
  switch (command) {
    case 'login':
      return { kind: command, ...credentialsOf(members['authorization']) }
    case 'register':
      // The messages that could not be delivered are received in their own topic of the system.
      return { kind: command, topic: channelOf(members['channel'], parseTopic) }
    case 'message': {
      const payload = memberText(document, 'data')
      if (!payload) throw new PosternError('INVALID_REQUEST', 'A message has "data".')
      const topic = channelOf(members['channel'], parsePublicTopic)
      return { kind: command, topic, payload, key: keyOf(members['key']) }
    }
    case 'ack': {
      const { id } = members
      if (typeof id !== 'string')
        throw new PosternError('INVALID_REQUEST', 'An "ack" has the "id" of a message.')
      return { kind: command, message: id }
    }
    case 'ping':
    case 'reload-user':
      return { kind: command }
    default:
      throw new PosternError('INVALID_REQUEST', 'The "command" is not known.')
  }
}

function membersOf(document: Uint8Array): Members {
  try {
    return { ...JSON.parse(decoder.decode(document)) }
  } catch {
    throw new PosternError('INVALID_REQUEST', 'A document is not JSON in UTF-8.')
  }
}

function idOf(document: Uint8Array): string {
  const text = memberText(document, 'id')
  const isBack = text && text.length <= maxIdBytes && !/^[[{]/.test(String.fromCharCode(text[0] ?? 0))
  return isBack ? decoder.decode(text) : 'null'
}

/** The exact topic: channels that PHP takes for equal, such as `10` and `1e1`, are two. */
function channelOf(channel: unknown, parse: (text: string) => string): string {
  if (channel === undefined || channel === null) return genericChannel
  if (typeof channel !== 'string') throw new PosternError('INVALID_TOPIC', 'A channel is a text.')
  return parse(channel)
}

function keyOf(key: unknown): string | undefined {
  if (key === undefined || typeof key === 'string') return key
  throw new PosternError('INVALID_KEY', 'A key is a text.')
}

function credentialsOf(authorization: unknown): { readonly name: string; readonly password: string } {
  const text = typeof authorization === 'string' ? Buffer.from(authorization, 'base64').toString() : ''
  const colon = text.indexOf(':')
  if (colon < 0) {
    throw new PosternError('INVALID_REQUEST', 'A login has as "authorization" the base64 of name:password.')
  }
  return { name: text.slice(0, colon), password: text.slice(colon + 1) }
}

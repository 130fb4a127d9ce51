import { PosternError } from './codes.ts'

/** Bytes of UTF-8 in the longest topic: its length is one byte on the wire. */
export const maxTopicBytes = 255

/** Topics that begin with this sign belong to the system. */
const systemSign = '$'

/** The topic by which readiness proves the whole path. Never kept in a history. */
export const probeTopic = '$probe'

/** A name space beside that of the public topics: what is published in one never shows in another. */
export type Space = 'bus' | 'push' | 'dead'

const prefixes: Readonly<Record<Space, string>> = { bus: '$bus/', push: '$push/', dead: '$dead/' }

// Control characters could end a line in a log, a header or an event stream.
// Lone surrogates have no UTF-8 form: two different texts would become the same bytes.
const forbidden = /[\p{Cc}\p{Cs}]/u
const utf8 = new TextEncoder()

/**
 * Checks a topic and gives its one canonical form: a path of segments, without a trailing slash.
 * Case, dots inside a segment, spaces and any other character are kept.
 *
 * @throws PosternError `INVALID_TOPIC`, saying which rule is broken.
 */
export function parseTopic(text: string): string {
  const topic = text.endsWith('/') ? text.slice(0, -1) : text
  const broken = brokenRule(topic)
  if (broken) throw new PosternError('INVALID_TOPIC', `A topic ${broken}.`)
  return topic
}

function brokenRule(topic: string): string | undefined {
  if (topic === '') return 'must not be empty'
  if (forbidden.test(topic)) return 'must not contain control characters or lone surrogates'
  for (const segment of topic.split('/')) {
    if (segment === '') return 'must not have an empty segment'
    if (segment === '.' || segment === '..') return 'must not have a segment "." or ".."'
  }
  if (isLonger(topic, maxTopicBytes)) return `must not be longer than ${maxTopicBytes} bytes of UTF-8`
  return undefined
}

/** Whether a text takes more bytes of UTF-8. One UTF-16 unit takes one to three: most texts need no encoding to tell. */
export function isLonger(text: string, bytes: number): boolean {
  if (3 * text.length <= bytes) return false
  return text.length > bytes || utf8.encode(text).length > bytes
}

/** Whether a topic belongs to the system, and so is closed to publishers and subscribers. */
export function isSystemTopic(topic: string): boolean {
  return topic.startsWith(systemSign)
}

/** Whether a topic is in a name space of its own. */
export function isInSpace(space: Space, topic: string): boolean {
  return topic.startsWith(prefixes[space])
}

/** The public topic behind a topic of a name space; undefined for one that is not in it. */
export function topicWithin(space: Space, topic: string): string | undefined {
  return isInSpace(space, topic) ? topic.slice(prefixes[space].length) : undefined
}

/** Whether functions publish on this topic of the system for themselves or for their peers. */
export function isServiceTopic(topic: string): boolean {
  return topic === probeTopic || isInSpace('bus', topic) || isInSpace('push', topic)
}

/**
 * The name under which a topic of a name space travels in the log: a topic of the system, which no history keeps.
 *
 * @param topic as {@link parsePublicTopic} gives it.
 * @throws PosternError `INVALID_TOPIC` when there is no room for the name space beside it.
 */
export function spaceTopic(space: Space, topic: string): string {
  const whole = prefixes[space] + topic
  if (isLonger(whole, maxTopicBytes)) {
    const most = maxTopicBytes - prefixes[space].length
    throw new PosternError('INVALID_TOPIC', `A topic here must not be longer than ${most} bytes of UTF-8.`)
  }
  return whole
}

/**
 * As {@link parseTopic}, for what comes from outside.
 *
 * @throws PosternError `INVALID_TOPIC`; `RESERVED_TOPIC` for a topic of the system.
 */
export function parsePublicTopic(text: string): string {
  const topic = parseTopic(text)
  if (isSystemTopic(topic)) throw new PosternError('RESERVED_TOPIC')
  return topic
}

/**
 * As {@link parsePublicTopic}, for what a receiver names: the messages that nobody could receive are on
 * `$dead/<topic>`.
 *
 * @throws PosternError `INVALID_TOPIC`, `RESERVED_TOPIC`
 */
export function parseReceivedTopic(text: string): string {
  const living = topicWithin('dead', text)
  return living === undefined ? parsePublicTopic(text) : spaceTopic('dead', parsePublicTopic(living))
}

/** What a connection listens to. */
export interface Selection {
  /** Canonical topics. A message that several of them cover is delivered once. */
  readonly topics: readonly string[]
  /** True leaves out what is below the topics. */
  readonly exact: boolean
}

/** The topic itself and every topic above it, the longest first: `a/b/c`, `a/b`, `a`. */
export function ancestry(topic: string): string[] {
  const line = [topic]
  for (let end = topic.lastIndexOf('/'); end > 0; end = topic.lastIndexOf('/', end - 1)) {
    line.push(topic.slice(0, end))
  }
  return line
}

/** Makes a test for whether a topic is in a selection. */
export function selector({ topics, exact }: Selection): (topic: string) => boolean {
  const chosen = new Set(topics)
  return exact ? topic => chosen.has(topic) : topic => ancestry(topic).some(above => chosen.has(above))
}

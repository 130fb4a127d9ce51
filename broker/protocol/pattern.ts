import { PosternError } from './codes.ts'
import { isSystemTopic, parsePublicTopic, parseReceivedTopic } from './topic.ts'

/** One segment of any kind, and at the end the topic itself with everything below it. */
const anySegment = '*'
const anything = '**'

/**
 * Checks a pattern: a topic in which `*` stands for one segment, and `**` as the last one for nothing or for any number
 * of them. `a/**` is `a` and everything below it, `**` every topic that is not one of the system.
 *
 * @throws PosternError `INVALID_TOPIC` that says what is wrong, or `RESERVED_TOPIC`.
 */
export function parsePattern(text: string): string {
  return checked(parsePublicTopic(text), text)
}

/**
 * As {@link parsePattern}, for rules of access: a pattern may also name graves, `$dead/…`.
 *
 * @throws PosternError as it does.
 */
export function parseAccessPattern(text: string): string {
  return checked(parseReceivedTopic(text), text)
}

function checked(pattern: string, text: string): string {
  if (pattern !== text) throw broken('must not end in a slash')
  const segments = pattern.split('/')
  for (const [i, segment] of segments.entries()) {
    if (segment === anySegment || !segment.includes(anySegment)) continue
    if (segment !== anything) throw broken('has "*" only as a whole segment')
    if (i < segments.length - 1) throw broken('has "**" only as its last segment')
  }
  return pattern
}

function broken(rule: string): PosternError {
  return new PosternError('INVALID_TOPIC', `A pattern ${rule}.`)
}

/** Whether a pattern names a topic. Both as they were parsed. */
export function patternFits(pattern: string, topic: string): boolean {
  return compare(pattern, topic) === 'fits'
}

/** Whether a pattern names a topic and everything that can ever be below it. */
export function patternCovers(pattern: string, topic: string): boolean {
  return isOpen(pattern) && patternFits(pattern, topic)
}

/** Whether a pattern names a topic, or anything that can ever be below it. */
export function patternMeets(pattern: string, topic: string): boolean {
  return compare(pattern, topic) !== 'apart'
}

function isOpen(pattern: string): boolean {
  return pattern === anything || pattern.endsWith(`/${anything}`)
}

/**
 * `below`: the pattern does not name the topic, but something below it. Walks through both without taking them apart: it
 * is done for each message that a client publishes, with each of its patterns.
 */
function compare(pattern: string, topic: string): 'fits' | 'below' | 'apart' {
  // A wildcard names no topic of the system, whose rules are their own.
  if (isSystemTopic(topic) && !isSystemTopic(pattern)) return 'apart'
  let at = 0
  let from = 0
  while (at < pattern.length) {
    if (pattern.startsWith(anything, at)) return 'fits'
    if (from > topic.length) return 'below'
    const end = segmentEnd(pattern, at)
    const to = segmentEnd(topic, from)
    if (pattern[at] !== anySegment && !isSame(pattern, at, end, topic, from, to)) return 'apart'
    at = end + 1
    from = to + 1
  }
  return from > topic.length ? 'fits' : 'apart'
}

function segmentEnd(path: string, from: number): number {
  const slash = path.indexOf('/', from)
  return slash < 0 ? path.length : slash
}

function isSame(one: string, at: number, end: number, other: string, from: number, to: number): boolean {
  if (end - at !== to - from) return false
  for (let i = 0; i < end - at; i++) if (one.charCodeAt(at + i) !== other.charCodeAt(from + i)) return false
  return true
}

import type { Backbone, Start } from '#client'
import { PosternError, parsePublicTopic, parseReceivedTopic, type Selection } from '#protocol'
import { decodePercent } from './percent.ts'
import type { Query } from './query.ts'

/**
 * The topic that a path names below a route, or undefined when it names none.
 *
 * @param pathname in its wire encoding: `%2F` is a slash of the topic like any other.
 * @param route without a trailing slash, as `/message`.
 * @throws PosternError `INVALID_TOPIC`, `RESERVED_TOPIC`
 */
export function topicOfPath(pathname: string, route: string): string | undefined {
  const rest = pathname.slice(route.length + 1)
  return rest === '' ? undefined : toTopic(decodePercent(rest))
}

/** The same for a topic that is received from: `$dead/<topic>` is one too. */
export function receivedTopicOfPath(pathname: string, route: string): string | undefined {
  const rest = pathname.slice(route.length + 1)
  return rest === '' ? undefined : toTopic(decodePercent(rest), parseReceivedTopic)
}

/**
 * The topics of a request: that of its path and every `?topic=`; undefined when it names none.
 *
 * @throws PosternError `INVALID_TOPIC`, `RESERVED_TOPIC`, `TOO_MANY_TOPICS`
 */
export function topicsOf(
  pathTopic: string | undefined,
  query: Query,
  { maxTopics }: { readonly maxTopics: number },
): readonly string[] | undefined {
  const named = query.values('topic').map(text => toTopic(text))
  const topics = new Set(pathTopic === undefined ? named : [pathTopic, ...named])
  if (topics.size > maxTopics)
    throw new PosternError('TOO_MANY_TOPICS', undefined, { limit: maxTopics, setting: 'POSTERN_MAX_TOPICS' })
  return topics.size === 0 ? undefined : [...topics]
}

function toTopic(text: string | undefined, parse = parsePublicTopic): string {
  if (text === undefined) throw new PosternError('INVALID_TOPIC', 'A topic must be percent-encoded UTF-8.')
  return parse(text)
}

/** The topic of requests that name none. @throws PosternError `BROKER_UNAVAILABLE` */
export async function defaultTopicOf(backbone: Backbone): Promise<string> {
  if (backbone.defaultTopic === undefined) await backbone.ready()
  if (backbone.defaultTopic === undefined) throw new PosternError('BROKER_UNAVAILABLE')
  return backbone.defaultTopic
}

/** @throws PosternError `BROKER_UNAVAILABLE` when no topic is named and the default one is not known. */
export async function selectionOf(
  topics: readonly string[] | undefined,
  exact: boolean,
  backbone: Backbone,
): Promise<Selection> {
  return { topics: topics ?? [await defaultTopicOf(backbone)], exact }
}

/**
 * Where a stream begins: an id beats `?history=`, and the header's id beats that of the query. An empty id is none.
 *
 * @throws PosternError `INVALID_REQUEST`
 */
export function startOf(lastEventId: string | null, query: Query): Start {
  const history = query.count('history')
  const since = lastEventId || query.text('lastEventId')
  if (since) return { since }
  return history === undefined ? {} : { history }
}

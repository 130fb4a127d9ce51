import {
  anonymous,
  PosternError,
  patternCovers,
  patternFits,
  patternMeets,
  type Rights,
  type Selection,
  type TopicScope,
} from '../protocol/index.ts'

/*
 * What a client may do. Each of these gives undefined when it may, or the error that refuses it: `FORBIDDEN`, and
 * `UNAUTHORIZED` for a client that has not logged in, which may be allowed to when it has.
 */

/** Whether a client may publish on a topic: the one that it names, without the name space of a push topic or a bus. */
export function mayPublish(rights: Rights, topic: string): PosternError | undefined {
  if (rights.isOpen) return undefined
  const isAllowed =
    rights.grants.some(({ publish }) => anyFits(publish, topic)) &&
    (!rights.scope || anyFits(rights.scope.publish, topic))
  return isAllowed ? undefined : refusal(rights, `publish on ${named(topic)}`)
}

/**
 * Whether a client may be subscribed to a selection. A topic with what is below it needs one pattern that covers all
 * of it.
 */
export function maySubscribe(rights: Rights, { topics, exact }: Selection): PosternError | undefined {
  if (rights.isOpen) return undefined
  const covers = exact ? anyFits : anyCovers
  const refused = topics.find(
    topic =>
      !rights.grants.some(({ subscribe }) => covers(subscribe, topic)) ||
      (rights.scope && !covers(rights.scope.subscribe, topic)),
  )
  return refused === undefined ? undefined : refusal(rights, `subscribe to ${named(refused, exact)}`)
}

/**
 * Whether a client may read the past of a selection: it may be subscribed to it, and the first rule that covers a topic
 * says `history`. A rule before that one which withholds the past of something below the topic withholds all of it.
 */
export function mayReadHistory(rights: Rights, selection: Selection): PosternError | undefined {
  if (rights.isOpen) return undefined
  const refused = maySubscribe(rights, selection)
  if (refused) return refused
  const { topics, exact } = selection
  const [covers, meets] = exact ? [anyFits, anyFits] : [anyCovers, anyMeets]
  for (const topic of topics) {
    for (const { subscribe, history } of rights.grants) {
      if (!history && meets(subscribe, topic))
        return refusal(rights, `read what was on ${named(topic, exact)} before`)
      if (covers(subscribe, topic)) break
    }
  }
  return undefined
}

/**
 * Whether a client may receive from a topic, and acknowledge what it has received: a durable one or its grave, or a push
 * topic, by the name without its name space.
 */
export function mayReceive(rights: Rights, topic: string): PosternError | undefined {
  if (!maySubscribe(rights, { topics: [topic], exact: true })) return undefined
  return refusal(rights, `receive from ${named(topic)}`)
}

type Test = (patterns: TopicScope['subscribe'], topic: string) => boolean

const anyFits: Test = (patterns, topic) => patterns.some(pattern => patternFits(pattern, topic))
const anyCovers: Test = (patterns, topic) => patterns.some(pattern => patternCovers(pattern, topic))
const anyMeets: Test = (patterns, topic) => patterns.some(pattern => patternMeets(pattern, topic))

function named(topic: string, exact = true): string {
  return exact ? `"${topic}"` : `"${topic}" and what is below it`
}

function refusal({ identity }: Rights, action: string): PosternError {
  return identity === anonymous
    ? new PosternError('UNAUTHORIZED', `Log in first: ${identity} may not ${action}.`)
    : new PosternError('FORBIDDEN', `${identity} may not ${action}.`)
}

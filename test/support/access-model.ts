import type { TopicScope } from '#protocol'
import type { AccessRule } from '../../broker/auth/rules.ts'

/** Somebody whom rules are about. */
export interface Actor {
  readonly identity: string
  /** What may stand in the `who` of a rule that is for this one. */
  readonly labels: readonly string[]
  /** What its token says that it is for. */
  readonly scope?: TopicScope
}

export type Verb = 'publish' | 'subscribe' | 'past' | 'receive'

/** What is asked for. */
export interface Wish {
  readonly verb: Verb
  readonly topic: string
  /** Without what is below the topic. */
  readonly isExact: boolean
}

/** What there could be below a topic. */
const below = ['', '/sport', '/x', '/x/y']

/**
 * The rules of access in another form: patterns as regular expressions, and what is below a topic as some topics that
 * there could be.
 */
export function isAllowed(actor: Actor, rules: readonly AccessRule[], wish: Wish): boolean {
  const own = rules.filter(({ who }) => who.some(one => actor.labels.includes(one)))
  const topics = wish.isExact ? [wish.topic] : below.map(rest => wish.topic + rest)
  const all = (patterns: readonly string[]) => patterns.some(pattern => topics.every(meant(pattern)))
  const verb = wish.verb === 'publish' ? 'publish' : 'subscribe'
  if (actor.scope && !all(actor.scope[verb])) return false
  if (!own.some(rule => all(rule[verb]))) return false
  if (wish.verb !== 'past') return true
  return topics.every(topic => own.find(({ subscribe }) => subscribe.some(p => meant(p)(topic)))?.history)
}

function meant(pattern: string): (topic: string) => boolean {
  const body = pattern
    .replace(/\$/g, '\\$')
    .replace(/(^|\/)\*\*$/, (_, slash: string) => (slash === '' ? '[^$].*' : '(/.*)?'))
    .replace(/(^|\/)\*(?=\/|$)/g, '$1[^/$][^/]*')
  const form = new RegExp(`^${body}$`)
  return topic => form.test(topic)
}

/** The whole refusal of a wish, as its door tells it. */
export function refusalText({ identity }: Actor, { verb, topic, isExact }: Wish): string {
  const named = isExact ? `"${topic}"` : `"${topic}" and what is below it`
  const action = {
    publish: `publish on "${topic}"`,
    subscribe: `subscribe to ${named}`,
    past: `read what was on ${named} before`,
    receive: `receive from "${topic}"`,
  }[verb]
  return identity === 'anonymous'
    ? `401 UNAUTHORIZED Log in first: ${identity} may not ${action}.`
    : `403 FORBIDDEN ${identity} may not ${action}.`
}

/** A rule in which one thing is otherwise. */
export interface Mutation {
  readonly name: string
  readonly rules: readonly AccessRule[]
}

/** Each rule without itself, without each of its patterns, with its past turned, and for another one. */
export function mutationsOf(rules: readonly AccessRule[], others: readonly string[]): Mutation[] {
  return rules.flatMap((rule, i) => {
    const put = (...instead: readonly AccessRule[]) => rules.toSpliced(i, 1, ...instead)
    const without = (verb: 'publish' | 'subscribe') =>
      rule[verb].map((pattern, at) => ({
        name: `rule ${i} does not ${verb} ${pattern}`,
        rules: put({ ...rule, [verb]: rule[verb].toSpliced(at, 1) }),
      }))
    return [
      { name: `rule ${i} is not there`, rules: put() },
      { name: `rule ${i} has history ${!rule.history}`, rules: put({ ...rule, history: !rule.history }) },
      { name: `rule ${i} is for ${others[i]}`, rules: put({ ...rule, who: [others[i] ?? ''] }) },
      ...without('publish'),
      ...without('subscribe'),
    ]
  })
}

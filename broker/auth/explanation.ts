import {
  type PosternError,
  patternCovers,
  patternFits,
  patternMeets,
  type Rights,
  type TopicScope,
} from '../protocol/index.ts'
import { type Identity, identityText } from './identity.ts'
import { mayPublish, mayReadHistory, mayReceive, maySubscribe } from './rights.ts'
import { type AccessRule, rightsOf } from './rules.ts'
import type { TokenBearer } from './tokens.ts'

/** What rules are asked for. Receiving includes acknowledging. */
export const wishActions = ['publish', 'subscribe', 'history', 'receive'] as const

/** What somebody wants to do. */
export interface Wish {
  readonly action: (typeof wishActions)[number]
  readonly topic: string
  /** Subscribing and reading the past without what is below the topic. */
  readonly exact: boolean
}

export interface Explanation {
  readonly lines: readonly string[]
  /** Why it is refused; undefined where it is allowed. */
  readonly refused: PosternError | undefined
}

const tests: Readonly<Record<Wish['action'], (rights: Rights, wish: Wish) => PosternError | undefined>> = {
  publish: (rights, { topic }) => mayPublish(rights, topic),
  subscribe: (rights, { topic, exact }) => maySubscribe(rights, { topics: [topic], exact }),
  history: (rights, { topic, exact }) => mayReadHistory(rights, { topics: [topic], exact }),
  receive: (rights, { topic }) => mayReceive(rights, topic),
}

/** Says for each rule, in their order, what it has to do with a wish, and what comes of it. */
export function explainWish(identity: Identity, rules: readonly AccessRule[], wish: Wish): Explanation {
  const rights = rightsOf(identity, rules)
  const refused = tests[wish.action](rights, wish)
  const lines =
    rules.length === 0
      ? ['There are no rules: everybody may do everything.']
      : [
          ...rules.map((rule, i) => `${ruleText(rule, i)}: ${effectOf(rule, identity, wish)}.`),
          ...scopeLine(rights, wish),
        ]
  return { lines: [...lines, refused ? `Refused: ${refused.message}` : 'Allowed.'], refused }
}

/** Who a token has been found to be of, and what it is for. */
export function describeBearer(bearer: TokenBearer, nowMs: number): string[] {
  const { roles, scope, expiresMs } = bearer
  return [
    `It is of ${identityText(bearer)}, ${roles.length > 0 ? `with the roles ${roles.join(', ')}` : 'without roles'}.`,
    ...(expiresMs === undefined
      ? []
      : [`It expires ${new Date(expiresMs).toISOString()}, in ${Math.floor((expiresMs - nowMs) / 1000)} s.`]),
    ...(scope ? [`It is for nothing beyond: ${scopeText(scope)}.`] : []),
  ]
}

function ruleText({ who }: AccessRule, i: number): string {
  return `access.${i} (${who.join(', ')})`
}

function effectOf(rule: AccessRule, identity: Identity, wish: Wish): string {
  const [own] = rightsOf(identity, [rule]).grants
  if (!own) return 'is not for this client'
  const names = namesWish(wish)
  const patterns = wish.action === 'publish' ? own.publish : own.subscribe
  const pattern = patterns.find(names)
  const within =
    wish.action === 'history' && !own.history && !wish.exact
      ? patterns.find(one => patternMeets(one, wish.topic))
      : undefined
  if (pattern === undefined && within !== undefined)
    return `withholds the past of some of what is below, by ${within}`
  const verb = wish.action === 'publish' ? 'publish' : 'subscribe'
  if (pattern === undefined) return `names nothing that fits: ${scopeText(own, verb)}`
  const withholds = wish.action === 'history' && !own.history
  return withholds ? `names it by ${pattern}, without its past` : `names it by ${pattern}`
}

function scopeLine({ scope }: Rights, wish: Wish): string[] {
  if (!scope) return []
  const verb = wish.action === 'publish' ? 'publish' : 'subscribe'
  const pattern = scope[verb].find(namesWish(wish))
  const effect =
    pattern === undefined ? `names nothing that fits: ${scopeText(scope, verb)}` : `names it by ${pattern}`
  return [`The token itself: ${effect}.`]
}

function namesWish({ action, topic, exact }: Wish): (pattern: string) => boolean {
  const isAlone = exact || action === 'publish' || action === 'receive'
  return pattern => (isAlone ? patternFits : patternCovers)(pattern, topic)
}

function scopeText(scope: TopicScope, ...verbs: readonly (keyof TopicScope)[]): string {
  const shown = verbs.length > 0 ? verbs : (['publish', 'subscribe'] as const)
  return shown.map(verb => `${verb} ${scope[verb].join(', ') || 'nothing'}`).join('; ')
}

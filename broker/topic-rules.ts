import { isSystemTopic, parsePublicTopic, topicWithin } from './protocol/index.ts'

/** What holds for the topics that a pattern names. */
export interface TopicRule {
  /** Each message is kept until a receiver has acknowledged it. */
  readonly durable: boolean
  /** So many receivers, in the order of their arrival, get messages. 0: all of them. */
  readonly receivers: number
  /** `all`: each counted receiver gets each message, and the first acknowledgement releases it. `one`: one does. */
  readonly delivery: 'all' | 'one'
  /** Messages and bytes of payloads that are kept before publishers are refused. */
  readonly maxKept: number
  readonly maxKeptBytes: number
  /** What is older is no longer kept. 0: it is. */
  readonly keptAgeS: number
  /** A message that came back so often goes to `$dead/<topic>`. 0: it is handed out again and again. */
  readonly maxDeliveries: number
  /** Its receivers speak the old protocol of the TCP door: messages that are too large for them are refused. */
  readonly legacy: boolean
}

/** A rule with the pattern that it stands under. */
export interface NamedRule extends TopicRule {
  readonly pattern: string
}

/** One segment of any kind, and at the end everything below. */
const anySegment = '*'
const anythingBelow = '**'

/**
 * Checks a pattern: a topic in which `*` stands for one segment, and `**` as the last one for one or more.
 *
 * @throws PosternError, or Error that says what is wrong.
 */
export function parsePattern(text: string): string {
  const pattern = parsePublicTopic(text)
  const segments = pattern.split('/')
  for (const [i, segment] of segments.entries()) {
    if (segment === anythingBelow && i < segments.length - 1)
      throw new Error('"**" may only be the last segment')
  }
  return pattern
}

/** Finds what holds for a topic: the first pattern that fits it. */
export class TopicRules {
  readonly #rules: readonly { readonly segments: readonly string[]; readonly rule: NamedRule }[]
  readonly #known = new Map<string, NamedRule | undefined>()

  constructor(rules: Readonly<Record<string, TopicRule>>) {
    this.#rules = Object.entries(rules).map(([pattern, rule]) => ({
      segments: pattern.split('/'),
      rule: { ...rule, pattern },
    }))
  }

  /** Whether any topic is durable. */
  get hasDurable(): boolean {
    return this.#rules.some(({ rule }) => rule.durable)
  }

  /** The rule of a topic. `$dead/x` has that of `x`, to one receiver each time and without an end to it. */
  of(topic: string): NamedRule | undefined {
    if (this.#rules.length === 0) return undefined
    if (this.#known.has(topic)) return this.#known.get(topic)
    const rule = this.#find(topic)
    // Topics are made up by publishers: what is remembered of them has a bound.
    if (this.#known.size >= maxKnown) this.#known.clear()
    this.#known.set(topic, rule)
    return rule
  }

  /** The rule of a durable topic. */
  durable(topic: string): NamedRule | undefined {
    const rule = this.of(topic)
    return rule?.durable ? rule : undefined
  }

  #find(topic: string): NamedRule | undefined {
    const living = topicWithin('dead', topic)
    if (living !== undefined) {
      const rule = this.#find(living)
      return rule && { ...rule, delivery: 'one', receivers: 0, maxDeliveries: 0 }
    }
    if (isSystemTopic(topic)) return undefined
    const segments = topic.split('/')
    return this.#rules.find(({ segments: pattern }) => fits(pattern, segments))?.rule
  }
}

const maxKnown = 1000

function fits(pattern: readonly string[], segments: readonly string[]): boolean {
  const isOpen = pattern.at(-1) === anythingBelow
  if (isOpen ? segments.length < pattern.length : segments.length !== pattern.length) return false
  return pattern.every((part, i) => part === anySegment || part === anythingBelow || part === segments[i])
}

import { isSystemTopic, patternFits, topicWithin } from './protocol/index.ts'

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

/** Finds what holds for a topic: the first pattern that fits it. */
export class TopicRules {
  readonly #rules: readonly NamedRule[]
  readonly #known = new Map<string, NamedRule | undefined>()

  constructor(rules: Readonly<Record<string, TopicRule>>) {
    this.#rules = Object.entries(rules).map(([pattern, rule]) => ({ ...rule, pattern }))
  }

  /** Whether any topic is durable. */
  get hasDurable(): boolean {
    return this.#rules.some(rule => rule.durable)
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
    return this.#rules.find(({ pattern }) => patternFits(pattern, topic))
  }
}

const maxKnown = 1000

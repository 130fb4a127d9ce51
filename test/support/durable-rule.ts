import type { TopicRule } from '../../broker/topic-rules.ts'

/** A durable topic with bounds that no test reaches. */
export const durableRule: TopicRule = {
  durable: true,
  receivers: 0,
  delivery: 'one',
  maxKept: 1_000_000,
  maxKeptBytes: 2 ** 30,
  keptAgeS: 0,
  maxDeliveries: 0,
  legacy: false,
}

import * as v from 'valibot'
import { parsePattern } from './protocol/index.ts'
import { gibibyte, patternForm, settings, whatIsWrong, whole } from './setting.ts'

const topicSchema = settings({
  /** Keeps each message on disk until a receiver has acknowledged it. */
  durable: v.optional(v.boolean('allowed is true or false'), false),
  /** So many receivers, in the order of their arrival, get messages. 0: all of them. */
  receivers: v.optional(whole(0, 1_000_000), 0),
  /** Whether each of them gets each message, or one of them. */
  delivery: v.optional(v.picklist(['all', 'one'], 'allowed is "all" or "one"'), 'all'),
  /** Messages kept before publishers are refused. */
  maxKept: v.optional(whole(1, 1_000_000_000), 1_000_000),
  /** Bytes of payloads kept before publishers are refused. */
  maxKeptBytes: v.optional(whole(1, 1024 * gibibyte), gibibyte),
  /** What is older goes. 0: nothing goes by its age. */
  keptAgeS: v.optional(whole(0, 315_360_000), 0),
  /** A message that came back so often goes to `$dead/<topic>`. 0: never. */
  maxDeliveries: v.optional(whole(0, 1_000_000), 0),
  /** Refuses messages that the clients of PHPMessageBroker cannot take. */
  legacy: v.optional(v.boolean('allowed is true or false'), false),
})

/** Topics by a pattern; the first that fits holds. */
export const topicsSchema = v.pipe(
  v.record(v.string(), topicSchema, 'allowed is an object of topics'),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    for (const pattern of Object.keys(dataset.value)) {
      const wrong = whatIsWrong(() => parsePattern(pattern))
      if (wrong === undefined) continue
      addIssue({
        message: `the pattern is not ${patternForm}: ${wrong}`,
        path: [{ type: 'object', origin: 'key', input: dataset.value, key: pattern, value: pattern }],
      })
    }
  }),
)

import type { Start } from '../client/backbone.ts'
import { Relay } from '../client/relay.ts'
import { formatId, type Message, parseId, type Selection } from '../protocol/index.ts'
import { brokerArgument, findBroker, findKeys } from './broker-address.ts'
import { defineCommand, WrongUse } from './command.ts'
import { Refusal, reached } from './connection.ts'
import { messageJson, messageLine } from './message-line.ts'
import { topicOf, wholeOf } from './words.ts'

export const command = defineCommand({
  name: 'subscribe',
  description: 'Prints each message of some topics and of those below them, one line a message, until Ctrl-C',
  args: {
    topic: { type: 'positional', required: true, description: 'As a/b/c. There may be several.' },
    since: {
      type: 'string',
      valueHint: 'id',
      description: 'First everything after this id that is still there',
    },
    history: { type: 'string', valueHint: 'N', description: 'First the newest so many' },
    count: { type: 'string', valueHint: 'N', description: 'Ends after so many' },
    exact: { type: 'boolean', description: 'Leaves out the topics below' },
    json: { type: 'boolean', description: 'One line of JSON for each message' },
    ...brokerArgument,
  },
  isVariadic: true,
  notes: `Each line has the id, the topic, the type in brackets where there is one, and the payload: a binary one in base64,
control characters as \\n or \\u001b. What is missing is told on standard error, and so is a broker that is away: when it is
back, the lines go on where they ended.`,
  examples: ['broker subscribe news weather', 'broker subscribe news --since 64f0708847f8-1 --json'],
  async run({ _: words, since, history, count, exact, json, broker }) {
    const topics = words.map(topicOf)
    if (since !== undefined && !parseId(since))
      throw new WrongUse(`--since is ${JSON.stringify(since)}: allowed is the id of a message.`)
    const wanted = wholeOf('--history', history, 0, Number.MAX_SAFE_INTEGER)
    const until = wholeOf('--count', count, 1, Number.MAX_SAFE_INTEGER)
    const address = findBroker(broker, process.env)
    const refusal = new Refusal()
    const curve = findKeys(process.env)
    let isReached = false
    let wasAway = false
    const relay = new Relay({
      broker: address,
      ...(curve && { curve }),
      onRefused: refusal.onRefused,
      onState(state) {
        if (!isReached) return
        if (state === 'away') tell(`no broker answers at ${address}`)
        else if (wasAway) tell('the broker is back')
        wasAway = state === 'away'
      },
    })
    try {
      await reached(relay, address, refusal)
      isReached = true
      const start = since === undefined ? { history: wanted ?? 0 } : { since }
      const lineOf = json ? messageJson : messageLine
      await follow(relay, { topics, exact: exact ?? false }, start, lineOf, until)
    } finally {
      await relay.close()
    }
  },
})

/** Prints messages until there were so many, or until a signal. */
function follow(
  relay: Relay,
  selection: Selection,
  start: Start,
  lineOf: (message: Message) => string,
  until = Number.POSITIVE_INFINITY,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = until
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
    relay.subscribe(selection, start, {
      start: position => tell(`subscribed, after ${formatId(position)}`),
      gap: position => tell(`messages before ${formatId(position)} are missing`),
      deliver(messages) {
        // A line that cannot be taken at once is waited for: a pipe or a terminal is written to synchronously.
        for (const message of messages.slice(0, left)) process.stdout.write(lineOf(message))
        left = Math.max(0, left - messages.length)
        if (left === 0) resolve()
        return true
      },
      end: reason => reject(new Error(`The subscription has ended: ${reason}.`)),
    })
  })
}

function tell(line: string): void {
  process.stderr.write(`broker: ${line}\n`)
}

import type { History } from './message.ts'
import { isObject, readHistory, readJson, readMessage } from './message.ts'
import { topicPath } from './room.ts'
import { type HubEffects, type StreamEvents, TopicRefused } from './stream-hub.ts'

const historyWithinMs = 10_000
/** Refusals that say "not now". */
const passing = new Set([408, 425, 429])

/** The hub's effects in a browser, in a page as in a worker. */
export function browserEffects(): HubEffects {
  return {
    history: topic => fetchHistory(topic),
    check: async topic => void (await fetchHistory(topic, '&history=0')),
    open: openStream,
    after(ms, action) {
      const timer = setTimeout(action, ms)
      return () => clearTimeout(timer)
    },
    now: Date.now,
    random: Math.random,
  }
}

async function fetchHistory(topic: string, query = ''): Promise<History> {
  const response = await fetch(`/history/${topicPath(topic)}?exact=1${query}`, {
    cache: 'no-store',
    signal: AbortSignal.timeout(historyWithinMs),
  })
  const answer = readJson(await response.text())
  if (response.ok) {
    const history = readHistory(answer)
    if (history) return history
  } else if (response.status >= 400 && response.status < 500 && !passing.has(response.status)) {
    const error = isObject(answer) && isObject(answer['error']) ? answer['error'] : {}
    const reason = String(error['message'] ?? `The server answered ${response.status}.`)
    throw new TopicRefused(reason, response.status === 401)
  }
  throw new Error(`The history was answered with ${response.status}.`)
}

function openStream(topics: readonly string[], since: string, events: StreamEvents): { close(): void } {
  const query = new URLSearchParams(topics.map(topic => ['topic', topic]))
  query.set('exact', '1')
  query.set('envelope', '1')
  query.set('lastEventId', since)
  const source = new EventSource(`/event?${query}`)
  source.addEventListener('open', () => events.opened())
  source.addEventListener('message', event => {
    const message = readMessage(readJson(String(event.data)))
    if (message) events.message(message)
    events.reached(event.lastEventId)
  })
  source.addEventListener('gap', event => {
    events.gap()
    events.reached(event.lastEventId)
  })
  // The browser would come back by itself, but nobody could tell the reader when, and not after every error.
  source.addEventListener('error', () => {
    source.close()
    events.failed()
  })
  return { close: () => source.close() }
}

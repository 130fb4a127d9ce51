import { isObject, payloadOf, readJson } from './message.ts'
import type { Draft, Outcome } from './outbox.ts'
import { topicPath } from './room.ts'

/** After this long without an answer an attempt has failed. The server itself gives up earlier. */
const answerWithinMs = 20_000

/** Sends a message once. Never rejects: what goes wrong is the outcome. */
export async function publish(topic: string, draft: Draft): Promise<Outcome> {
  try {
    const response = await fetch(`/message/${topicPath(topic)}?type=msg`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': draft.key },
      body: payloadOf(draft),
      signal: AbortSignal.timeout(answerWithinMs),
    })
    return readOutcome(response.status, await response.text())
  } catch {
    return { kind: 'failed', failure: { kind: 'unreachable' } }
  }
}

/** What an answer of the message route means for the message. */
export function readOutcome(status: number, body: string): Outcome {
  const answer = readJson(body)
  if (status === 201 && isObject(answer) && typeof answer['id'] === 'string')
    return { kind: 'published', id: answer['id'] }
  const error = isObject(answer) && isObject(answer['error']) ? answer['error'] : undefined
  // Only the server's own word is proof: a proxy's 503 may follow on a message that was published.
  if (typeof error?.['code'] !== 'string') return { kind: 'failed', failure: { kind: 'unreachable' } }
  if (status === 503 || status === 507) return { kind: 'failed', failure: { kind: 'unavailable' } }
  if (status === 401) return { kind: 'failed', failure: { kind: 'login' } }
  if (status === 413) return { kind: 'failed', failure: { kind: 'refused', reason: tooLong(error['limit']) } }
  if (status >= 400 && status < 500)
    return { kind: 'failed', failure: { kind: 'refused', reason: String(error['message'] ?? error['code']) } }
  return { kind: 'failed', failure: { kind: 'unknown' } }
}

function tooLong(limit: unknown): string {
  return typeof limit === 'number'
    ? `it is too long. At most ${limit.toLocaleString('en')} bytes can be sent at once.`
    : 'it is too long.'
}

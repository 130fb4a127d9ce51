import type { Draft, Failure } from './outbox.ts'

/**
 * How long after the first attempt a repeat is certainly recognised: a minute less than servers remember a key
 * unless they are told otherwise.
 */
export const repeatSafeMs = 9 * 60_000

/** Says to its writer why a message is not sent, and what another attempt would mean. */
export function explainFailure(draft: Draft, failure: Failure, nowMs: number): string {
  const reason = reasonOf(failure)
  if (draft.doubtSinceMs === undefined) return `${reason} It is kept here.`
  if (nowMs - draft.doubtSinceMs < repeatSafeMs)
    return `${reason} It may have arrived all the same; retrying is safe, it cannot appear twice.`
  return `${reason} It may have arrived all the same, long ago: look for it above, because a retry could now make it appear twice.`
}

function reasonOf(failure: Failure): string {
  switch (failure.kind) {
    case 'unavailable':
      return 'Not sent: the server cannot pass messages on just now.'
    case 'unknown':
      return 'Not confirmed: the server did not hear back in time.'
    case 'unreachable':
      return 'Not confirmed: the server could not be reached.'
    case 'login':
      return 'Not sent: log in first.'
    case 'refused':
      return `Not sent: ${failure.reason}`
    case 'held':
      return 'Not sent: it waits for the message before it.'
    case 'left':
      return 'Not sent when this page was last open.'
  }
}

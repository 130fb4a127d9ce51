import { describe, expect, it } from 'vitest'
import { readOutcome } from '../../site/publish.ts'
import { explainFailure, repeatSafeMs } from '../../site/reasons.ts'

const error = (code: string, more = {}) => JSON.stringify({ error: { code, message: 'No.', ...more } })

describe('the answer to a message', () => {
  it('is a receipt with its id', () => {
    expect(readOutcome(201, '{"id":"e-1","topic":"chat"}')).toEqual({ kind: 'published', id: 'e-1' })
  })

  it.each([
    ['certainly not published', 503, error('BROKER_UNAVAILABLE'), 'unavailable'],
    ['certainly not published', 507, error('JOURNAL_FAILED'), 'unavailable'],
    ['perhaps published', 504, error('RECEIPT_UNKNOWN'), 'unknown'],
    ['perhaps published', 500, error('INTERNAL'), 'unknown'],
    ['perhaps published, when only a proxy says so', 503, '<h1>Service Unavailable</h1>', 'unreachable'],
    ['perhaps published, when it makes no sense', 201, '{}', 'unreachable'],
    ['refused', 400, error('INVALID_TOPIC'), 'refused'],
    ['refused', 409, error('KEY_CONFLICT'), 'refused'],
  ])('says that the message is %s', (_, status, body, kind) => {
    expect(readOutcome(status, body)).toMatchObject({ kind: 'failed', failure: { kind } })
  })

  it('says how long a message may be', () => {
    const body = error('PAYLOAD_TOO_LARGE', { limit: 262_144, setting: 'POSTERN_MAX_PAYLOAD_BYTES' })
    expect(readOutcome(413, body)).toEqual({
      kind: 'failed',
      failure: { kind: 'refused', reason: 'it is too long. At most 262,144 bytes can be sent at once.' },
    })
  })
})

describe('what a writer is told of an unsent message', () => {
  const draft = { key: 'k', from: 'amy', text: 'hi', createdMs: 0 }

  it('promises that a retry is safe as long as the server knows the first attempt', () => {
    const doubtful = { ...draft, doubtSinceMs: 1_000 }
    expect(explainFailure(doubtful, { kind: 'unknown' }, repeatSafeMs)).toContain('it cannot appear twice')
    expect(explainFailure(doubtful, { kind: 'unknown' }, 1_000 + repeatSafeMs)).toContain('appear twice')
    expect(explainFailure(doubtful, { kind: 'left' }, 1_000 + repeatSafeMs)).toContain('look for it above')
  })

  it('speaks of no doubt where there is none', () => {
    expect(explainFailure(draft, { kind: 'unavailable' }, 0)).not.toContain('may have arrived')
  })
})

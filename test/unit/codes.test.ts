import { describe, expect, it } from 'vitest'
import { codes, isCode, PosternError } from '#protocol'

describe('PosternError', () => {
  it('says what its code means, and names the bound that was hit', () => {
    const error = new PosternError('PAYLOAD_TOO_LARGE', undefined, { limit: 10, setting: 'maxPayloadBytes' })
    expect(error.message).toBe('The payload is too large. The limit is 10 (maxPayloadBytes).')
    expect(error.status).toBe(413)
    expect(error.toBody()).toEqual({
      code: 'PAYLOAD_TOO_LARGE',
      message: error.message,
      limit: 10,
      setting: 'maxPayloadBytes',
    })
  })

  it('arrives in another process as it was', () => {
    for (const error of [
      new PosternError('INVALID_TOPIC', 'A topic must not be empty.'),
      new PosternError('BACKLOG_FULL', undefined, { limit: 1, setting: 'maxWithheldBytes' }),
    ]) {
      const told = PosternError.fromBody(JSON.parse(JSON.stringify(error.toBody())))
      expect(told).toEqual(error)
      expect(told.bound).toEqual(error.bound)
    }
  })
})

describe('the codes', () => {
  it('that are temporary are those of the server, and of a client that was too slow or too fast', () => {
    for (const [code, { status, temporary }] of Object.entries(codes))
      expect([code, status >= 500 || status === 408 || status === 429]).toEqual([code, temporary])
  })

  it('do not include what every object has', () => {
    expect(isCode('INTERNAL')).toBe(true)
    for (const text of ['toString', '__proto__', 'constructor', '', 1, null, undefined])
      expect(isCode(text)).toBe(false)
  })
})

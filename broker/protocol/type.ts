import { PosternError } from './codes.ts'
import { isLonger } from './topic.ts'

/** Bytes of UTF-8 in the longest type: its length is one byte on the wire. */
export const maxTypeBytes = 255

/** The name of the event that tells a subscriber that messages are missing. */
export const gapType = 'gap'

// CR, LF and NUL would break an event's framing; `;` sets off what a listener adds (`;base64`).
const forbidden = /[\p{Cc}\p{Cs};]/u

/**
 * Checks the type of a message: the name of its event on an event stream. Empty means none.
 *
 * @throws PosternError `INVALID_TYPE`, saying which rule is broken.
 */
export function parseType(text: string): string {
  if (text === '') return text
  if (forbidden.test(text))
    throw new PosternError('INVALID_TYPE', 'A type must not contain ";" or control characters.')
  if (text === gapType)
    throw new PosternError('INVALID_TYPE', `The type "${gapType}" is what subscribers are told of gaps with.`)
  if (isLonger(text, maxTypeBytes))
    throw new PosternError('INVALID_TYPE', `A type must not be longer than ${maxTypeBytes} bytes of UTF-8.`)
  return text
}

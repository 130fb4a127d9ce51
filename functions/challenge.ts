import type { PosternError } from '#protocol'

const realm = 'realm="postern"'

/** What stands in quotes in a header (RFC 6750, section 3): no quote and no backslash. */
const outside = /[^\x20\x21\x23-\x5b\x5d-\x7e]/g

/**
 * The ways to log in, and what is wrong with the one that was tried, for `WWW-Authenticate` (RFC 6750, RFC 7617).
 *
 * @param isScript a page's own request: a browser would ask its user for a password in a window that the page knows nothing
 * of, so that `Basic` is not offered to it.
 * @param hasCredential whether one was shown: a request without one is told nothing but the ways (RFC 6750, section 3.1).
 */
export function challengeOf({ message }: PosternError, hasCredential: boolean, isScript: boolean): string {
  const wrong = `, error="invalid_token", error_description="${message.replaceAll(outside, ' ')}"`
  const bearer = `Bearer ${realm}${hasCredential ? wrong : ''}`
  return isScript ? bearer : `${bearer}, Basic ${realm}, charset="UTF-8"`
}

import { type Credential, PosternError } from '#protocol'

/** Where a browser keeps its token for what sends no header of its own: an `EventSource`, a WebSocket. */
export const tokenCookie = 'postern_token'

const none: Credential = { kind: 'none' }

interface Headers {
  get(name: string): string | null
}

/**
 * How a request shows who it comes from: by `Authorization`, `Basic` (RFC 7617) or `Bearer` (RFC 6750), or else by the
 * cookie. Never by its address, which ends up in logs.
 *
 * @throws PosternError `UNAUTHORIZED` for a header that is neither: whoever sends it means to be somebody.
 */
export function credentialOf(headers: Headers): Credential {
  const header = headers.get('authorization')
  if (header !== null) return fromHeader(header)
  const token = tokenOf(headers)
  return token === undefined ? none : { kind: 'token', token }
}

/** Whether a request means to come from somebody, rightly or not. */
export function showsCredential(headers: Headers): boolean {
  return headers.get('authorization') !== null || tokenOf(headers) !== undefined
}

function tokenOf(headers: Headers): string | undefined {
  return cookieOf(headers.get('cookie') ?? '', tokenCookie) || undefined
}

function fromHeader(header: string): Credential {
  const [, scheme = '', value = ''] = /^([A-Za-z]+) +(\S+) *$/.exec(header) ?? []
  if (scheme.toLowerCase() === 'bearer') return { kind: 'token', token: value }
  const pair = scheme.toLowerCase() === 'basic' ? decodeBasic(value) : undefined
  if (!pair)
    throw new PosternError('UNAUTHORIZED', 'The Authorization header is neither "Bearer …" nor "Basic …".')
  return pair
}

/** The name ends at the first colon (RFC 7617, section 2). */
function decodeBasic(value: string): Credential | undefined {
  const text = Buffer.from(value, 'base64').toString()
  const colon = text.indexOf(':')
  if (colon === -1) return undefined
  return { kind: 'password', name: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** The first cookie of a name, as it was set (RFC 6265, section 5.4). */
function cookieOf(header: string, name: string): string | undefined {
  for (const part of header.split(';')) {
    const [key, ...value] = part.split('=')
    if (key?.trim() === name) return value.join('=').trim()
  }
  return undefined
}

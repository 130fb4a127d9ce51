import type { IncomingMessage } from 'node:http'
import type { HTTPResponse } from 'h3'
import { PosternError } from '#protocol'
import { maxHandshakeBodyBytes } from './handshake-body.ts'
import { answerError, answerJson } from './routes.ts'

/** The version of the protocol (RFC 6455, section 4.1). */
const version = '13'

/** RFC 6455, section 1.3. */
const keySuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Whether a request asks for a WebSocket, rightly or not. */
export function isHandshake(upgrade: string | null | undefined): boolean {
  return hasToken(upgrade, 'websocket')
}

/**
 * Where a handshake asks to go; undefined when it is no request of HTTP/1.1 (RFC 6455, section 4.2.1). A target that is
 * a whole address takes the place of the Host header (RFC 9112, section 3.2.2).
 */
export function addressOf({ httpVersion, headers, url = '' }: IncomingMessage): string | undefined {
  if (httpVersion !== '1.1' || !headers.host || url.includes('#')) return undefined
  const isWhole = /^https?:\/\//i.test(url)
  const address = isWhole ? url : `http://${headers.host}${url}`
  if (!(isWhole || url.startsWith('/')) || !URL.canParse(address)) return undefined
  if (isWhole) headers.host = new URL(address).host
  return address
}

/** The answer to a handshake in which something is wrong (RFC 6455, section 4.2.1), or undefined when nothing is. */
export function refusalOf({
  method,
  headers,
}: Pick<Request, 'method' | 'headers'>): HTTPResponse | undefined {
  if (method !== 'GET') return answerError(new PosternError('METHOD_NOT_ALLOWED'), { allow: 'GET' })
  if (
    headers.get('transfer-encoding') !== null ||
    Number(headers.get('content-length')) > maxHandshakeBodyBytes
  )
    return answerError(wrong(`a body must have a Content-Length of ${maxHandshakeBodyBytes} at most`))
  if (headers.get('sec-websocket-version') !== version)
    return answerJson({ error: wrong('Sec-WebSocket-Version must be 13').toBody() }, 426, {
      'sec-websocket-version': version,
      upgrade: 'websocket',
    })
  if (!hasToken(headers.get('connection'), 'upgrade')) return answerError(wrong('Connection must be Upgrade'))
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers.get('sec-websocket-key') ?? ''))
    return answerError(wrong('Sec-WebSocket-Key must be 16 bytes in base64'))
  return undefined
}

/** Whether a client offers a subprotocol (RFC 6455, section 1.9). */
export function offers(headers: Headers, protocol: string): boolean {
  return (headers.get('sec-websocket-protocol') ?? '').split(',').some(offered => offered.trim() === protocol)
}

/** The head that opens the connection (RFC 6455, section 4.2.2). Extensions are never agreed to. */
export function acceptance(key: string, protocol: string | undefined): string {
  // Not imported: it takes 3 MB, which a process without WebSockets never needs.
  const accept = process
    .getBuiltinModule('node:crypto')
    .createHash('sha1')
    .update(key + keySuffix)
    .digest('base64')
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${accept}`,
  ]
  if (protocol !== undefined) lines.push(`Sec-WebSocket-Protocol: ${protocol}`)
  return `${lines.join('\r\n')}\r\n\r\n`
}

function hasToken(header: string | null | undefined, token: string): boolean {
  return (header ?? '').split(',').some(part => part.trim().toLowerCase() === token)
}

function wrong(rule: string): PosternError {
  return new PosternError('INVALID_REQUEST', `This is no handshake of a WebSocket: ${rule}.`)
}

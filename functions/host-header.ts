import type { RequestListener } from 'node:http'
import { PosternError } from '#protocol'

/**
 * Answers 400 to a request whose Host is none (RFC 9112, section 3.2), and hands on every other.
 *
 * Threat: what makes an address of a request throws for a Host such as `a.1`, where nobody catches it: one request would
 * end the process, with everybody's connections.
 */
export function refuseWrongHosts(handler: RequestListener): RequestListener {
  let right: string | undefined
  return (request, response) => {
    const { host } = request.headers
    // Clients mostly name the same one, and to look at it costs as much as some answers.
    if (host !== undefined && host !== right) {
      if (!URL.canParse(`http://${host}`)) {
        const error = new PosternError('INVALID_REQUEST', 'The Host header names no host.')
        response.writeHead(error.status, { 'content-type': 'application/json', connection: 'close' })
        response.end(JSON.stringify({ error: error.toBody() }))
        return
      }
      right = host
    }
    return handler(request, response)
  }
}

import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import type { H3Event } from 'h3'
import { PosternError } from '#protocol'

/** How much of a refused body is still taken in, and for how long, so that its sender gets to read the refusal. */
const maxDiscardedBytes = 4 * 1024 * 1024
const maxDiscardMs = 1000

/**
 * Reads the body of a request, at most `limit` bytes of it. A longer one is given up as soon as it is known to be
 * longer, whatever its Content-Length says.
 *
 * @param withinMs after which it is given up when it has not come whole.
 * @returns undefined when it is longer.
 * @throws PosternError `INVALID_REQUEST` when it breaks off, `REQUEST_TIMEOUT`
 */
export async function readBody(
  event: H3Event,
  limit: number,
  withinMs: number,
): Promise<Uint8Array | undefined> {
  const declared = Number(event.req.headers.get('content-length') ?? 0)
  const request = nodeRequest(event)
  if (declared > limit) {
    if (request) discard(request)
    return undefined
  }
  const collected = collect(request ? chunksOf(request) : event.req.body, limit)
  const body = await (request && !request.complete ? inTime(collected, request, withinMs) : collected)
  if (body === undefined && request) discard(request)
  return body
}

/** Threat: bodies that come a byte at a time keep connections and what waits for them. */
function inTime<Body>(body: Promise<Body>, request: Readable, withinMs: number): Promise<Body> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new PosternError('REQUEST_TIMEOUT', undefined, { limit: withinMs, setting: 'POSTERN_BODY_MS' }))
      discard(request)
    }, withinMs)
    body.then(
      whole => {
        clearTimeout(timer)
        resolve(whole)
      },
      (error: unknown) => {
        clearTimeout(timer)
        reject(error)
      },
    )
  })
}

// Where a host has read the body already (`rawBody`) Node's request has nothing left: h3 knows where to find it.
function nodeRequest(event: H3Event): IncomingMessage | undefined {
  const request = event.runtime?.node?.req
  return request && 'httpVersion' in request && !('rawBody' in request)
    ? (request as IncomingMessage)
    : undefined
}

// Leaving a plain `for await` would destroy the request and with it the socket that the refusal goes out on.
function chunksOf(request: Readable): AsyncIterable<Uint8Array> {
  return request.iterator({ destroyOnReturn: false })
}

async function collect(
  source: AsyncIterable<Uint8Array> | null,
  limit: number,
): Promise<Uint8Array | undefined> {
  if (!source) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of source) {
      length += chunk.length
      if (length > limit) return undefined
      chunks.push(chunk)
    }
  } catch {
    throw new PosternError('INVALID_REQUEST', 'The body did not arrive whole.')
  }
  return chunks.length === 1 && chunks[0] ? chunks[0] : join(chunks, length)
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/**
 * Takes in what a refused sender has already sent, and forgets it. Closing at once would reset the connection, and
 * the refusal would be lost with it; reading on without a bound would let anybody keep this process busy.
 */
function discard(request: Readable): void {
  let discardedBytes = 0
  const cut = () => request.destroy()
  const timer = setTimeout(cut, maxDiscardMs)
  request.on('data', (chunk: Uint8Array) => {
    discardedBytes += chunk.length
    if (discardedBytes > maxDiscardedBytes) cut()
  })
  request.on('error', () => {})
  request.on('close', () => clearTimeout(timer))
}

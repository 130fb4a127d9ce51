import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type H3Event, HTTPResponse } from 'h3'
import { canTakeSocket, takeSocket } from './raw-socket.ts'

/** The way out to one peer that keeps its connection open. */
export interface Outlet {
  /** @returns false when more is waiting than should: `drained` tells when it has gone. */
  write(bytes: Uint8Array): boolean
  /** Lets what is waiting flow out, then ends. A peer that does not take it within `flushMs` is cut off. */
  end(): void
}

/** Whoever writes into an outlet. */
export interface OutletOwner {
  /** What was waiting has gone. */
  drained(): void
  /** The peer has gone, or the outlet has ended: nothing can be written any more. May come twice. */
  gone(): void
}

/** Makes the owner of an outlet that has just opened: the head of the response is on its way. */
export type Connect = (outlet: Outlet) => OutletOwner

/** How long a peer may take to read the end of its stream. */
const flushMs = 1000

/** The web stream's bound, that of a Node socket. */
const maxWaitingBytes = 64 * 1024

/**
 * Answers with a stream. On a Node host its bytes go to the socket, or where that cannot be had to the response: in
 * processor time half and two thirds of what a web stream costs. Elsewhere they go through one.
 */
export function streamAnswer(
  event: H3Event,
  headers: Record<string, string>,
  connect: Connect,
): HTTPResponse {
  if (event.req.method === 'HEAD') return new HTTPResponse(null, { headers })
  const res = event.runtime?.node?.res
  if (!res) return new HTTPResponse(webBody(connect), { headers })
  const isBare = canTakeSocket(res)
  // Without its length and without chunks, a body ends with its connection.
  if (isBare) res.removeHeader('transfer-encoding')
  const body: NodeBody = {
    pipe: response => pipeTo((isBare && takeSocket(response)) || response, connect),
  }
  // h3 hands Node's response to any body that has `pipe`, after it has written the head; its types do not tell.
  return new HTTPResponse(body as unknown as BodyInit, { headers })
}

interface NodeBody {
  pipe(res: ServerResponse): void
}

/** What a socket and a response have in common. */
type NodeOutlet = Socket | ServerResponse

function pipeTo(out: NodeOutlet, connect: Connect): void {
  let flushed: NodeJS.Timeout | undefined
  const owner = connect({
    write: bytes => out.write(bytes),
    end() {
      out.end()
      flushed = setTimeout(() => out.destroy(), flushMs)
    },
  })
  out.on('drain', () => owner.drained())
  // Writing to a peer that has just gone is an error like any other; `close` follows it and says all there is to say.
  out.on('error', () => {})
  out.on('close', () => {
    clearTimeout(flushed)
    owner.gone()
  })
  if ('flushHeaders' in out) out.flushHeaders()
}

function webBody(connect: Connect): ReadableStream<Uint8Array> {
  let owner: OutletOwner
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        owner = connect({
          write(bytes) {
            controller.enqueue(bytes)
            return (controller.desiredSize ?? 0) > 0
          },
          end() {
            controller.close()
            setTimeout(
              () => controller.error(new Error('The peer did not read the end of its stream.')),
              flushMs,
            )
          },
        })
      },
      pull: () => owner.drained(),
      cancel: () => owner.gone(),
    },
    new ByteLengthQueuingStrategy({ highWaterMark: maxWaitingBytes }),
  )
}

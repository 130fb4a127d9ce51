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
  if (isBare) {
    res.removeHeader('transfer-encoding')
    res.setHeader('connection', 'close')
  }
  const body: NodeBody = {
    pipe: response => pipeTo((isBare && takeSocket(response)) || response, connect),
  }
  // h3 hands Node's response to any body that has `pipe`, after it has written the head; its types do not tell.
  return new HTTPResponse(body as unknown as BodyInit, { headers })
}

interface NodeBody {
  pipe(res: ServerResponse): void
}

/** What a socket and a response have in common, and whom its events concern. */
type NodeOut = (Socket | ServerResponse) & { [ownerOf]?: OutletOwner }

/** On the object itself, since a closure for each event of each connection would cost more than all else here. */
const ownerOf = Symbol('owner')

class NodeOutlet implements Outlet {
  readonly #out: NodeOut

  constructor(out: NodeOut) {
    this.#out = out
  }

  write(bytes: Uint8Array): boolean {
    return this.#out.write(bytes)
  }

  end(): void {
    const out = this.#out
    out.end()
    const timer = setTimeout(() => out.destroy(), flushMs)
    out.once('close', () => clearTimeout(timer))
  }
}

function pipeTo(out: NodeOut, connect: Connect): void {
  out[ownerOf] = connect(new NodeOutlet(out))
  out.on('drain', onDrain).on('error', onError).on('close', onClose)
  if ('flushHeaders' in out) out.flushHeaders()
}

function onDrain(this: NodeOut): void {
  this[ownerOf]?.drained()
}

// Writing to a peer that has just gone is an error like any other; `close` follows it and says all there is to say.
function onError(): void {}

function onClose(this: NodeOut): void {
  this[ownerOf]?.gone()
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

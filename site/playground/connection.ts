import { readFrame, type Told } from './frame.ts'

/** The subprotocol in which the server tells ids, times, receipts and gaps. */
const subprotocol = 'postern.v1'

export type ConnectionState =
  | { readonly kind: 'connecting' | 'open' | 'closing' }
  | { readonly kind: 'closed'; readonly code?: number; readonly reason?: string }

/** Whom the events of a connection concern. */
export interface ConnectionOwner {
  state(state: ConnectionState): void
  /** Something that nobody here has sent. */
  heard(told: Told): void
  /** What has become of a message that was sent, and after how long. Comes once for each, in the order of `send`. */
  settled(outcome: Outcome): void
}

export type Outcome =
  | { readonly kind: 'receipt'; readonly id: string; readonly tookMs: number }
  | { readonly kind: 'refused'; readonly reason: string }
  /** It may have arrived, or not. */
  | { readonly kind: 'unknown' }
  /** It has not left: the connection did not open, or another took its place first. */
  | { readonly kind: 'unsent' }

/** One WebSocket at a time, which is opened again only when somebody asks for it. */
export class Connection {
  readonly #owner: ConnectionOwner
  #socket: WebSocket | undefined
  /** Sent before the connection was open. */
  #waiting: (string | Uint8Array<ArrayBuffer>)[] = []
  /** When the messages were sent that have no receipt yet, oldest first. */
  #sentAtMs: number[] = []

  constructor(owner: ConnectionOwner) {
    this.#owner = owner
  }

  get isOpen(): boolean {
    return this.#socket !== undefined
  }

  /**
   * Connects, in the place of a connection that is there. What waited for that one is not sent: it was meant for its
   * route.
   *
   * @param route the path and query on the page's own host.
   */
  open(route: string): void {
    this.#socket?.close(1000)
    this.#abandon()
    const url = new URL(route, location.href)
    url.protocol = url.protocol.replace('http', 'ws')
    const socket = new WebSocket(url, [subprotocol])
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    this.#owner.state({ kind: 'connecting' })
    socket.onopen = () => {
      if (socket !== this.#socket) return
      this.#owner.state({ kind: 'open' })
      for (const message of this.#waiting.splice(0)) this.#send(socket, message)
    }
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#hear(readFrame(data, socket.protocol === subprotocol))
    }
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return
      this.#socket = undefined
      this.#abandon()
      this.#owner.state({ kind: 'closed', code, reason })
    }
  }

  /** Sends a message now, or once the connection is open that `open` has begun. */
  send(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#send(this.#socket, message)
    else this.#waiting.push(message)
  }

  /** Says goodbye. The state tells when the server has, too. */
  close(): void {
    if (!this.#socket || this.#socket.readyState >= WebSocket.CLOSING) return
    this.#owner.state({ kind: 'closing' })
    this.#socket.close(1000)
  }

  #send(socket: WebSocket, message: string | Uint8Array<ArrayBuffer>): void {
    this.#sentAtMs.push(performance.now())
    socket.send(message)
  }

  #hear(told: Told): void {
    const sentAtMs = told.kind === 'receipt' || told.kind === 'refused' ? this.#sentAtMs.shift() : undefined
    if (sentAtMs === undefined) this.#owner.heard(told)
    else if (told.kind === 'receipt')
      this.#owner.settled({ kind: 'receipt', id: told.id, tookMs: performance.now() - sentAtMs })
    else if (told.kind === 'refused') this.#owner.settled({ kind: 'refused', reason: told.reason })
  }

  #abandon(): void {
    for (const _ of this.#sentAtMs.splice(0)) this.#owner.settled({ kind: 'unknown' })
    for (const _ of this.#waiting.splice(0)) this.#owner.settled({ kind: 'unsent' })
  }
}

import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { Crowd, isLoopbackAddress, networkOf } from '#limits'
import { PosternError, type Refusals } from '#protocol'
import { type AddressList, canonicalAddress } from './address-list.ts'
import { tooManyConnections } from './connection-limits.ts'
import { noteRequest, outlastHttp } from './raw-socket.ts'

export interface ArrivalLimits {
  /** How long the head of a request may take. */
  readonly headMs: number
  /** How long the body of a request may take. */
  readonly bodyMs: number
  /** The longest head of a request. */
  readonly maxHeadBytes: number
  /** Connections in total. */
  readonly maxConnections: number
  /** Connections of each address; 0: no limit. */
  readonly perAddress: number
  /** Their connections are those of many clients. */
  readonly trustProxy: AddressList
  readonly refused: Pick<Refusals, 'add'>
}

/** How long whoever is refused may take to hear it, and how many may be at it: whoever comes beyond them is reset. */
const tellMs = 1000
const maxTold = 100

/** What Node says of a request that it does not take. */
const headTooLarge = 'HPE_HEADER_OVERFLOW'
const tooSlow = 'ERR_HTTP_REQUEST_TIMEOUT'

/**
 * The connections of a server: how many there may be, and how long each may take to say what it wants. Whoever sends
 * nothing is cut off after `headMs`; Node looks only twice a minute, and takes a minute and a half.
 */
export class Arrivals {
  readonly #limits: ArrivalLimits
  /** Those that have not sent a whole head. The oldest come first. */
  readonly #silent = new Map<Socket, NodeJS.Timeout>()
  readonly #networks = new WeakMap<Socket, string>()
  readonly #crowd = new Crowd()
  #open = 0
  #told = 0

  constructor(server: Server, limits: ArrivalLimits) {
    this.#limits = limits
    const { headMs, bodyMs, maxHeadBytes } = limits
    server.headersTimeout = headMs
    server.requestTimeout = headMs + bodyMs
    // As the option of that name, which a server that somebody else makes has not been given.
    Reflect.set(server, 'maxHeaderSize', maxHeadBytes)
    this.#watch(server)
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => this.#fail(error, socket))
  }

  /** Threat: a connection that is refused only when its request is answered has had it carried out. */
  #watch(server: Server): void {
    const listeners = server.listeners('connection')
    const left = this.#leave
    server.removeAllListeners('connection')
    server.on('connection', (socket: Socket) => {
      const isBack = socket.listeners('close').includes(left)
      if (isBack || this.#admit(socket)) for (const listener of listeners) listener.call(server, socket)
    })
    const arrived = (request: IncomingMessage) => {
      const { socket } = request
      noteRequest(request)
      clearTimeout(this.#silent.get(socket))
      this.#silent.delete(socket)
    }
    server.prependListener('request', arrived).prependListener('upgrade', arrived)
  }

  #admit(socket: Socket): boolean {
    const { headMs, maxConnections, perAddress } = this.#limits
    if (this.#open >= maxConnections && !this.#dropSilent())
      return this.#refuse(socket, tooManyConnections(maxConnections, 'POSTERN_MAX_CONNECTIONS'))
    const network = this.#networkOf(socket)
    if (network !== undefined) {
      if (this.#crowd.isFull(network, perAddress))
        return this.#refuse(socket, tooManyConnections(perAddress, 'POSTERN_MAX_ADDRESS_CONNECTIONS'))
      this.#crowd.enter(network)
      this.#networks.set(socket, network)
    }
    this.#open++
    this.#silent.set(socket, setTimeout(() => socket.destroy(), headMs).unref())
    socket.on('close', this.#leave)
    return true
  }

  /** A function for all connections: a closure for each would cost more than all else here. */
  readonly #leave = outlastHttp(this.#leaverOf())

  #leaverOf(): (this: Socket) => void {
    const leave = (socket: Socket) => {
      this.#open--
      clearTimeout(this.#silent.get(socket))
      this.#silent.delete(socket)
      const network = this.#networks.get(socket)
      if (network !== undefined) this.#crowd.leave(network)
    }
    return function () {
      leave(this)
    }
  }

  /** Threat: whoever opens connections and says nothing keeps others out. */
  #dropSilent(): boolean {
    const [oldest] = this.#silent.keys()
    if (!oldest) return false
    this.#silent.delete(oldest)
    oldest.resetAndDestroy()
    return true
  }

  /** Undefined for this machine and for proxies. */
  #networkOf({ remoteAddress }: Socket): string | undefined {
    const address = remoteAddress === undefined ? undefined : canonicalAddress(remoteAddress)
    if (address === undefined || isLoopbackAddress(address)) return undefined
    return this.#limits.trustProxy.has(address) ? undefined : networkOf(address)
  }

  #refuse(socket: Socket, error: PosternError): false {
    this.#limits.refused.add(error)
    if (this.#told >= maxTold) socket.resetAndDestroy()
    else {
      this.#told++
      socket.on('close', () => this.#told--)
      tell(socket, error)
    }
    return false
  }

  #fail({ code }: NodeJS.ErrnoException, socket: Socket): void {
    // Something else is on its way there, or nobody is there any more.
    if (!socket.writable || Reflect.get(socket, '_httpMessage')) {
      socket.destroy()
      return
    }
    const error = this.#errorOf(code)
    this.#limits.refused.add(error)
    tell(socket, error)
  }

  #errorOf(code: string | undefined): PosternError {
    const { maxHeadBytes, headMs, bodyMs } = this.#limits
    if (code === headTooLarge)
      return new PosternError('HEAD_TOO_LARGE', undefined, {
        limit: maxHeadBytes,
        setting: 'POSTERN_MAX_HEAD_BYTES',
      })
    if (code !== tooSlow) return new PosternError('INVALID_REQUEST')
    return new PosternError('REQUEST_TIMEOUT', undefined, {
      limit: headMs + bodyMs,
      setting: 'POSTERN_HEAD_MS, POSTERN_BODY_MS',
    })
  }
}

/** Says why on the bare socket, and ends it. */
function tell(socket: Socket, error: PosternError): void {
  const body = JSON.stringify({ error: error.toBody() })
  const later = error.status === 503 ? 'retry-after: 1\r\n' : ''
  socket.on('error', () => {}).resume()
  socket.end(
    `HTTP/1.1 ${error.status} \r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${later}connection: close\r\n\r\n${body}`,
  )
  setTimeout(() => socket.destroy(), tellMs).unref()
}

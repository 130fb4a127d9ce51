import { Context, capability, Router, type Socket } from 'zeromq'
import type { CurveAccess, CurveSocket } from '../auth/curve-access.ts'
import type { Logger } from '../logger.ts'
import { curveKeyMark, formatCurveKey } from '../protocol/index.ts'
import { decodeZapRequest, encodeZapReply, type ZapRequest, zapEndpoint } from './zap.ts'

export interface CurveDoorOptions {
  /** The broker's own keys: the first is that of each socket's first endpoint, the second that of all others. */
  readonly serverKeys: readonly { readonly publicKey: string; readonly secretKey: string }[]
  /** Those that ask for keys. */
  readonly sockets: readonly CurveSocket[]
  readonly access: CurveAccess
  readonly logger: Logger
}

/** ZMQ_HANDSHAKE_IVL: who has not shown a key by then, or could not be decided about, is let go. */
const handshakeMs = 5000

/** Why a handshake ended before the client had shown its key. libzmq does not tell where such a client is. */
const reasons: Readonly<Record<string, string>> = {
  ERR_ZMTP_CRYPTOGRAPHIC: 'the client has another key for this broker, or its own two do not belong together',
  ERR_ZMTP_MECHANISM_MISMATCH: 'the client has no keys',
  EPIPE: 'the client broke the handshake off, as one without keys does',
  EAGAIN: 'the handshake took too long',
  EFAULT: 'keys cannot be checked any more: restart the broker',
}

/**
 * CURVE for the broker's sockets: libzmq encrypts and proves who has which key, here it is decided who that lets in.
 * Whatever goes wrong here lets nobody in.
 */
export class CurveDoor {
  /** The sockets belong to it: libzmq asks the handler of their own context. */
  readonly context: Context
  /** Handshakes that failed, by socket. */
  readonly refused: Record<CurveSocket, number> = { ingest: 0, plain: 0, requests: 0, stream: 0 }
  access: CurveAccess
  readonly #options: CurveDoorOptions
  readonly #handler: Router

  /** @throws Error where ZeroMQ was built without CURVE. */
  constructor(options: CurveDoorOptions) {
    if (!capability.curve)
      throw new Error('This build of ZeroMQ has no CURVE. Unset curveKeys (POSTERN_CURVE_KEYS).')
    this.#options = options
    this.access = options.access
    this.context = new Context()
    this.#handler = new Router({ context: this.context, linger: 0, sendTimeout: 0 })
  }

  /** Answers from now on. To be awaited before a socket is bound. */
  async start(): Promise<void> {
    await this.#handler.bind(zapEndpoint)
    void this.#answerAll()
  }

  close(): void {
    this.#handler.close()
  }

  has(name: CurveSocket): boolean {
    return this.#options.sockets.includes(name)
  }

  /** Counts and tells who did not get in at a socket. */
  watch(socket: Socket, name: CurveSocket): void {
    const onFailed = ({ error }: { readonly error: Error }) => {
      const code = 'code' in error ? String(error.code) : ''
      this.#refuse(name, { reason: reasons[code] ?? error.message })
    }
    socket.events.on('handshake:error:protocol', onFailed)
    socket.events.on('handshake:error:other', onFailed)
  }

  /** Sets what holds for the endpoints that a socket is bound to from now on. */
  prepare(socket: Socket, name: CurveSocket, endpoint: number): void {
    const key = this.#keyOf(endpoint)
    if (endpoint > 0 && key === this.#keyOf(endpoint - 1)) return
    socket.curveSecretKey = key?.secretKey ?? null
    if (endpoint > 0) return
    socket.curveServer = true
    socket.zapDomain = name
    // Threat: without it libzmq lets everybody in when nobody answers.
    socket.zapEnforceDomain = true
    socket.handshakeInterval = handshakeMs
  }

  /** Whether an endpoint has this key of ours. */
  hasKey(endpoint: number, publicKey: string): boolean {
    return this.#keyOf(endpoint)?.publicKey === publicKey
  }

  #keyOf(endpoint: number) {
    const { serverKeys } = this.#options
    return serverKeys[Math.min(endpoint, serverKeys.length - 1)]
  }

  async #answerAll(): Promise<void> {
    while (!this.#handler.closed) {
      try {
        const request = decodeZapRequest(await this.#handler.receive())
        if (request) await this.#answer(request)
      } catch (error) {
        if (this.#handler.closed) return
        this.#options.logger.limited('curve-failed', { reason: String(error) })
      }
    }
  }

  async #answer(request: ZapRequest): Promise<void> {
    const socket = this.#options.sockets.find(name => name === request.domain)
    const key = request.key && formatCurveKey(request.key)
    const told = { address: request.address, ...(key !== undefined && { key: `${curveKeyMark(key)}…` }) }
    if (!socket || key === undefined) return void (await this.#handler.send(encodeZapReply(request, 400)))
    const admission = this.access.admit(socket, key)
    if ('name' in admission) {
      this.#options.logger.debug('curve-admitted', { socket, ...told, name: admission.name })
      return void (await this.#handler.send(encodeZapReply(request, 200, admission.name)))
    }
    this.#refuse(socket, { ...told, reason: admission.refused })
    await this.#handler.send(encodeZapReply(request, 400))
  }

  #refuse(socket: CurveSocket, fields: Readonly<Record<string, string>>): void {
    this.refused[socket]++
    this.#options.logger.limited('curve-refused', { socket, ...fields })
  }
}

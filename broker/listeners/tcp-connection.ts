import type { Socket } from 'node:net'
import type { User } from '../auth/htpasswd.ts'
import { loginRefusal } from '../auth/refusal.ts'
import { mayPublish, mayReceive } from '../auth/rights.ts'
import { isSystemTopic, maxLegacyBytes, PosternError, type Rights } from '../protocol/index.ts'
import type { Handout, Registration } from '../receivers.ts'
import { JsonSplitter } from './json-splitter.ts'
import { type Command, type Misunderstood, parseCommand } from './tcp-command.ts'
import { AcknowledgedOutlet, LegacyOutlet, type Outlet } from './tcp-outlet.ts'
import type { ConnectionParts } from './tcp-parts.ts'

/** A login is short, and nobody knows yet who sends it. */
const maxLoginBytes = 8192

/** What stands around the data of a message. */
const maxLabelBytes = 4096

/** A publisher with so much under way is read on when receipts have come. */
const maxUnderWay = { messages: 64, bytes: 256 * 1024 }

/**
 * A client that is refused is closed after this long. A receiver of PHPMessageBroker comes back at once, for ever; this
 * way it does so once a second.
 */
const refusalMs = 1000

/** One client of the TCP door: what it sends is obeyed in its order, once it has logged in. */
export class TcpConnection {
  readonly #socket: Socket
  readonly #parts: ConnectionParts
  readonly #address: string
  readonly #splitter = new JsonSplitter(maxLoginBytes, 'maxPayloadBytes')
  readonly #registrations = new Map<string, Registration>()
  readonly #underWay = { messages: 0, bytes: 0 }
  #user: User | undefined
  #rights: Rights | undefined
  #outlet: Outlet | undefined
  #wantsAnswers = false
  /** Nothing more is obeyed, and the socket is about to be closed. */
  #isOver = false
  #isLoggingIn = false
  #hasEnded = false
  #deadline: NodeJS.Timeout
  #stuck: NodeJS.Timeout | undefined
  /** It has sent more than it may, and is read on after a while. */
  #pause: NodeJS.Timeout | undefined

  constructor(socket: Socket, parts: ConnectionParts) {
    this.#socket = socket
    this.#parts = parts
    this.#address = socket.remoteAddress ?? ''
    this.#deadline = setTimeout(() => this.#refuse(timeout()), parts.settings().loginTimeoutMs)
    socket.on('data', (bytes: Buffer) => {
      this.#splitter.push(bytes)
      this.#read()
    })
    socket.on('end', () => {
      this.#hasEnded = true
      this.#read()
    })
    socket.on('drain', () => this.#read())
    // What ends it is told by `close`.
    socket.on('error', () => {})
    socket.on('close', () => this.#close())
  }

  /** Whether it has been silent since it came. */
  get isSilent(): boolean {
    return !this.#user && !this.#isLoggingIn && !this.#isOver
  }

  /** Whether something that it has sent is not done yet. */
  get isBusy(): boolean {
    return this.#isLoggingIn || this.#underWay.messages > 0
  }

  /**
   * Ends it with a reset: after an orderly end a receiver of PHPMessageBroker reads nothing, again and again, for ever.
   */
  reset(): void {
    this.#isOver = true
    this.#socket.resetAndDestroy()
  }

  /** Ends it when it receives; who sends may go on. */
  stopReceiving(): void {
    if (this.#registrations.size > 0) this.reset()
  }

  /**
   * Whoever is no longer among the users, or has got another password, has to log in again; whoever may no longer receive
   * what it does is let go.
   */
  recheck(): void {
    if (!this.#user) return
    if (!this.#parts.users.isCurrent(this.#user)) return this.#refuse(new PosternError('UNAUTHORIZED'))
    const rights = this.#parts.rightsOf(this.#user)
    this.#rights = rights
    const refused = [...this.#registrations.keys()].map(topic => mayReceive(rights, topic)).find(Boolean)
    if (refused) this.#refuse(refused)
  }

  /** Obeys what has come, as far as it may. */
  #read(): void {
    try {
      while (this.#mayRead) {
        const document = this.#splitter.next()
        if (!document) break
        this.#obey(parseCommand(document), document.length)
      }
    } catch (error) {
      if (!(error instanceof PosternError)) throw error
      this.#refuse(error)
    }
    if (this.#mayRead) this.#socket.resume()
    else this.#socket.pause()
    if (this.#hasEnded) this.#endIfDone()
  }

  get #mayRead(): boolean {
    const { messages, bytes } = this.#underWay
    const isFull = messages >= maxUnderWay.messages || bytes >= maxUnderWay.bytes
    // Who does not read its answers is not read on either.
    return !this.#isOver && !this.#isLoggingIn && !this.#pause && !isFull && !this.#socket.writableNeedDrain
  }

  #obey(command: Command | Misunderstood, bytes: number): void {
    this.#wantsAnswers ||= command.wantsAnswers
    if (command.kind === 'login') {
      void this.#login(command.id, command.name, command.password)
      return
    }
    if (!this.#user || !this.#rights) throw new PosternError('UNAUTHORIZED')
    try {
      this.#serve(command, this.#user, this.#rights, bytes)
    } catch (error) {
      if (!(error instanceof PosternError)) throw error
      this.#deny(command.id, error)
    }
  }

  #serve(
    command: Exclude<Command | Misunderstood, { kind: 'login' }>,
    user: User,
    rights: Rights,
    bytes: number,
  ): void {
    switch (command.kind) {
      case 'register':
        assertAllowed(mayReceive(rights, command.topic))
        return this.#register(command.id, command.topic)
      case 'message':
        assertAllowed(mayPublish(rights, command.topic))
        this.#count(bytes)
        return this.#publish(command, rights, bytes)
      case 'ack':
        if (!this.#outlet) throw new PosternError('INVALID_REQUEST', 'Nothing is received here.')
        return this.#outlet.acknowledged(command.message)
      case 'ping':
        return this.#say('pong', command.id)
      case 'reload-user':
        if (!this.#parts.settings().reloadUsers.includes(user.name)) throw new PosternError('FORBIDDEN')
        this.#parts.users.reload()
        return this.#answer('reloaded', command.id)
      case 'misunderstood':
        throw command.error
    }
  }

  async #login(id: string, name: string, password: string): Promise<void> {
    this.#isLoggingIn = true
    const outcome = await this.#parts.users.login(this.#address, { name, password })
    this.#isLoggingIn = false
    if (this.#isOver) return
    const { settings, account, rightsOf } = this.#parts
    const refusal =
      typeof outcome === 'string'
        ? loginRefusal(outcome, settings().maxLoginFailures)
        : account.logIn(outcome.name)
    if (refusal || typeof outcome === 'string') return this.#refuse(refusal ?? timeout(), id)
    this.#user = outcome
    this.#rights = rightsOf(outcome)
    clearTimeout(this.#deadline)
    this.#splitter.maxBytes = this.#parts.settings().maxPayloadBytes + maxLabelBytes
    this.#parts.onLoggedIn()
    this.#answer('welcome', id)
    this.#read()
  }

  /**
   * Counts a message. Who is told nothing cannot send it again: it is published, and nothing more is read until as much may
   * come again.
   *
   * @throws PosternError `RATE_LIMITED` for those who want answers
   */
  #count(bytes: number): void {
    const { account, broker } = this.#parts
    const refusal = account.publish(bytes)
    if (!refusal) return
    if (this.#wantsAnswers) throw refusal
    broker.refusals.add(refusal)
    account.overdraw(bytes)
    this.#pause ??= setTimeout(() => {
      this.#pause = undefined
      this.#read()
    }, refusal.bound?.retryAfterMs)
  }

  #register(id: string, topic: string): void {
    if (!this.#registrations.has(topic)) {
      const { maxTcpChannels } = this.#parts.settings()
      if (this.#registrations.size >= maxTcpChannels)
        throw new PosternError('TOO_MANY_TOPICS', undefined, {
          limit: maxTcpChannels,
          setting: 'maxTcpChannels',
        })
      if (this.#outlet instanceof LegacyOutlet || !this.#wantsAnswers) this.#assertLegacy(topic)
      const outlet = this.#outlet ?? this.#openOutlet()
      const registration = this.#parts.receiversOf(topic).register(
        topic,
        {
          take: handouts => {
            const { sent } = this.#parts
            sent.messages += handouts.length
            for (const { message } of handouts) sent.bytes += message.weight
            outlet.add(handouts.map(handout => parcelOf(handout, registration)))
          },
          end: () => this.reset(),
        },
        outlet instanceof LegacyOutlet ? { window: { messages: 1024, bytes: maxLegacyBytes } } : {},
      )
      this.#registrations.set(topic, registration)
    }
    this.#answer('registered', id, { channel: topic })
  }

  /** @throws PosternError when a client that acknowledges nothing is not to receive this. */
  #assertLegacy(topic: string): void {
    if (this.#wantsAnswers)
      throw new PosternError(
        'INVALID_REQUEST',
        'Whoever acknowledges says "ack" before it receives the first channel.',
      )
    // What lies there may be too large for it, and would be with it until it leaves, where nobody else could get it.
    if (isSystemTopic(topic))
      throw new PosternError('RESERVED_TOPIC', 'What could not be received is received with "ack".')
  }

  #openOutlet(): Outlet {
    const write = this.#write.bind(this)
    this.#outlet = this.#wantsAnswers
      ? new AcknowledgedOutlet(write)
      : new LegacyOutlet({
          write,
          ackMs: () => this.#parts.settings().legacyAckMs,
          startTimer: (delayMs, callback) => {
            const timer = setTimeout(callback, delayMs)
            return () => clearTimeout(timer)
          },
        })
    return this.#outlet
  }

  #publish(
    { id, topic, payload, key }: Command & { kind: 'message' },
    { identity }: Rights,
    bytes: number,
  ): void {
    this.#parts.received.messages++
    this.#parts.received.bytes += bytes
    this.#underWay.messages++
    this.#underWay.bytes += bytes
    const publication = { topic, type: '', binary: false, payload }
    const keyed = key === undefined ? {} : { key: { key, identity } }
    this.#parts.broker.publish([{ publication, ...keyed }], ([receipt]) => {
      this.#underWay.messages--
      this.#underWay.bytes -= bytes
      if (!receipt || 'error' in receipt) {
        const error = receipt ? PosternError.fromBody(receipt.error) : new PosternError('INTERNAL')
        this.#tellRefusal(id, error, topic)
      } else this.#answer('receipt', id, { message: receipt.id })
      // Not at once: a refusal may come while its message is still being read.
      if (this.#socket.isPaused() || this.#hasEnded) setImmediate(() => this.#read())
    })
  }

  #deny(id: string, error: PosternError): void {
    this.#parts.broker.refusals.add(error)
    this.#tellRefusal(id, error)
  }

  /** Tells who asked for answers, and the log in any case, that something was not done. */
  #tellRefusal(id: string, error: PosternError, topic?: string): void {
    this.#parts.counters.tcpRefused++
    const { code, message: reason } = error
    this.#parts.logger.limited('refused', { socket: 'tcp', peer: this.#address, code, reason, topic })
    this.#answer('error', id, { error: error.toBody() })
  }

  /** Lets a client go: it has not said who it is, or cannot be understood. */
  #refuse(error: PosternError, id = 'null'): void {
    if (this.#isOver) return
    if (!this.#user) this.#parts.counters.loginsRefused++
    this.#deny(id, error)
    this.#isOver = true
    this.#leave()
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.reset(), refusalMs)
    this.#socket.pause()
  }

  /** An answer for those who asked for answers. Old clients take anything that they read for a message. */
  #answer(command: string, id: string, fields: object = {}): void {
    if (this.#wantsAnswers) this.#say(command, id, fields)
  }

  #say(command: string, id: string, fields: object = {}): void {
    const rest = JSON.stringify(fields).slice(1, -1)
    const document = `{"command":"${command}","id":${id}${rest && `,${rest}`}}`
    if (this.#outlet) this.#outlet.say(document)
    else this.#write(`${document}\n`)
  }

  #write(document: Uint8Array | string, onTaken?: () => void): void {
    const { peerTimeoutMs } = this.#parts.settings()
    this.#stuck ??= setTimeout(() => this.reset(), peerTimeoutMs)
    this.#socket.write(document, error => {
      if (error) return
      // Something was taken: what is still there gets as much time again.
      clearTimeout(this.#stuck)
      this.#stuck =
        this.#socket.writableLength > 0 ? setTimeout(() => this.reset(), peerTimeoutMs) : undefined
      onTaken?.()
    })
  }

  /** A client that has closed its side gets what it waits for, and the end. */
  #endIfDone(): void {
    this.#leave()
    if (this.#isLoggingIn || this.#pause || this.#underWay.messages > 0 || this.#isOver) return
    this.#isOver = true
    if (!this.#splitter.isBetween)
      this.#deny('null', new PosternError('INVALID_REQUEST', 'The last document is not whole.'))
    this.#socket.end()
  }

  #leave(): void {
    for (const registration of this.#registrations.values()) registration.leave()
    this.#registrations.clear()
    this.#outlet?.close()
  }

  #close(): void {
    this.#isOver = true
    clearTimeout(this.#deadline)
    clearTimeout(this.#stuck)
    clearTimeout(this.#pause)
    this.#leave()
    this.#parts.onClosed()
  }
}

function parcelOf({ message, deliveries, redelivered }: Handout, registration: Registration) {
  return {
    message,
    deliveries,
    redelivered,
    acknowledge: (onRemoved?: () => void) => registration.acknowledge([message.offset], onRemoved),
    reject: (reason: string) => registration.reject([message.offset], reason),
  }
}

function assertAllowed(refused: PosternError | undefined): void {
  if (refused) throw refused
}

function timeout(): PosternError {
  return new PosternError('UNAUTHORIZED', 'Nobody has logged in within the time for it (loginTimeoutMs).')
}

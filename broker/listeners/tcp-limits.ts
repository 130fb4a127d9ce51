import { Crowd, isLoopbackAddress, networkOf, PublishLimits, type Source } from '../limits/index.ts'
import { PosternError } from '../protocol/index.ts'

export interface TcpLimitSettings {
  readonly maxTcpConnections: number
  /** Of one address; 0: no limit. */
  readonly maxTcpAddressConnections: number
  /** Of one user; 0: no limit. */
  readonly maxTcpUserConnections: number
  /** Messages of one address, and of one user; 0: no limit. */
  readonly tcpPublishesPerS: number
  /** Bytes of their documents; 0: no limit. */
  readonly tcpPublishedBytesPerS: number
}

/** What one client may have of the TCP door. */
export class TcpLimits {
  readonly settings: () => TcpLimitSettings
  readonly publishing: PublishLimits
  readonly addresses = new Crowd()
  readonly users = new Crowd()

  /** @param settings asked for each use, so that they can change while running. */
  constructor(settings: () => TcpLimitSettings) {
    this.settings = settings
    this.publishing = new PublishLimits({
      messages: { setting: 'tcpPublishesPerS', perSecond: () => settings().tcpPublishesPerS },
      bytes: { setting: 'tcpPublishedBytesPerS', perSecond: () => settings().tcpPublishedBytesPerS },
      nowMs: () => performance.now(),
    })
  }

  /**
   * The account of a connection that has come; or why it may not stay.
   *
   * @param address where it comes from. This machine is not counted.
   * @param open how many there are.
   */
  open(address: string, open: number): TcpAccount | PosternError {
    const { maxTcpConnections, maxTcpAddressConnections } = this.settings()
    if (open >= maxTcpConnections) return tooMany(maxTcpConnections, 'maxTcpConnections')
    if (address === '' || isLoopbackAddress(address)) return new TcpAccount(this, {})
    const network = networkOf(address)
    if (this.addresses.isFull(network, maxTcpAddressConnections))
      return tooMany(maxTcpAddressConnections, 'maxTcpAddressConnections')
    return new TcpAccount(this, { network })
  }
}

/** What one connection does, counted for its address and its user. */
export class TcpAccount {
  readonly #limits: TcpLimits
  #source: Source

  constructor(limits: TcpLimits, source: Source) {
    this.#limits = limits
    this.#source = source
    if (source.network !== undefined) limits.addresses.enter(source.network)
  }

  /** A user has logged in. @returns why there may not be one more connection of that user: then it does not count. */
  logIn(name: string): PosternError | undefined {
    const { users, settings } = this.#limits
    const { identity } = this.#source
    if (identity === name) return undefined
    const { maxTcpUserConnections } = settings()
    if (users.isFull(name, maxTcpUserConnections))
      return tooMany(maxTcpUserConnections, 'maxTcpUserConnections')
    if (identity !== undefined) users.leave(identity)
    users.enter(name)
    this.#source = { ...this.#source, identity: name }
    return undefined
  }

  /** Counts a message. @returns why it may not be published: then it does not count. */
  publish(bytes: number): PosternError | undefined {
    return this.#limits.publishing.take(this.#source, bytes)
  }

  /** Counts a message that is published although it may not be. */
  overdraw(bytes: number): void {
    this.#limits.publishing.count(this.#source, bytes)
  }

  /** The connection has ended. Once. */
  close(): void {
    const { network, identity } = this.#source
    if (network !== undefined) this.#limits.addresses.leave(network)
    if (identity !== undefined) this.#limits.users.leave(identity)
  }
}

function tooMany(limit: number, setting: string): PosternError {
  return new PosternError('TOO_MANY_CONNECTIONS', undefined, { limit, setting })
}

import type { RuledAuthority } from './auth/ruled-authority.ts'
import type { Users } from './auth/users.ts'
import type { Broker } from './broker.ts'
import type { Config } from './config.ts'
import type { Endpoint } from './listeners/dsn.ts'
import { LiveReceivers } from './listeners/live-receivers.ts'
import { TcpListener } from './listeners/tcp.ts'
import { TcpLimits } from './listeners/tcp-limits.ts'
import type { Logger } from './logger.ts'
import type { ReceiverRegister } from './receivers.ts'
import type { Traffic } from './traffic.ts'

export interface TcpDoorParts {
  readonly logger: Logger
  /** Who may log in, and what they may do then. */
  readonly authority: Pick<RuledAuthority, 'users' | 'rightsOfUser' | 'onChange'>
  /** Where receivers of what is kept register; undefined for a topic that is not durable. */
  readonly durableOf: (topic: string) => ReceiverRegister | undefined
  /** How many receivers of a topic get its messages. 0: all. */
  readonly limitOf: (topic: string) => number
}

/** The TCP door with all that is behind it: its users, and the receivers of topics that are not durable. */
export class TcpDoor {
  readonly received: Traffic = { messages: 0, bytes: 0 }
  readonly sent: Traffic = { messages: 0, bytes: 0 }
  readonly counters = { tcpRefused: 0, loginsRefused: 0, receiverLost: 0 }
  readonly #users: Users
  readonly #live: LiveReceivers
  readonly #parts: TcpDoorParts
  #config: Config
  #listener: TcpListener | undefined

  /** @throws UserListError */
  static async make(config: Config, parts: TcpDoorParts): Promise<TcpDoor> {
    return new TcpDoor(config, parts, await parts.authority.users())
  }

  private constructor(config: Config, parts: TcpDoorParts, users: Users) {
    const { logger, authority } = parts
    this.#config = config
    this.#parts = parts
    this.#users = users
    users.onChange(() => this.#listener?.recheck())
    authority.onChange(() => this.#listener?.recheck())
    this.#live = new LiveReceivers({
      limitOf: parts.limitOf,
      maxBytes: () => this.#config.maxReceiverBytes,
      window: () => ({ messages: this.#config.pullWindowMessages, bytes: this.#config.pullWindowBytes }),
      defer: setImmediate,
      onLost: (topic, reason) => {
        this.counters.receiverLost++
        logger.limited('receiver-lost', { topic, reason })
      },
    })
  }

  get connections(): number {
    return this.#listener?.connections ?? 0
  }

  /** A batch that has got its place in the log. */
  stream(batch: Uint8Array): void {
    this.#live.stream(batch)
  }

  /** Opens it. Durable topics have to be ready. */
  async start(endpoint: Endpoint, broker: Pick<Broker, 'publish' | 'refusals'>): Promise<Endpoint> {
    const { logger, durableOf, authority } = this.#parts
    this.#listener = new TcpListener({
      endpoint,
      broker,
      logger,
      users: this.#users,
      rightsOf: ({ name }) => authority.rightsOfUser(name),
      counters: this.counters,
      received: this.received,
      sent: this.sent,
      settings: () => this.#config,
      limits: new TcpLimits(() => this.#config),
      receiversOf: topic => durableOf(topic) ?? this.#live,
    })
    return this.#listener.start()
  }

  reload(config: Config): void {
    this.#config = config
  }

  async stop(): Promise<void> {
    await this.#listener?.stop()
  }
}

import type { User } from '../auth/htpasswd.ts'
import type { Users } from '../auth/users.ts'
import type { Broker } from '../broker.ts'
import type { Logger } from '../logger.ts'
import type { Rights } from '../protocol/index.ts'
import type { ReceiverRegister } from '../receivers.ts'
import type { Traffic } from '../traffic.ts'
import type { TcpAccount } from './tcp-limits.ts'

export interface TcpSettings {
  readonly maxPayloadBytes: number
  /** Who has not logged in by then is closed. */
  readonly loginTimeoutMs: number
  /** After this long a message counts as received by a client that does not acknowledge. */
  readonly legacyAckMs: number
  /** A client that takes nothing of what is written to it for so long is closed. */
  readonly peerTimeoutMs: number
  /** Channels that one connection receives. */
  readonly maxTcpChannels: number
  /** Wrong passwords from one address. */
  readonly maxLoginFailures: number
  /** Names of those whose `reload-user` is obeyed. */
  readonly reloadUsers: readonly string[]
}

export interface TcpCounters {
  tcpRefused: number
  loginsRefused: number
}

export interface ConnectionParts {
  /** Asked for each use, so that they can change while running. */
  readonly settings: () => TcpSettings
  readonly users: Pick<Users, 'login' | 'isCurrent' | 'reload'>
  /** What a user may do, by the rules as they are now. */
  readonly rightsOf: (user: User) => Rights
  readonly broker: Pick<Broker, 'publish' | 'refusals'>
  /** Counts what it does. */
  readonly account: TcpAccount
  /** Where the receivers of a topic register. */
  readonly receiversOf: (topic: string) => ReceiverRegister
  readonly logger: Logger
  readonly counters: TcpCounters
  readonly received: Traffic
  readonly sent: Traffic
  readonly onLoggedIn: () => void
  readonly onClosed: () => void
}

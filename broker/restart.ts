import { isDeepStrictEqual } from 'node:util'
import type { Config } from './config.ts'

/** Settings that take effect while the broker runs. */
const changeable: readonly string[] = [
  'idempotencyMs',
  'maxIdempotencyKeys',
  'maxLagBytes',
  'peerTimeoutMs',
  'maxWithheldBytes',
  'maxPushBytes',
  'maxUnpulledBytes',
  'pushAgeMs',
  'pullWindowMessages',
  'pullWindowBytes',
  'maxReceiverBacklogBytes',
  'usersFile',
  'users',
  'reloadUsers',
  'access',
  'tokens',
  'loginTimeoutMs',
  'legacyAckMs',
  'maxTcpConnections',
  'maxTcpAddressConnections',
  'maxTcpUserConnections',
  'maxTcpChannels',
  'tcpPublishesPerS',
  'tcpPublishedBytesPerS',
  'maxLoginFailures',
  'maxReceiverBytes',
  'logLevel',
] satisfies (keyof Config)[]

/** The names of the settings that have changed and cannot be taken over while running. */
export function needRestart(
  { history, ...old }: Config,
  { history: nextHistory, ...next }: Config,
): string[] {
  const before: Readonly<Record<string, unknown>> = old
  const after: Readonly<Record<string, unknown>> = next
  const differing = Object.keys(before).filter(
    name => !changeable.includes(name) && !isDeepStrictEqual(before[name], after[name]),
  )
  return isDeepStrictEqual(history.store, nextHistory.store) ? differing : [...differing, 'history.store']
}

/** Every environment variable of the project. Both programs know all of them, since one start command runs both. */
export const environmentVariables = [
  'POSTERN_ALLOW_ORIGINS',
  'POSTERN_BODY_MS',
  'POSTERN_BROKER',
  'POSTERN_CONFIG',
  'POSTERN_CORS_ORIGINS',
  'POSTERN_CURVE',
  'POSTERN_CURVE_KEYS',
  'POSTERN_DATA',
  'POSTERN_DEFAULT_TOPIC',
  'POSTERN_HEAD_MS',
  'POSTERN_HEARTBEAT_MS',
  'POSTERN_IDLE_MS',
  'POSTERN_INGEST',
  'POSTERN_LEASE_MS',
  'POSTERN_LOG_LEVEL',
  'POSTERN_MAX_ADDRESS_CONNECTIONS',
  'POSTERN_MAX_BUFFERED_BYTES',
  'POSTERN_MAX_CONNECTIONS',
  'POSTERN_MAX_ECHO_BYTES',
  'POSTERN_MAX_HEAD_BYTES',
  'POSTERN_MAX_IDENTITY_CONNECTIONS',
  'POSTERN_MAX_LEASES',
  'POSTERN_MAX_TOPICS',
  'POSTERN_MAX_URL_BYTES',
  'POSTERN_METRICS',
  'POSTERN_METRICS_FROM',
  'POSTERN_MODE',
  'POSTERN_PING_MS',
  'POSTERN_PLAIN',
  'POSTERN_PLAINTEXT',
  'POSTERN_PUBLISHED_BYTES_PER_S',
  'POSTERN_PUBLISHES_PER_S',
  'POSTERN_REQUESTS',
  'POSTERN_RETRY_MS',
  'POSTERN_STREAM',
  'POSTERN_TCP',
  'POSTERN_TRUST_PROXY',
  'POSTERN_USERS',
] as const

/** What is wrong with the names of an environment: the first that only looks like one of ours, as a line for the operator. */
export function unknownVariable(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const known: readonly string[] = environmentVariables
  const name = Object.keys(env).find(name => name.startsWith('POSTERN_') && !known.includes(name))
  return name && `The variable ${name} is not known; known are ${known.join(', ')}.`
}

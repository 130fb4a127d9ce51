import * as v from 'valibot'
import { type CurveKeys, defaultBroker, parseBrokerAddress, readCurveKeys } from '#client'
import { unknownVariable } from '#protocol'
import { AddressList } from './address-list.ts'
import { isOrigin } from './cross-origin.ts'
import { isOriginPattern } from './origin.ts'

/** A setting is wrong: the message names it, its value and what is allowed, and is all that the operator needs. */
export class SettingError extends Error {
  override readonly name = 'SettingError'
}

const text = (pattern: RegExp, rule: string) => v.pipe(v.string(), v.regex(pattern, rule))

const wholeNumber = (from: number, to: number) => {
  const rule = `allowed is a whole number from ${from} to ${to}`
  return v.pipe(
    v.string(),
    v.regex(/^[0-9]{1,12}$/, rule),
    v.transform(Number),
    v.minValue(from, rule),
    v.maxValue(to, rule),
  )
}

function isBrokerAddress(text: string): boolean {
  try {
    parseBrokerAddress(text)
    return true
  } catch {
    return false
  }
}

const curveKeys = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }): CurveKeys | undefined => {
    const { value } = dataset
    if (value === '') return undefined
    try {
      return readCurveKeys(value)
    } catch (error) {
      addIssue({ message: error instanceof Error ? error.message : String(error) })
      return NEVER
    }
  }),
)

function toNames(text: string): readonly string[] {
  return text
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
}

const addresses = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return new AddressList(dataset.value)
    } catch {
      addIssue({
        message: 'allowed is off, or a list of addresses, networks as 10.0.0.0/8 and loopback, with commas',
      })
      return NEVER
    }
  }),
)

const schema = v.object({
  /** The broker's requests socket. */
  POSTERN_BROKER: v.optional(
    v.pipe(v.string(), v.check(isBrokerAddress, 'allowed is tcp://host:port')),
    defaultBroker,
  ),
  /** The keys for a broker that asks for some: the file that `broker keys` has written, or what it holds. */
  POSTERN_CURVE: v.optional(curveKeys, ''),
  /** The HTTP port; 0 takes any free one. */
  PORT: v.optional(wholeNumber(0, 65_535), '3000'),
  /** The HTTP address. Where listhen does not like a name it binds localhost instead, so that is refused here. */
  HOST: v.optional(
    text(/^(?!-)[\d.:A-Za-z-]{1,63}(?<!-)$/, 'allowed is a host name or an address, at most 63 characters'),
    '127.0.0.1',
  ),
  /** What may wait for one connection before it counts as slow, in bytes. */
  POSTERN_MAX_BUFFERED_BYTES: v.optional(wholeNumber(1024, 2 ** 30), '4194304'),
  POSTERN_HEARTBEAT_MS: v.optional(wholeNumber(500, 600_000), '15000'),
  /** How long a subscriber that lost its stream waits before it connects again. */
  POSTERN_RETRY_MS: v.optional(wholeNumber(0, 600_000), '1000'),
  /** Who is meant to reach the functions. In `development` there is the playground, in `test` there is `/echo`. */
  POSTERN_MODE: v.optional(
    v.picklist(['production', 'development', 'test'], 'allowed is production, development or test'),
    'production',
  ),
  /** How often the server pings a WebSocket. One that has not answered by the next is dead. */
  POSTERN_PING_MS: v.optional(wholeNumber(500, 600_000), '30000'),
  /** After how long without a message a WebSocket is closed, looked at with each ping; 0: never. */
  POSTERN_IDLE_MS: v.optional(wholeNumber(0, 86_400_000), '0'),
  /** The hosts of the pages that may use the socket routes. None: each page those of its own host. */
  POSTERN_ALLOW_ORIGINS: v.optional(
    v.pipe(
      v.string(),
      v.toLowerCase(),
      v.transform(toNames),
      v.check(
        hosts => hosts.every(isOriginPattern),
        'allowed is a list of hosts as example.com, example.com:8080 or *.example.com, with commas between them',
      ),
    ),
    '',
  ),
  /** The pages of other origins that may do all that pages of this one may, and read the answers. */
  POSTERN_CORS_ORIGINS: v.optional(
    v.pipe(
      v.string(),
      v.transform(toNames),
      v.check(
        origins => origins.every(isOrigin),
        'allowed is a list of origins as https://example.com or http://localhost:8080, with commas between them',
      ),
    ),
    '',
  ),
  /** The proxies that are believed when they tell whom a request comes from. */
  POSTERN_TRUST_PROXY: v.optional(addresses, 'off'),
  /** Who may read `/metrics`. */
  POSTERN_METRICS_FROM: v.optional(addresses, 'loopback'),
  /** How long a message of `GET /receive` is its receiver's before it goes back unless it is acknowledged. */
  POSTERN_LEASE_MS: v.optional(wholeNumber(100, 86_400_000), '30000'),
  /** How many `GET /receive` may wait, or have messages that are not acknowledged, in one process. */
  POSTERN_MAX_LEASES: v.optional(wholeNumber(1, 1_000_000), '10000'),
  /** How long a client may take to send the head of its first request. */
  POSTERN_HEAD_MS: v.optional(wholeNumber(500, 60_000), '10000'),
  /** How long the body of a request may take, after its head. */
  POSTERN_BODY_MS: v.optional(wholeNumber(500, 3_600_000), '30000'),
  /** The longest head of a request, its address included, in bytes. */
  POSTERN_MAX_HEAD_BYTES: v.optional(wholeNumber(1024, 1_048_576), '16384'),
  /** The longest address of a request, in bytes. */
  POSTERN_MAX_URL_BYTES: v.optional(wholeNumber(64, 1_048_576), '8192'),
  /** Topics of one stream, or of one request for the past. */
  POSTERN_MAX_TOPICS: v.optional(wholeNumber(1, 10_000), '100'),
  /** Connections to this process. */
  POSTERN_MAX_CONNECTIONS: v.optional(wholeNumber(1, 1_000_000), '20000'),
  /** Of these, those of one address; 0: no limit. */
  POSTERN_MAX_ADDRESS_CONNECTIONS: v.optional(wholeNumber(0, 1_000_000), '256'),
  /** Streams, WebSockets and requests that wait of one user or token; 0: no limit. */
  POSTERN_MAX_IDENTITY_CONNECTIONS: v.optional(wholeNumber(0, 1_000_000), '256'),
  /** Messages in a second that one address, and one user or token, may publish; 0: no limit. */
  POSTERN_PUBLISHES_PER_S: v.optional(wholeNumber(0, 100_000_000), '1000'),
  /** Bytes in a second, likewise; 0: no limit. */
  POSTERN_PUBLISHED_BYTES_PER_S: v.optional(wholeNumber(0, 2 ** 34), '8388608'),
  /** The longest message of `/echo`, in bytes. */
  POSTERN_MAX_ECHO_BYTES: v.optional(wholeNumber(1, 2 ** 30), '16777216'),
})

/** What an operator sets for functions, checked. */
export type Settings = v.InferOutput<typeof schema>

/**
 * Reads the settings from the environment. One that is empty counts as not set.
 *
 * @throws SettingError for the first that is wrong.
 */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const unknown = unknownVariable(env)
  if (unknown) throw new SettingError(unknown)
  const set = Object.fromEntries(
    Object.entries(env).filter(([, value]) => value !== undefined && value !== ''),
  )
  const result = v.safeParse(schema, set)
  if (result.success) return result.output
  const [issue] = result.issues
  const name = v.getDotPath(issue) ?? ''
  // Threat: what holds keys must not be in a log.
  const shown = name === 'POSTERN_CURVE' && set[name]?.startsWith('{') ? '{…}' : JSON.stringify(set[name])
  throw new SettingError(`${name} is ${shown}: ${issue.message}.`)
}

import * as v from 'valibot'
import { accessSchema, shownValue, tokensSchema } from './access-settings.ts'
import { curveSockets } from './auth/curve-access.ts'
import { CurveKeysError } from './auth/curve-folder.ts'
import { readUsers, UserListError } from './auth/user-list.ts'
import { ConfigError, ConfigFile } from './config-file.ts'
import { exposure, missingForKeys } from './exposure.ts'
import {
  type Dsn,
  type Endpoint,
  isLoopback,
  parseDsn,
  parseHttpAddress,
  parseTcpAddress,
  type SocketType,
} from './listeners/dsn.ts'
import { logLevels } from './logger.ts'
import { parsePublicTopic, unknownVariable } from './protocol/index.ts'
import { dayMs, type Env, gibibyte, mebibyte, messageOf, settings, text, whole } from './setting.ts'
import { topicsSchema } from './topic-settings.ts'

export { ConfigError }

const topic = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return parsePublicTopic(dataset.value)
    } catch (error) {
      addIssue({ message: `allowed is a topic: ${messageOf(error)}` })
      return NEVER
    }
  }),
)

/** A socket of the broker; `env://` is resolved and the type is checked. */
const socket = (env: Env, type: SocketType, modes: readonly Dsn['mode'][]) =>
  v.pipe(
    text,
    v.rawTransform(({ dataset, addIssue, NEVER }): Dsn => {
      try {
        const dsn = parseDsn(dataset.value, env)
        if (dsn.type !== type) throw new Error(`this socket is of type ${type}`)
        if (!modes.includes(dsn.mode)) throw new Error('this socket binds: zmq-bind://')
        return dsn
      } catch (error) {
        addIssue({ message: messageOf(error) })
        return NEVER
      }
    }),
  )

/** Where plain TCP is listened for; undefined where it is not. */
const tcpAddress = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }): Endpoint | undefined => {
    try {
      return dataset.value === 'off' ? undefined : parseTcpAddress(dataset.value)
    } catch (error) {
      addIssue({ message: messageOf(error) })
      return NEVER
    }
  }),
)

/** Where figures are asked for; undefined where they are not. */
const metricsAddress = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }): Endpoint | undefined => {
    try {
      if (dataset.value === 'off') return undefined
      const endpoint = parseHttpAddress(dataset.value)
      if (!isLoopback(endpoint))
        throw new Error('allowed are loopback addresses: figures are for this machine')
      return endpoint
    } catch (error) {
      addIssue({ message: messageOf(error) })
      return NEVER
    }
  }),
)

/** Takes texts of the form `env://NAME` from the environment: a password does not belong in a file that is shared. */
const fromEnv = (env: Env) =>
  v.rawTransform<Record<string, unknown>, Record<string, unknown>>(({ dataset, addIssue, NEVER }) => {
    const resolved: Record<string, unknown> = {}
    for (const [name, value] of Object.entries(dataset.value)) {
      const variable = typeof value === 'string' ? /^env:\/\/(\w+)$/.exec(value)?.[1] : undefined
      resolved[name] = variable === undefined ? value : env[variable]
      if (resolved[name] !== undefined) continue
      addIssue({ message: `${name} is ${String(value)}, which is not set` })
      return NEVER
    }
    return resolved
  })

const storeSchema = settings({
  /** Any driver of unstorage by its name, or `off`. `fs` without options keeps its files under `data`. */
  driver: v.optional(text, 'fs'),
  /** Handed to the driver as they are. */
  options: v.optional(v.record(v.string(), v.unknown()), {}),
})

const historySchema = settings({
  /** Messages kept for each topic. */
  messages: v.optional(whole(0, 1_000_000), 100),
  /** Bytes kept for each topic. */
  bytes: v.optional(whole(0, gibibyte), mebibyte),
  /** How long a message is kept. */
  ageMs: v.optional(whole(1000, 3650 * dayMs), 7 * dayMs),
  /** Bytes kept in total, in memory too. */
  totalBytes: v.optional(whole(0, 64 * gibibyte), 16 * mebibyte),
  store: v.optional(storeSchema, {}),
})

const keptSchema = (env: Env) =>
  settings({
    /** A connector of db0. */
    connector: v.optional(
      v.picklist(['node-sqlite', 'mysql2'], 'allowed is "node-sqlite" or "mysql2"'),
      'node-sqlite',
    ),
    /** Handed to the connector; a text `env://NAME` stands for what the variable holds. */
    options: v.optional(v.pipe(v.record(v.string(), v.unknown()), fromEnv(env)), {}),
    /** Becomes part of statements. */
    table: v.optional(
      v.pipe(text, v.regex(/^[A-Za-z_]\w{0,47}$/, 'allowed are up to 48 letters, digits and _')),
      'postern_kept',
    ),
    /** So long a publisher waits for the store. */
    waitMs: v.optional(whole(10, 60_000), 2000),
    /** What may wait for the store before publishers are refused. */
    maxWaitingBytes: v.optional(whole(64 * 1024, 16 * gibibyte), 16 * mebibyte),
  })

const schema = (env: Env) =>
  settings({
    /** Where publishers without receipts push to. */
    ingest: v.optional(socket(env, 'PULL', ['bind', 'connect']), 'zmq-bind://PULL@127.0.0.1:5000'),
    /** The payloads of the default topic, one frame each. */
    plain: v.optional(socket(env, 'PUB', ['bind', 'connect']), 'zmq-bind://PUB@127.0.0.1:6000'),
    /** Where functions ask: hello, publish, replay, position, status. */
    requests: v.optional(socket(env, 'ROUTER', ['bind']), 'zmq-bind://ROUTER@127.0.0.1:5001'),
    /** The whole log, for functions. */
    stream: v.optional(socket(env, 'PUB', ['bind']), 'zmq-bind://PUB@127.0.0.1:6001'),
    /** The TCP door, for the clients of PHPMessageBroker: `tcp://127.0.0.1:8887`, or `off`. */
    tcp: v.optional(tcpAddress, 'off'),
    /** Where Prometheus finds `/metrics`: a loopback address such as `http://127.0.0.1:9464`, or `off`. */
    metrics: v.optional(metricsAddress, 'off'),
    /** An htpasswd file of those who may log in, or empty. */
    usersFile: v.optional(v.string('allowed is a file'), ''),
    /** Lines of the same form. They beat the file. */
    users: v.optional(v.array(text, 'allowed is a list of lines name:hash'), []),
    /** Names of those who may have the users read again. */
    reloadUsers: v.optional(v.array(text, 'allowed is a list of names'), []),
    /** Who may do what: the first rule that fits decides, and none refuses. Without any, everybody may everything. */
    access: v.optional(accessSchema, []),
    /** Keys that tokens are signed with. */
    tokens: v.optional(tokensSchema(env), []),
    /** Who has not logged in by then is let go. */
    loginTimeoutMs: v.optional(whole(100, dayMs), 10_000),
    /** After this long a message counts as received by a client that does not acknowledge. */
    legacyAckMs: v.optional(whole(10, dayMs), 1000),
    maxTcpConnections: v.optional(whole(1, 1_000_000), 1000),
    /** Of these, those of one address; 0: no limit. */
    maxTcpAddressConnections: v.optional(whole(0, 1_000_000), 256),
    /** Of these, those of one user; 0: no limit. */
    maxTcpUserConnections: v.optional(whole(0, 1_000_000), 256),
    /** Channels that one of them receives. */
    maxTcpChannels: v.optional(whole(1, 10_000), 16),
    /** Messages in a second of one address, and of one user; 0: no limit. */
    tcpPublishesPerS: v.optional(whole(0, 100_000_000), 1000),
    /** Bytes of these; 0: no limit. */
    tcpPublishedBytesPerS: v.optional(whole(0, 16 * gibibyte), 8 * mebibyte),
    /** Wrong passwords from one address at once, and with one name a tenth of it; then a fiftieth each second. */
    maxLoginFailures: v.optional(whole(1, 1_000_000), 100),
    /** What may wait for one receiver of a topic that is not durable; then it loses its oldest. */
    maxReceiverBytes: v.optional(whole(64 * 1024, 16 * gibibyte), mebibyte),
    /** The folder of keys that `broker keys` has made, or empty: then nobody is asked for a key. */
    curveKeys: v.optional(v.string('allowed is a folder'), ''),
    /** The sockets that do not, for clients without CURVE on the same machine. */
    curveExempt: v.optional(
      v.pipe(
        v.array(
          v.picklist(curveSockets, `allowed is a list of ${curveSockets.join(', ')}`),
          'allowed is a list of sockets',
        ),
        v.check(
          sockets => sockets.includes('requests') === sockets.includes('stream'),
          'requests and stream go together, since functions need both',
        ),
      ),
      [],
    ),
    /**
     * Where the sockets may be reached without encryption: `loopback`, or `anywhere` for a network that nobody else
     * can enter.
     */
    plaintext: v.optional(
      v.picklist(['loopback', 'anywhere'], 'allowed is "loopback" or "anywhere"'),
      'loopback',
    ),
    /** The folder of the journal and the history. Only one broker uses it at a time. */
    data: v.optional(text, 'data'),
    defaultTopic: v.optional(topic, 'chat'),
    maxPayloadBytes: v.optional(whole(1, 64 * mebibyte), 256 * 1024),
    /** The newest part of the log, kept for repairs and resumes: what it takes in memory, and that much of the journal. */
    tailBytes: v.optional(whole(64 * 1024, 16 * gibibyte), 8 * mebibyte),
    history: v.optional(historySchema, {}),
    topics: v.optional(topicsSchema, {}),
    kept: v.optional(keptSchema(env), {}),
    /** What may wait for a receiver that is slower than the others of its topic. */
    maxReceiverBacklogBytes: v.optional(whole(64 * 1024, 16 * gibibyte), mebibyte),
    /** How long an idempotency key is remembered. */
    idempotencyMs: v.optional(whole(0, dayMs), 10 * 60 * 1000),
    /** How many keys are remembered; about 300 bytes each. */
    maxIdempotencyKeys: v.optional(whole(0, 1_000_000), 20_000),
    /** Receipts are withheld while even the fastest functions process is further behind. */
    maxLagBytes: v.optional(whole(mebibyte, 16 * gibibyte), 4 * mebibyte),
    /** What may wait for withheld receipts before publishers are refused. */
    maxWithheldBytes: v.optional(whole(64 * 1024, 16 * gibibyte), 16 * mebibyte),
    /** What all push topics may hold until it is flushed. Each may hold as much as is free beside it. */
    maxPushBytes: v.optional(whole(64 * 1024, 16 * gibibyte), 16 * mebibyte),
    /** Of that, what may wait on topics that nobody pulls. */
    maxUnpulledBytes: v.optional(whole(0, 16 * gibibyte), 8 * mebibyte),
    /** How long a message waits for a puller. */
    pushAgeMs: v.optional(whole(1000, 3650 * dayMs), 60 * 60 * 1000),
    /** A puller that has not flushed so many messages … */
    pullWindowMessages: v.optional(whole(1, 1_000_000), 64),
    /** … or so many bytes gets no more. */
    pullWindowBytes: v.optional(whole(1, gibibyte), 64 * 1024),
    /** A functions process that has been silent for longer holds nothing back, and loses its pullers. */
    peerTimeoutMs: v.optional(whole(100, dayMs), 10_000),
    /** ZMQ_SNDHWM of the stream, in batches for each functions process. */
    streamHighWaterMark: v.optional(whole(1, 1_000_000), 64),
    /** ZMQ_SNDHWM of the plain socket, in messages for each subscriber: a burst of this size is not cut. */
    plainHighWaterMark: v.optional(whole(1, 10_000_000), 10_000),
    logLevel: v.optional(v.picklist(logLevels, `allowed is ${logLevels.join(', ')}`), 'info'),
  })

/** Every setting of the broker, checked. */
export type Config = v.InferOutput<ReturnType<typeof schema>>

/** The settings that an environment variable sets; it beats the file. */
const variables = {
  POSTERN_INGEST: 'ingest',
  POSTERN_PLAIN: 'plain',
  POSTERN_REQUESTS: 'requests',
  POSTERN_STREAM: 'stream',
  POSTERN_TCP: 'tcp',
  POSTERN_METRICS: 'metrics',
  POSTERN_USERS: 'usersFile',
  POSTERN_CURVE_KEYS: 'curveKeys',
  POSTERN_PLAINTEXT: 'plaintext',
  POSTERN_DATA: 'data',
  POSTERN_DEFAULT_TOPIC: 'defaultTopic',
  POSTERN_LOG_LEVEL: 'logLevel',
} as const

/**
 * Reads the configuration: the file, then the environment over it.
 *
 * @throws ConfigError for the first setting that is wrong or unknown.
 */
export function loadConfig(env: Env): Config {
  const unknown = unknownVariable(env)
  if (unknown) throw new ConfigError(unknown)
  const file = ConfigFile.read(env['POSTERN_CONFIG'] || undefined)
  const found: Record<string, unknown> = { ...file?.settings }
  const set = new Map<string, string>()
  for (const [variable, setting] of Object.entries(variables)) {
    const value = env[variable]
    if (value === undefined || value === '') continue
    found[setting] = value
    set.set(setting, variable)
  }
  const result = v.safeParse(schema(env), found)
  const sources = new Sources(file, set)
  if (!result.success) throw sources.errorOf(result.issues)
  checkExposure(result.output, sources)
  checkUsers(result.output, sources)
  return result.output
}

/** What has set the settings: the file, and the environment over it. */
class Sources {
  readonly #file: ConfigFile | undefined
  readonly #variables: ReadonlyMap<string, string>

  constructor(file: ConfigFile | undefined, variables: ReadonlyMap<string, string>) {
    this.#file = file
    this.#variables = variables
  }

  errorOf(issues: readonly [v.BaseIssue<unknown>, ...v.BaseIssue<unknown>[]]): ConfigError {
    const [first, ...others] = issues
    const placed = (issue: v.BaseIssue<unknown>) => this.#placed(keysOf(issue), this.#messageOf(issue))
    return new ConfigError(this.#messageOf(first), [placed(first), ...others.map(placed)])
  }

  error(setting: keyof Config, message: string): ConfigError {
    return new ConfigError(message, [this.#placed([setting], message)])
  }

  #placed(path: readonly (string | number)[], message: string): string {
    const isInFile = this.#file && path[0] !== undefined && !this.#variables.has(String(path[0]))
    return isInFile ? `${this.#file?.placeOf(path)}: ${message}` : message
  }

  #messageOf(issue: v.BaseIssue<unknown>): string {
    const setting = v.getDotPath(issue) ?? '(the file)'
    const variable = this.#variables.get(setting)
    const name = variable ? `${variable} (${setting})` : setting
    const value = issue.path ? issue.path.at(-1)?.value : issue.input
    return `The setting ${name} is ${shownValue(setting, value)}: ${issue.message}.`
  }
}

function keysOf(issue: v.BaseIssue<unknown>): (string | number)[] {
  return (issue.path ?? []).flatMap(({ key }) =>
    typeof key === 'string' || typeof key === 'number' ? [key] : [],
  )
}

/** No key is in what is told. */
function checkExposure(config: Config, sources: Sources): void {
  try {
    const wrong = exposure(config) ?? missingForKeys(config)
    if (wrong) throw sources.error(wrong.setting, wrong.message)
  } catch (error) {
    throw error instanceof CurveKeysError
      ? sources.error('curveKeys', `The setting curveKeys: ${error.message}.`)
      : error
  }
}

/** The lines are not in what is told: their hashes are nobody's business. */
function checkUsers(config: Config, sources: Sources): void {
  try {
    readUsers(config)
  } catch (error) {
    if (!(error instanceof UserListError)) throw error
    throw sources.error(config.usersFile === '' ? 'users' : 'usersFile', error.message)
  }
}

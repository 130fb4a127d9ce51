import { readFileSync } from 'node:fs'
import { type ParseError, parse, printParseErrorCode } from 'jsonc-parser'
import * as v from 'valibot'
import { readUsers, UserListError } from './auth/user-list.ts'
import {
  type Dsn,
  type Endpoint,
  isLoopback,
  parseDsn,
  parseTcpAddress,
  type SocketType,
} from './listeners/dsn.ts'
import { logLevels } from './logger.ts'
import { parsePublicTopic, unknownVariable } from './protocol/index.ts'
import { parsePattern } from './topic-rules.ts'

/** A setting is wrong: the message names it, its value and what is allowed, and is all that the operator needs. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

type Env = Readonly<Record<string, string | undefined>>

const whole = (from: number, to: number) =>
  v.pipe(
    v.number(`allowed is a whole number from ${from} to ${to}`),
    v.check(
      value => Number.isInteger(value) && value >= from && value <= to,
      `allowed is a whole number from ${from} to ${to}`,
    ),
  )

const text = v.pipe(v.string('allowed is a text'), v.nonEmpty('allowed is a text that is not empty'))

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

/** An object in which nothing but these settings may stand. */
const settings = <Entries extends v.ObjectEntries>(entries: Entries) =>
  v.strictObject(entries, ({ expected }) =>
    expected === 'never'
      ? `it is not known; known are ${Object.keys(entries).join(', ')}`
      : 'allowed is an object',
  )

const mebibyte = 1024 * 1024
const gibibyte = 1024 * mebibyte
const dayMs = 24 * 60 * 60 * 1000

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

const topicSchema = settings({
  /** Keeps each message on disk until a receiver has acknowledged it. */
  durable: v.optional(v.boolean('allowed is true or false'), false),
  /** So many receivers, in the order of their arrival, get messages. 0: all of them. */
  receivers: v.optional(whole(0, 1_000_000), 0),
  /** Whether each of them gets each message, or one of them. */
  delivery: v.optional(v.picklist(['all', 'one'], 'allowed is "all" or "one"'), 'all'),
  /** Messages kept before publishers are refused. */
  maxKept: v.optional(whole(1, 1_000_000_000), 1_000_000),
  /** Bytes of payloads kept before publishers are refused. */
  maxKeptBytes: v.optional(whole(1, 1024 * gibibyte), gibibyte),
  /** What is older goes. 0: nothing goes by its age. */
  keptAgeS: v.optional(whole(0, 315_360_000), 0),
  /** A message that came back so often goes to `$dead/<topic>`. 0: never. */
  maxDeliveries: v.optional(whole(0, 1_000_000), 0),
  /** Refuses messages that the clients of PHPMessageBroker cannot take. */
  legacy: v.optional(v.boolean('allowed is true or false'), false),
})

/** Topics by a pattern; the first that fits holds. */
const topicsSchema = v.pipe(
  v.record(v.string(), topicSchema, 'allowed is an object of topics'),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return
    for (const pattern of Object.keys(dataset.value)) {
      const wrong = whatIsWrong(() => {
        if (parsePattern(pattern) !== pattern) throw new Error('a topic must not end in a slash')
      })
      if (wrong === undefined) continue
      addIssue({
        message: `the pattern is not a topic in which * stands for a segment, or ** at the end for all below: ${wrong}`,
        path: [{ type: 'object', origin: 'key', input: dataset.value, key: pattern, value: pattern }],
      })
    }
  }),
)

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
    /** An htpasswd file of those who may log in there, or empty. */
    usersFile: v.optional(v.string('allowed is a file'), ''),
    /** Lines of the same form. They beat the file. */
    users: v.optional(v.array(text, 'allowed is a list of lines name:hash'), []),
    /** Names of those who may have the users read again. */
    reloadUsers: v.optional(v.array(text, 'allowed is a list of names'), []),
    /** Who has not logged in by then is let go. */
    loginTimeoutMs: v.optional(whole(100, dayMs), 10_000),
    /** After this long a message counts as received by a client that does not acknowledge. */
    legacyAckMs: v.optional(whole(10, dayMs), 1000),
    maxTcpConnections: v.optional(whole(1, 1_000_000), 1000),
    /** What may wait for one receiver of a topic that is not durable; then it loses its oldest. */
    maxReceiverBytes: v.optional(whole(64 * 1024, 16 * gibibyte), mebibyte),
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
  POSTERN_USERS: 'usersFile',
  POSTERN_PLAINTEXT: 'plaintext',
  POSTERN_DATA: 'data',
  POSTERN_DEFAULT_TOPIC: 'defaultTopic',
  POSTERN_LOG_LEVEL: 'logLevel',
} as const

/** The file that is read when `POSTERN_CONFIG` names none. It may be missing. */
export const defaultConfigFile = 'broker.config.jsonc'

/**
 * Reads the configuration: the file, then the environment over it.
 *
 * @throws ConfigError for the first setting that is wrong or unknown.
 */
export function loadConfig(env: Env): Config {
  const unknown = unknownVariable(env)
  if (unknown) throw new ConfigError(unknown)
  const found: Record<string, unknown> = { ...readConfigFile(env['POSTERN_CONFIG'] || undefined) }
  const sources = new Map<string, string>()
  for (const [variable, setting] of Object.entries(variables)) {
    const value = env[variable]
    if (value === undefined || value === '') continue
    found[setting] = value
    sources.set(setting, variable)
  }
  const result = v.safeParse(schema(env), found)
  if (!result.success) throw toConfigError(result.issues[0], sources)
  checkPlaintext(result.output)
  checkUsers(result.output)
  return result.output
}

function readConfigFile(path: string | undefined): object {
  let content: string
  try {
    content = readFileSync(path ?? defaultConfigFile, 'utf8').replace(/^\uFEFF/, '')
  } catch (error) {
    if (path === undefined && isMissing(error)) return {}
    throw new ConfigError(`The config file ${path ?? defaultConfigFile} cannot be read: ${messageOf(error)}`)
  }
  const errors: ParseError[] = []
  const value: unknown = parse(content, errors, { allowTrailingComma: true })
  const [first] = errors
  if (first) {
    const line = content.slice(0, first.offset).split('\n').length
    throw new ConfigError(`${path ?? defaultConfigFile}, line ${line}: ${printParseErrorCode(first.error)}.`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConfigError(`${path ?? defaultConfigFile} must hold one object.`)
  }
  return value
}

function toConfigError(issue: v.BaseIssue<unknown>, sources: ReadonlyMap<string, string>): ConfigError {
  const setting = v.getDotPath(issue) ?? '(the file)'
  const variable = sources.get(setting)
  const name = variable ? `${variable} (${setting})` : setting
  const value = issue.path ? issue.path.at(-1)?.value : issue.input
  return new ConfigError(`The setting ${name} is ${JSON.stringify(value)}: ${issue.message}.`)
}

/** Threat: a socket without encryption on an open address lets anybody publish, and read every message. */
function checkPlaintext(config: Config): void {
  if (config.plaintext === 'anywhere') return
  for (const setting of ['ingest', 'plain', 'requests', 'stream', 'tcp'] as const) {
    const endpoints = setting === 'tcp' ? (config.tcp ? [config.tcp] : []) : config[setting].endpoints
    const open = endpoints.find(endpoint => !isLoopback(endpoint))
    if (!open) continue
    throw new ConfigError(
      `The setting ${setting} names ${open.host}:${open.port}: without encryption only loopback addresses are allowed. ` +
        'Reach it through a tunnel, or set plaintext to "anywhere" (POSTERN_PLAINTEXT) on a network that nobody else can enter.',
    )
  }
}

/** The lines are not in what is told: their hashes are nobody's business. */
function checkUsers(config: Config): void {
  try {
    readUsers(config)
  } catch (error) {
    throw error instanceof UserListError ? new ConfigError(error.message) : error
  }
}

function whatIsWrong(check: () => void): string | undefined {
  try {
    check()
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '')
}

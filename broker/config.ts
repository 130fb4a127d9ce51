import { readFileSync } from 'node:fs'
import { type ParseError, parse, printParseErrorCode } from 'jsonc-parser'
import * as v from 'valibot'
import { type Dsn, isLoopback, parseDsn, type SocketType } from './listeners/dsn.ts'
import { logLevels } from './logger.ts'
import { parsePublicTopic, unknownVariable } from './protocol/index.ts'

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
    /** The newest part of the log, kept in memory and in the journal for repairs and resumes. */
    tailBytes: v.optional(whole(64 * 1024, 16 * gibibyte), 8 * mebibyte),
    history: v.optional(historySchema, {}),
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
  for (const setting of ['ingest', 'plain', 'requests', 'stream'] as const) {
    const open = config[setting].endpoints.find(endpoint => !isLoopback(endpoint))
    if (!open) continue
    throw new ConfigError(
      `The setting ${setting} names ${open.host}:${open.port}: without encryption only loopback addresses are allowed. ` +
        'Reach it through a tunnel, or set plaintext to "anywhere" (POSTERN_PLAINTEXT) on a network that nobody else can enter.',
    )
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replace(/\.$/, '')
}

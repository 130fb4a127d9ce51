import { type Backbone, Relay } from '#client'
import { PublishLimits, type Rate } from '#limits'
import { type Logger, processLogger } from '#logger'
import type { AddressList } from './address-list.ts'
import type { ArrivalLimits } from './arrivals.ts'
import { ConnectionLimits } from './connection-limits.ts'
import { Gate } from './gate.ts'
import { Leases } from './leases.ts'
import { OpenStreams } from './open-streams.ts'
import type { OriginRule } from './origin.ts'
import { RequestIds } from './request-ids.ts'
import { readSettings, type Settings } from './settings.ts'
import type { Siblings } from './siblings.ts'
import { Tally } from './tally.ts'

/** What the routes need from the process that they run in. */
export interface Context {
  readonly backbone: Backbone
  readonly log: Pick<Logger, 'info' | 'error' | 'limited'>
  readonly streams: OpenStreams
  /** The open WebSockets: their heartbeat is a ping. */
  readonly sockets: OpenStreams
  /** What is received over HTTP, until it is acknowledged. */
  readonly leases: Leases
  /** Lets clients in, where there are rules. */
  readonly gate: Gate
  /** After so long without a message a WebSocket is closed; 0: never. */
  readonly idleMs: number
  /** Which pages may use the socket routes. */
  readonly originRule: OriginRule
  /** The proxies that are believed when they tell whom a request comes from. */
  readonly trustProxy: AddressList
  /** Who may read `/metrics`. */
  readonly metricsFrom: AddressList
  /** What this process has done. */
  readonly tally: Tally
  /** The other workers, where there are any. */
  readonly siblings?: Pick<Siblings, 'readAll'> | undefined
  /** The longest message that `/echo` takes. */
  readonly maxEchoBytes: number
  /** How long a client may take to send the head of its first request. */
  readonly headMs: number
  /** The pages of other origins that may do what pages of this one may, and read the answers. */
  readonly corsOrigins: ReadonlySet<string>
  readonly limits: Limits
  readonly requestIds: RequestIds
  /** How long a subscriber that lost its stream waits before it connects again. */
  readonly retryMs: number
  readonly mode: Settings['POSTERN_MODE']
  /** As `Math.random`. */
  readonly random: () => number
}

/** How much of this process a client may have. */
export interface Limits extends Omit<ArrivalLimits, 'headMs' | 'trustProxy' | 'refused'> {
  readonly maxUrlBytes: number
  /** Topics of one stream, or of one request for the past. */
  readonly maxTopics: number
  readonly publishing: PublishLimits
  readonly connections: ConnectionLimits
}

export interface ContextOptions {
  readonly backbone: Backbone
  readonly log: Pick<Logger, 'info' | 'error' | 'limited'>
  readonly settings: Pick<
    Settings,
    | 'POSTERN_HEARTBEAT_MS'
    | 'POSTERN_RETRY_MS'
    | 'POSTERN_MODE'
    | 'POSTERN_PING_MS'
    | 'POSTERN_IDLE_MS'
    | 'POSTERN_ALLOW_ORIGINS'
    | 'POSTERN_CORS_ORIGINS'
    | LimitSetting
    | 'POSTERN_MAX_ECHO_BYTES'
    | 'POSTERN_LEASE_MS'
    | 'POSTERN_MAX_LEASES'
    | 'POSTERN_HEAD_MS'
    | 'POSTERN_TRUST_PROXY'
    | 'POSTERN_METRICS_FROM'
  >
  /** Default: a new one. */
  readonly tally?: Tally
  readonly siblings?: Pick<Siblings, 'readAll'> | undefined
  /** Default: `Math.random`. */
  readonly random?: () => number
}

/** The settings that are limits. */
const limitSettings = [
  'POSTERN_BODY_MS',
  'POSTERN_MAX_HEAD_BYTES',
  'POSTERN_MAX_URL_BYTES',
  'POSTERN_MAX_TOPICS',
  'POSTERN_MAX_CONNECTIONS',
  'POSTERN_MAX_ADDRESS_CONNECTIONS',
  'POSTERN_MAX_IDENTITY_CONNECTIONS',
  'POSTERN_PUBLISHES_PER_S',
  'POSTERN_PUBLISHED_BYTES_PER_S',
] as const satisfies readonly (keyof Settings)[]
type LimitSetting = (typeof limitSettings)[number]

/** A client that has just come is not asked at once whether it is still there. */
const firstPingFrom = 0.75

export function createContext({
  backbone,
  log,
  settings,
  tally = new Tally(),
  siblings,
  random = Math.random,
}: ContextOptions): Context {
  const streams = new OpenStreams(settings.POSTERN_HEARTBEAT_MS, random)
  const sockets = new OpenStreams(settings.POSTERN_PING_MS, random, firstPingFrom)
  return {
    backbone,
    log,
    streams,
    leases: new Leases({
      backbone,
      streams,
      door: tally.door('receive'),
      leaseMs: settings.POSTERN_LEASE_MS,
      maxLeases: settings.POSTERN_MAX_LEASES,
    }),
    sockets,
    gate: new Gate({
      backbone,
      onRules() {
        streams.dismiss()
        sockets.dismiss()
      },
    }),
    idleMs: settings.POSTERN_IDLE_MS,
    originRule: {
      allowOrigins: settings.POSTERN_ALLOW_ORIGINS,
      allowsAny: settings.POSTERN_MODE === 'development' && settings.POSTERN_ALLOW_ORIGINS.length === 0,
    },
    trustProxy: settings.POSTERN_TRUST_PROXY,
    metricsFrom: settings.POSTERN_METRICS_FROM,
    tally,
    siblings,
    maxEchoBytes: settings.POSTERN_MAX_ECHO_BYTES,
    headMs: settings.POSTERN_HEAD_MS,
    corsOrigins: new Set(settings.POSTERN_CORS_ORIGINS),
    limits: limitsOf(settings),
    requestIds: new RequestIds(random),
    retryMs: settings.POSTERN_RETRY_MS,
    mode: settings.POSTERN_MODE,
    random,
  }
}

function limitsOf(settings: Pick<Settings, LimitSetting>): Limits {
  const perAddress = settings.POSTERN_MAX_ADDRESS_CONNECTIONS
  return {
    bodyMs: settings.POSTERN_BODY_MS,
    maxHeadBytes: settings.POSTERN_MAX_HEAD_BYTES,
    maxUrlBytes: settings.POSTERN_MAX_URL_BYTES,
    maxTopics: settings.POSTERN_MAX_TOPICS,
    maxConnections: settings.POSTERN_MAX_CONNECTIONS,
    perAddress,
    connections: new ConnectionLimits({ perAddress, perIdentity: settings.POSTERN_MAX_IDENTITY_CONNECTIONS }),
    publishing: new PublishLimits({
      messages: rateOf(settings, 'POSTERN_PUBLISHES_PER_S'),
      bytes: rateOf(settings, 'POSTERN_PUBLISHED_BYTES_PER_S'),
      nowMs: () => performance.now(),
    }),
  }
}

function rateOf<Name extends LimitSetting>(settings: Pick<Settings, Name>, setting: Name): Rate {
  return { setting, perSecond: () => settings[setting] }
}

/** Connects to the broker of the settings. */
export function createBackbone(settings: Settings, logger: Logger, tally: Tally): Backbone {
  return new Relay({
    broker: settings.POSTERN_BROKER,
    ...(settings.POSTERN_CURVE && { curve: settings.POSTERN_CURVE }),
    maxBufferedBytes: settings.POSTERN_MAX_BUFFERED_BYTES,
    onState: state => (state === 'up' ? logger.info('broker-up') : logger.error('broker-away')),
    onRefused: reason => logger.limited('broker-refuses', { reason }),
    onRepaired: messages => {
      tally.repairs++
      tally.repairedMessages += messages
      logger.limited('repaired', { messages })
    },
    onLag: messages => {
      tally.lagMessages = messages
    },
  })
}

const log = processLogger('functions')
const tally = new Tally()

let made: Context | undefined

function make(): Context {
  const settings = readSettings(process.env)
  made = createContext({ backbone: createBackbone(settings, log, tally), tally, log, settings })
  return made
}

/**
 * The context of a host that mounts single files: one for all of them in a process. Its parts are made when a
 * request needs them, since loading a file must neither connect nor fail.
 */
export const sharedContext: Context = {
  log,
  tally,
  random: Math.random,
  get backbone() {
    return (made ?? make()).backbone
  },
  get streams() {
    return (made ?? make()).streams
  },
  get sockets() {
    return (made ?? make()).sockets
  },
  get leases() {
    return (made ?? make()).leases
  },
  get gate() {
    return (made ?? make()).gate
  },
  get idleMs() {
    return (made ?? make()).idleMs
  },
  get originRule() {
    return (made ?? make()).originRule
  },
  get trustProxy() {
    return (made ?? make()).trustProxy
  },
  get metricsFrom() {
    return (made ?? make()).metricsFrom
  },
  get maxEchoBytes() {
    return (made ?? make()).maxEchoBytes
  },
  get headMs() {
    return (made ?? make()).headMs
  },
  get corsOrigins() {
    return (made ?? make()).corsOrigins
  },
  get limits() {
    return (made ?? make()).limits
  },
  get requestIds() {
    return (made ?? make()).requestIds
  },
  get retryMs() {
    return (made ?? make()).retryMs
  },
  get mode() {
    return (made ?? make()).mode
  },
}

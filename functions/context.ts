import { type Backbone, Relay } from '#client'
import { type Logger, processLogger } from '#logger'
import { OpenStreams } from './open-streams.ts'
import { readSettings, type Settings } from './settings.ts'

/** What the routes need from the process that they run in. */
export interface Context {
  readonly backbone: Backbone
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly streams: OpenStreams
  /** How long a subscriber that lost its stream waits before it connects again. */
  readonly retryMs: number
  /** As `Math.random`. */
  readonly random: () => number
}

export interface ContextOptions {
  readonly backbone: Backbone
  readonly log: Pick<Logger, 'info' | 'error'>
  readonly settings: Pick<Settings, 'POSTERN_HEARTBEAT_MS' | 'POSTERN_RETRY_MS'>
  /** Default: `Math.random`. */
  readonly random?: () => number
}

export function createContext({ backbone, log, settings, random = Math.random }: ContextOptions): Context {
  return {
    backbone,
    log,
    streams: new OpenStreams(settings.POSTERN_HEARTBEAT_MS, random),
    retryMs: settings.POSTERN_RETRY_MS,
    random,
  }
}

/** Connects to the broker of the settings. */
export function createBackbone(settings: Settings, logger: Logger): Backbone {
  return new Relay({
    broker: settings.POSTERN_BROKER,
    maxBufferedBytes: settings.POSTERN_MAX_BUFFERED_BYTES,
    onState: state => (state === 'up' ? logger.info('broker-up') : logger.error('broker-away')),
    onRepaired: messages => logger.limited('repaired', { messages }),
  })
}

const log = processLogger('functions')

let made: Context | undefined

function make(): Context {
  const settings = readSettings(process.env)
  made = createContext({ backbone: createBackbone(settings, log), log, settings })
  return made
}

/**
 * The context of a host that mounts single files: one for all of them in a process. Its parts are made when a
 * request needs them, since loading a file must neither connect nor fail.
 */
export const sharedContext: Context = {
  log,
  random: Math.random,
  get backbone() {
    return (made ?? make()).backbone
  },
  get streams() {
    return (made ?? make()).streams
  },
  get retryMs() {
    return (made ?? make()).retryMs
  },
}

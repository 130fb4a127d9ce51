import cluster from 'node:cluster'
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { Backbone } from '#client'
import { processLogger, tellFailure } from '#logger'
import { findServiceManager, type ServiceManager } from '#service-manager'
import { type Context, createBackbone, createContext } from './context.ts'
import { exposure } from './exposure.ts'
import { AddressError, type HostKind, serve } from './server.ts'
import { proveServing } from './serving.ts'
import { readSettings, SettingError } from './settings.ts'
import { Tally } from './tally.ts'
import { Workers } from './workers.ts'

const help = `Usage: functions [--host listhen|node] [--workers N|auto]

Serves HTTP, Server-Sent Events and WebSocket for a broker.

  --host listhen   the local listener (default)
  --host node      Node's own HTTP server, for production
  --workers N      processes that share the port; auto is one for each processor (1)
  --help           this text

Environment (default):
  POSTERN_BROKER              the broker's requests socket (tcp://127.0.0.1:5001)
  POSTERN_CURVE               the file of keys for a broker that asks for some (none)
  PORT                        the HTTP port; 0 takes any free one (3000)
  HOST                        the HTTP address (127.0.0.1)
  POSTERN_MAX_BUFFERED_BYTES  what may wait for one connection (4194304)
  POSTERN_HEARTBEAT_MS        how often a quiet stream shows that it is alive (15000)
  POSTERN_RETRY_MS            how long a subscriber waits before it connects again (1000)
  POSTERN_MODE                production, development or test (production)
  POSTERN_PING_MS             how often a WebSocket is pinged (30000)
  POSTERN_IDLE_MS             after how long without a message it is closed; 0 is never (0)
  POSTERN_ALLOW_ORIGINS       the pages that may use the socket routes (those of the same host)
  POSTERN_LEASE_MS            how long a received message waits for its acknowledgement (30000)
  POSTERN_MAX_LEASES          receivers over HTTP that wait or hold messages (10000)
  POSTERN_HEAD_MS             how long a new connection may take to send a head (10000)
  POSTERN_BODY_MS             how long the body of a request may take (30000)
  POSTERN_CORS_ORIGINS        the pages of other origins that may do what those of this one may (none)
  POSTERN_TRUST_PROXY         proxies that tell whom a request comes from, such as loopback (off)
  POSTERN_METRICS_FROM        who may read /metrics (loopback)
  POSTERN_MAX_CONNECTIONS     connections to one process (20000)
  POSTERN_MAX_ADDRESS_CONNECTIONS    of these, those of one address; 0 is no limit (256)
  POSTERN_MAX_IDENTITY_CONNECTIONS   streams and WebSockets of one user or token; 0 is no limit (256)
  POSTERN_PUBLISHES_PER_S            messages in a second of one address or user; 0 is no limit (1000)
  POSTERN_PUBLISHED_BYTES_PER_S      bytes in a second of these; 0 is no limit (8388608)
  POSTERN_MAX_TOPICS          topics of one stream (100)
  POSTERN_MAX_HEAD_BYTES      the longest head of a request (16384)
  POSTERN_MAX_URL_BYTES       the longest address of a request (8192)
  POSTERN_MAX_ECHO_BYTES      the longest message of /echo, in test mode (16777216)

The exit code is 0 after a stop, 1 when it has failed, 2 when a setting or an option is wrong.
`

const log = processLogger('functions')

async function start(): Promise<void> {
  const wanted = readArguments()
  if (!wanted) return
  const settings = readSettings(process.env)
  if (wanted.workers > 1 && cluster.isPrimary) return startWorkers(wanted.workers)
  const tally = new Tally()
  const backbone = createBackbone(settings, log, tally)
  await refuseExposure(backbone, exposure(settings))
  const siblings = cluster.isWorker ? await meetSiblings({ tally, backbone }) : undefined
  const context = createContext({ backbone, tally, siblings, log, settings })
  const server = await serve({ host: wanted.host, hostname: settings.HOST, port: settings.PORT, context })
  // Of several workers it is their parent that speaks.
  const manager = cluster.isWorker ? undefined : managerOf(server.url)
  // Before anybody is told: whoever waits for it may stop this process at once.
  stopWhenAsked(() => {
    manager?.stopping()
    return server.close()
  })
  log.info('listening', { url: server.url, host: wanted.host, broker: settings.POSTERN_BROKER })
  manager?.ready()
  process.send?.({ event: 'listening', url: server.url })
}

/**
 * Ends the process where there are no rules and others can reach it: at the start, and when the broker says so later.
 * While it has not said anything nobody is let in.
 */
async function refuseExposure(backbone: Backbone, reason: string | undefined): Promise<void> {
  if (reason === undefined) return
  const look = () => {
    if (!backbone.access?.isOpen) return
    tellFailure(reason)
    process.exit(1)
  }
  backbone.onAccessChange(look)
  // A broker that is away may come later.
  await backbone.ready().catch(() => {})
  look()
}

/** One process alone does without their weight. */
async function meetSiblings(context: Pick<Context, 'tally' | 'backbone'>): Promise<Context['siblings']> {
  const { Siblings } = await import('./siblings.ts')
  return new Siblings(async () => (await import('./readings.ts')).functionsReadings(context))
}

function managerOf(url: string): ServiceManager {
  return findServiceManager({
    prove: () => proveServing(url),
    onTrouble: reason => log.error('service-manager', { reason }),
  })
}

function startWorkers(count: number): void {
  let manager: ServiceManager | undefined
  const workers = new Workers({
    count,
    logger: log,
    onServing(url) {
      log.info('serving', { url, workers: count })
      manager = managerOf(url)
      manager.ready()
      process.send?.({ event: 'listening', url })
    },
    onFailed() {
      workers.stop().then(() => process.exit(1))
    },
  })
  stopWhenAsked(() => {
    manager?.stopping()
    return workers.stop()
  })
}

interface Wanted {
  readonly host: HostKind
  readonly workers: number
}

function readArguments(): Wanted | undefined {
  const { values } = parseArgs({
    options: { host: { type: 'string' }, workers: { type: 'string' }, help: { type: 'boolean' } },
  })
  if (values.help) {
    process.stdout.write(help)
    return undefined
  }
  const { host = 'listhen', workers = '1' } = values
  if (host !== 'listhen' && host !== 'node')
    throw new SettingError(`--host is ${JSON.stringify(host)}: allowed is listhen or node.`)
  if (workers !== 'auto' && !/^[1-9][0-9]{0,2}$/.test(workers))
    throw new SettingError(
      `--workers is ${JSON.stringify(workers)}: allowed is a number from 1 to 999, or auto.`,
    )
  return { host, workers: workers === 'auto' ? availableParallelism() : Number(workers) }
}

function stopWhenAsked(close: () => Promise<void>): void {
  let stopping = false
  const stop = async (reason: string) => {
    // A terminal's Ctrl-C reaches this process and the one that started it, which then asks once more.
    if (stopping) return
    stopping = true
    log.info('stopping', { reason })
    await close()
    process.exit(0)
  }
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
  // The program that started this one has ended without a word.
  process.on('disconnect', () => stop('disconnect'))
}

start().catch((error: unknown) => {
  const isWrongUse = error instanceof SettingError || (error instanceof TypeError && 'code' in error)
  const isTold = isWrongUse || error instanceof AddressError
  tellFailure(String(error instanceof Error ? (isTold ? error.message : error.stack) : error))
  // 2: trying again does not mend it. An address that is taken may be free a moment later.
  process.exit(isWrongUse ? 2 : 1)
})

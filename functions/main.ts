import { parseArgs } from 'node:util'
import { processLogger } from '#logger'
import { createBackbone, createContext } from './context.ts'
import { type HostKind, type RunningServer, serve } from './server.ts'
import { readSettings, SettingError } from './settings.ts'

const help = `Usage: node functions/main.ts [--host listhen|node]

Serves HTTP and Server-Sent Events for a broker.

  --host listhen   the local listener (default)
  --host node      Node's own HTTP server, for production
  --help           this text

Environment (default):
  POSTERN_BROKER              the broker's requests socket (tcp://127.0.0.1:5001)
  PORT                        the HTTP port; 0 takes any free one (3000)
  HOST                        the HTTP address (127.0.0.1)
  POSTERN_MAX_BUFFERED_BYTES  what may wait for one connection (4194304)
  POSTERN_HEARTBEAT_MS        how often a quiet stream shows that it is alive (15000)
  POSTERN_RETRY_MS            how long a subscriber waits before it connects again (1000)
`

const log = processLogger('functions')

async function start(): Promise<void> {
  const host = readArguments()
  if (!host) return
  const settings = readSettings(process.env)
  const context = createContext({ backbone: createBackbone(settings, log), log, settings })
  const server = await serve({ host, hostname: settings.HOST, port: settings.PORT, context })
  log.info('listening', { url: server.url, host, broker: settings.POSTERN_BROKER })
  stopWhenAsked(server)
  process.send?.({ event: 'listening', url: server.url })
}

function readArguments(): HostKind | undefined {
  const { values } = parseArgs({ options: { host: { type: 'string' }, help: { type: 'boolean' } } })
  if (values.help) {
    process.stdout.write(help)
    return undefined
  }
  const host = values.host ?? 'listhen'
  if (host !== 'listhen' && host !== 'node')
    throw new SettingError(`--host is ${JSON.stringify(host)}: allowed is listhen or node.`)
  return host
}

function stopWhenAsked(server: RunningServer): void {
  let stopping = false
  const stop = async (reason: string) => {
    // A terminal's Ctrl-C reaches this process and the one that started it, which then asks once more.
    if (stopping) return
    stopping = true
    log.info('stopping', { reason })
    await server.close()
    process.exit(0)
  }
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
  // The program that started this one has ended without a word.
  process.on('disconnect', () => stop('disconnect'))
}

start().catch((error: unknown) => {
  const isUsage = error instanceof SettingError || (error instanceof TypeError && 'code' in error)
  process.stderr.write(`${error instanceof Error ? (isUsage ? error.message : error.stack) : error}\n`)
  process.exit(1)
})

import { parseArgs } from 'node:util'
import packageJson from '../package.json' with { type: 'json' }
import { type Config, ConfigError, loadConfig } from './config.ts'
import { endpointAddress } from './listeners/dsn.ts'
import { processLogger } from './logger.ts'
import { type BrokerService, startBroker } from './service.ts'

const help = `postern broker ${packageJson.version}

Usage: node broker/main.ts [run] [--help] [--version]

Settings come from broker.config.jsonc, or the file that POSTERN_CONFIG names, and from the environment:
  POSTERN_INGEST         where publishers push to       zmq-bind://PULL@127.0.0.1:5000
  POSTERN_PLAIN          payloads of the default topic  zmq-bind://PUB@127.0.0.1:6000
  POSTERN_REQUESTS       where functions ask            zmq-bind://ROUTER@127.0.0.1:5001
  POSTERN_STREAM         the whole log, for functions   zmq-bind://PUB@127.0.0.1:6001
  POSTERN_TCP            for PHPMessageBroker's clients off, or such as tcp://127.0.0.1:8887
  POSTERN_USERS          htpasswd file of those who may log in there
  POSTERN_CURVE_KEYS     folder of keys, then asked for on ZeroMQ
  POSTERN_DATA           folder of journal and history  data
  POSTERN_DEFAULT_TOPIC  topic of messages without one  chat
  POSTERN_PLAINTEXT      loopback, or anywhere on a private network
  POSTERN_LOG_LEVEL      debug, info, warn, error

Signals: SIGTERM and SIGINT stop the broker in order, SIGHUP reads the settings again.

Example: POSTERN_DATA=/var/lib/postern node broker/main.ts
`

const exit = { failed: 1, wrongUse: 2 } as const

async function main(): Promise<void> {
  const { values, positionals } = readArguments()
  if (values.help) return void process.stdout.write(help)
  if (values.version) return void process.stdout.write(`${packageJson.version}\n`)
  if (positionals.length > 1 || (positionals[0] ?? 'run') !== 'run') {
    fail(`The command ${positionals.join(' ')} is not known. Try --help.`, exit.wrongUse)
  }
  await run(loadConfig(process.env))
}

async function run(config: Config): Promise<void> {
  let { logLevel } = config
  const logger = processLogger('broker', () => logLevel)
  const service = await startBroker(config, { logger })
  const { endpoints } = service
  const addresses = Object.entries(endpoints).map(([name, list]) => [
    name,
    list.map(endpointAddress).join(';'),
  ])
  const fields: Record<string, string> = Object.fromEntries(addresses)
  const stop = stopOnce(service, signal => logger.info('stopping', { signal }))
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  process.on('disconnect', () => stop('disconnect'))
  process.on('SIGHUP', () => {
    try {
      const next = loadConfig(process.env)
      const unchanged = service.reload(next)
      logLevel = next.logLevel
      logger.info('reloaded', unchanged.length > 0 ? { needsRestart: unchanged.join(' ') } : {})
    } catch (error) {
      logger.error('reload-failed', { reason: error instanceof Error ? error.message : String(error) })
    }
  })

  logger.info('listening', { ...fields, data: config.data, pid: process.pid })
  // The program that has started this one waits for it, and takes it along when it ends.
  process.send?.({ event: 'listening', ...fields })
}

/** A second signal while it stops changes nothing: Ctrl-C reaches a whole group of processes, some of them twice. */
function stopOnce(service: BrokerService, onStop: (signal: string) => void): (signal: string) => void {
  let isStopping = false
  return signal => {
    if (isStopping) return
    isStopping = true
    onStop(signal)
    service.stop().then(
      () => process.exit(0),
      (error: unknown) => fail(`The stop failed: ${String(error)}`, exit.failed),
    )
  }
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } },
    })
  } catch (error) {
    fail(`${error instanceof Error ? error.message : String(error)} Try --help.`, exit.wrongUse)
  }
}

function fail(line: string, code: number): never {
  process.stderr.write(`postern broker: ${line}\n`)
  process.exit(code)
}

main().catch((error: unknown) => {
  if (error instanceof ConfigError) fail(error.message, exit.wrongUse)
  fail(error instanceof Error ? error.message : String(error), exit.failed)
})

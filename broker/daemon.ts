import { type Config, ConfigError, loadConfig } from './config.ts'
import { tryToWrite } from './journal/trial.ts'
import { endpointAddress } from './listeners/dsn.ts'
import { processLogger, tellFailure } from './logger.ts'
import { type BrokerService, startBroker } from './service.ts'
import { findServiceManager } from './service-manager.ts'

/** Runs the broker until it is told to stop. Ends the process: with 0, 1 when it fails, 2 for a wrong setting. */
export async function runBroker(): Promise<void> {
  try {
    await start(loadConfig(process.env))
  } catch (error) {
    if (error instanceof ConfigError) fail(error.problems[0], 2)
    fail(error instanceof Error ? error.message : String(error), 1)
  }
}

async function start(config: Config): Promise<void> {
  let { logLevel } = config
  const logger = processLogger('broker', () => logLevel)
  const service = await startBroker(config, { logger })
  const { endpoints } = service
  const addresses = Object.entries(endpoints).map(([name, list]) => [
    name,
    list.map(endpointAddress).join(';'),
  ])
  const fields: Record<string, string> = Object.fromEntries(addresses)
  if (service.metrics) fields['metrics'] = service.metrics
  const manager = findServiceManager({
    // A restart does not make room on a disk: the broker goes on, refuses what it cannot write, and says so.
    prove: () => tryToWrite(config.data),
    onTrouble: reason => logger.error('service-manager', { reason }),
  })
  const stop = stopOnce(service, signal => {
    logger.info('stopping', { signal })
    manager.stopping()
  })
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
      const [reason] = error instanceof ConfigError ? error.problems : [String(error)]
      logger.error('reload-failed', { reason })
    }
    manager.reloaded()
  })

  logger.info('listening', { ...fields, data: config.data, pid: process.pid })
  manager.ready()
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
      (error: unknown) => fail(`The stop failed: ${String(error)}`, 1),
    )
  }
}

function fail(line: string, code: number): never {
  tellFailure(`postern broker: ${line}`)
  process.exit(code)
}

/**
 * A broker that kills itself with SIGKILL at a chosen point of a chosen batch: `FAULT=point:batch`, the point one of
 * `before-journal`, `after-journal` (not streamed, not receipted) and `after-stream` (not receipted).
 */

import { loadConfig } from '../../broker/config.ts'
import { endpointAddress } from '../../broker/listeners/dsn.ts'
import { createLogger } from '../../broker/logger.ts'
import { startBroker } from '../../broker/service.ts'

const [point, batch] = (process.env['FAULT'] ?? 'none:0').split(':')
let batches = 0

function dieAt(here: string): void {
  if (here === point && batches === Number(batch)) process.kill(process.pid, 'SIGKILL')
}

const logger = createLogger({
  program: 'broker',
  write: line => process.stdout.write(line),
  isTerminal: false,
  nowMs: Date.now,
})
const { endpoints, stop } = await startBroker(loadConfig(process.env), {
  logger,
  wrap: {
    journal: journal => ({
      append(appended, keys) {
        batches++
        dieAt('before-journal')
        journal.append(appended, keys)
        dieAt('after-journal')
      },
      retire: through => journal.retire(through),
      close: () => journal.close(),
    }),
    output: output => ({
      plain: payload => output.plain(payload),
      stream(bytes) {
        output.stream(bytes)
        dieAt('after-stream')
      },
    }),
  },
})
process.on('SIGTERM', () => void stop().then(() => process.exit(0)))
const told = Object.entries(endpoints).map(([name, list]) => [name, list.map(endpointAddress).join(';')])
process.send?.({ event: 'listening', ...Object.fromEntries(told) })

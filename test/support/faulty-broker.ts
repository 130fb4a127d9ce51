/**
 * A broker that kills itself with SIGKILL at a chosen point of a chosen batch: `FAULT=point:batch`, the point one of
 * `before-journal`, `after-journal` (not streamed, not receipted) and `after-stream` (not receipted). Or of a chosen
 * transaction of the store of kept messages: `before-commit` and `after-commit` (not in the log) of one that adds,
 * `before-removal` and `after-removal` (not confirmed) of one that removes.
 */

import { loadConfig } from '../../broker/config.ts'
import { endpointAddress } from '../../broker/listeners/dsn.ts'
import { createLogger } from '../../broker/logger.ts'
import { startBroker } from '../../broker/service.ts'

const [point, batch] = (process.env['FAULT'] ?? 'none:0').split(':')
let batches = 0
let additions = 0
let removals = 0

function dieAt(here: string, count = batches): void {
  if (here === point && count === Number(batch)) process.kill(process.pid, 'SIGKILL')
}

const logger = createLogger({
  program: 'broker',
  write: line => process.stdout.write(line),
  form: 'json',
  nowMs: Date.now,
})
const { endpoints, stop } = await startBroker(loadConfig(process.env), {
  logger,
  wrap: {
    journal: journal => ({
      append(appended, keys, keptThrough) {
        batches++
        dieAt('before-journal')
        journal.append(appended, keys, keptThrough)
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
    store: store => ({
      open: () => store.open(),
      async apply(change) {
        if (change.add.length > 0) dieAt('before-commit', ++additions)
        if (change.remove.length > 0) dieAt('before-removal', ++removals)
        await store.apply(change)
        if (change.add.length > 0) dieAt('after-commit', additions)
        if (change.remove.length > 0) dieAt('after-removal', removals)
      },
      read: query => store.read(query),
      close: () => store.close(),
    }),
  },
})
process.on('SIGTERM', () => void stop().then(() => process.exit(0)))
const told = Object.entries(endpoints).map(([name, list]) => [name, list.map(endpointAddress).join(';')])
process.send?.({ event: 'listening', ...Object.fromEntries(told) })

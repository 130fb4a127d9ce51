import { setImmediate as nextTurn } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { Relay } from '../../broker/client/index.ts'
import type { BrokerStatus } from '../../broker/protocol/index.ts'
import type { AtEnd, BrokerProcess } from './processes.ts'

/** Asks a broker how it is, through a relay of its own, until the end. */
export function watch(broker: Pick<BrokerProcess, 'requests'>, atEnd: AtEnd = onTestFinished) {
  const relay = new Relay({ broker: broker.requests })
  let isOver = false
  atEnd(() => {
    isOver = true
    return relay.close()
  })
  /** Resolves when the broker has told what is looked for. */
  const until = async (found: (status: BrokerStatus) => boolean) => {
    while (!isOver) {
      const status = await relay.status().catch(() => undefined)
      if (status && found(status)) return
      // While the broker is away the answer comes at once.
      await nextTurn()
    }
    throw new Error('the test has ended before')
  }
  return { relay, status: () => relay.status(), until }
}

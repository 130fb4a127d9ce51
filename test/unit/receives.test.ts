import { describe, expect, it } from 'vitest'
import { Receives } from '../../broker/client/receives.ts'
import type { ReceiveSteps } from '../../broker/protocol/index.ts'
import { BackboneReceiver } from '../support/backbone-receiver.ts'
import { messageOf } from '../support/messages.ts'
import { settled } from '../support/model-log.ts'

/** The receivers of a process, and what the broker was told of them. */
function begin() {
  const told: ReceiveSteps[] = []
  let known = 0
  const receives = new Receives({
    isUp: () => true,
    brokerMs: () => 0,
    tell: async steps => {
      told.push(steps)
      known += steps.open.length - steps.close.length
      return { op: 'receive', seq: 1, receivers: known, refused: [], unknown: [] }
    },
  })
  /** What was told since the last time. */
  const heard = async () => {
    await new Promise(resolve => setImmediate(resolve))
    await settled()
    return told.splice(0)
  }
  const deliver = (to: number[], offsets: number[]) =>
    receives.take(
      {
        op: 'deliver',
        seq: null,
        to,
        deliveries: to.map(() => 1),
        untilMs: 1000,
        slow: [],
        done: [],
      },
      offsets.map(offset => messageOf({ offset })),
    )
  return { receives, heard, deliver }
}

describe('the broker is told', () => {
  it('once that a receiver is gone, however many messages were on their way to it', async () => {
    const { receives, heard, deliver } = begin()
    const receiving = receives.add('sms', new BackboneReceiver(), {})
    await heard()
    receiving.close()
    expect((await heard()).map(({ close }) => close)).toEqual([[1]])
    deliver([1, 1, 1], [1, 2, 3])
    expect((await heard()).map(({ close }) => close)).toEqual([[1]])
  })

  it('of many receivers in requests that a broker of any settings reads', async () => {
    const { receives, heard } = begin()
    for (let i = 0; i < 250; i++) receives.add(`${'x'.repeat(250)}/${i}`, new BackboneReceiver(), {})
    expect((await heard()).map(({ open }) => open.length)).toEqual([100, 100, 50])
  })
})

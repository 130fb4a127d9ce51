import { setTimeout as delay } from 'node:timers/promises'
import type { Backbone } from '../client/backbone.ts'
import type { Message } from '../protocol/index.ts'

/** How long messages may be under way when no more are published. */
const arriveWithinMs = 10_000

export interface Round {
  readonly topic: string
  /** Publishes that wait for their receipts at any moment. */
  readonly underWay: number
  /** Of each payload: at least 8, for its number. */
  readonly bytes: number
  readonly durationMs: number
  /** Called with each receipt: the share of the time that is over, from 0 to 1 and somewhat more. */
  readonly onProgress: (share: number) => void
}

export interface RoundResult {
  readonly messages: number
  readonly perSecond: number
  /** From publish to receipt, ascending. */
  readonly receiptMs: readonly number[]
  /** From publish to the subscriber, ascending. */
  readonly deliveryMs: readonly number[]
}

/**
 * Publishes for a while with so many under way, and subscribes to it.
 *
 * @throws Error when a message was refused, or did not come once and in order.
 */
export async function runRound(backbone: Backbone, round: Round): Promise<RoundResult> {
  const { topic, underWay, bytes, durationMs, onProgress } = round
  const sentMs: number[] = []
  const receiptMs: number[] = []
  const deliveryMs: number[] = []
  const arrived = Promise.withResolvers<void>()
  let total = Number.POSITIVE_INFINITY
  const begun = Promise.withResolvers<void>()
  const take = (message: Message) => {
    const number = Buffer.from(message.payload.buffer, message.payload.byteOffset).readUInt32LE()
    if (number !== deliveryMs.length) throw new Error(`message ${number} came as number ${deliveryMs.length}`)
    deliveryMs.push(performance.now() - (sentMs[number] ?? 0))
    if (deliveryMs.length === total) arrived.resolve()
  }
  const subscription = backbone.subscribe(
    { topics: [topic], exact: true },
    {},
    {
      start: () => begun.resolve(),
      gap: () => arrived.reject(new Error('The broker has lost messages before they were delivered.')),
      deliver(messages) {
        messages.forEach(take)
        return true
      },
      end: reason => arrived.reject(new Error(`The subscription has ended: ${reason}.`)),
    },
  )
  arrived.promise.catch(() => {})
  try {
    await begun.promise
    const startedMs = performance.now()
    const publish = async () => {
      for (;;) {
        const nowMs = performance.now()
        if (nowMs - startedMs >= durationMs) return
        const payload = Buffer.alloc(bytes)
        payload.writeUInt32LE(sentMs.push(nowMs) - 1)
        await backbone.publish({ topic, type: '', binary: true, payload })
        receiptMs.push(performance.now() - nowMs)
        onProgress((performance.now() - startedMs) / durationMs)
      }
    }
    await Promise.all(Array.from({ length: underWay }, publish))
    const seconds = (performance.now() - startedMs) / 1000
    total = sentMs.length
    if (deliveryMs.length < total)
      await Promise.race([arrived.promise, late(() => total - deliveryMs.length)])
    const ascending = (list: number[]) => list.sort((a, b) => a - b)
    return {
      messages: total,
      perSecond: total / seconds,
      receiptMs: ascending(receiptMs),
      deliveryMs: ascending(deliveryMs),
    }
  } finally {
    subscription.close()
  }
}

async function late(missing: () => number): Promise<never> {
  await delay(arriveWithinMs, undefined, { ref: false })
  throw new Error(
    `${missing()} messages had a receipt and were not delivered within ${arriveWithinMs / 1000} s.`,
  )
}

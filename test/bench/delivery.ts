import type { Scale } from './bench.ts'
import type { Load, LoadResult, PublishPlan } from './load.ts'
import { processorSeconds } from './meter.ts'
import type { FanOut } from './systems/fan-out.ts'
import type { Column } from './table.ts'
import type { Run } from './trial.ts'

/** The columns of everything that is delivered to connections. */
export const deliveryColumns: readonly Column[] = [
  { key: 'usPerDelivery', title: 'µs/delivery', digits: 2, hasSpread: true, hasRatio: true },
  { key: 'brokerUsPerDelivery', title: 'broker µs', digits: 2 },
  { key: 'deliveriesPerSecond', title: 'deliveries/s', digits: 0, hasRatio: true },
  { key: 'messagesPerSecond', title: 'messages/s', digits: 0 },
  { key: 'p50Ms', title: 'p50 ms', digits: 1 },
  { key: 'p99Ms', title: 'p99 ms', digits: 1 },
  { key: 'p999Ms', title: 'p99.9 ms', digits: 1 },
]

/** For so many seconds; in a smoke run for so many messages instead, which can be counted on. */
export function until(scale: Scale, seconds: number): Pick<PublishPlan, 'seconds' | 'count'> {
  return scale.isQuick ? { count: 20 } : { seconds }
}

/** Does a piece of work and tells what it cost the processes of a system. */
export async function metered(system: FanOut, work: () => Promise<LoadResult>): Promise<Run> {
  const before = [processorSeconds(system.pids), processorSeconds(system.brokerPids)] as const
  const result = await work()
  const after = [processorSeconds(system.pids), processorSeconds(system.brokerPids)] as const
  return toRun(
    result,
    { own: after[0] - before[0], broker: after[1] - before[1] },
    system.brokerPids.length > 0,
  )
}

/** Publishes what the connections of a load wait for. */
export function deliver(load: Load, system: FanOut, plan: PublishPlan, path?: string): Promise<Run> {
  return metered(system, () => load.publish(system, plan, path))
}

function toRun(
  result: LoadResult,
  processor: { readonly own: number; readonly broker: number },
  hasBroker: boolean,
): Run {
  const { deliveries, messages, seconds, answeredSeconds, wrong, wrongs } = result
  const usPer = (count: number, spent: number) => (1e6 * spent) / Math.max(1, count)
  return {
    wrongs,
    figures: {
      messages,
      deliveries,
      connections: result.connections,
      wrong,
      seconds,
      usPerDelivery: usPer(deliveries, processor.own),
      usPerMessage: usPer(messages, processor.own),
      ...(hasBroker && {
        brokerUsPerDelivery: usPer(deliveries, processor.broker),
        brokerUsPerMessage: usPer(messages, processor.broker),
      }),
      deliveriesPerSecond: deliveries / seconds,
      messagesPerSecond: messages / Math.max(seconds, 1e-6),
      postsPerSecond: messages / Math.max(answeredSeconds, 1e-6),
      p50Ms: result.p50Us / 1000,
      p99Ms: result.p99Us / 1000,
      p999Ms: result.p999Us / 1000,
      maxMs: result.maxUs / 1000,
    },
  }
}

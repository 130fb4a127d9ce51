import AggregatorRegistry from 'prom-client/lib/cluster.js'
import type { Reading } from './reading.ts'

/** What Prometheus is answered. */
export interface Exposition {
  readonly contentType: string
  readonly text: string
}

/**
 * Writes figures in Prometheus' text format.
 *
 * @param processes the readings of each process; together they are told as those of one.
 */
export async function exposition(processes: readonly (readonly Reading[])[]): Promise<Exposition> {
  const registry = AggregatorRegistry.aggregate([...processes])
  return { contentType: registry.contentType, text: await registry.metrics() }
}

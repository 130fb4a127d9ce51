/** A figure as Prometheus takes it, read at one moment: plain data, which can be sent from one process to another. */
export interface Reading {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  /** What several processes together have: their sum, the largest of them, or that of any of them. */
  readonly aggregator: 'sum' | 'max' | 'first'
  readonly values: readonly ReadingValue[]
}

export interface ReadingValue {
  readonly value: number
  readonly labels: Readonly<Record<string, string>>
  /** Where one figure has several rows: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string
}

/** What only grows while the process runs. @param name ends in `_total`. */
export function counter(name: string, help: string, value: number | readonly ReadingValue[]): Reading {
  return { name, help, type: 'counter', aggregator: 'sum', values: valuesOf(value) }
}

/** What goes up and down. */
export function gauge(
  name: string,
  help: string,
  value: number | readonly ReadingValue[],
  aggregator: Reading['aggregator'] = 'sum',
): Reading {
  return { name, help, type: 'gauge', aggregator, values: valuesOf(value) }
}

/** One value for each entry of a record, whose name becomes a label. */
export function labelled(label: string, values: Readonly<Record<string, number>>): ReadingValue[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }))
}

function valuesOf(value: number | readonly ReadingValue[]): readonly ReadingValue[] {
  return typeof value === 'number' ? [{ labels: {}, value }] : value
}

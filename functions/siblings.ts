import * as v from 'valibot'
import type { Reading } from '#metrics'

/** So long the parent may take to ask all its workers. */
const askMs = 2000

const reading = v.object({
  name: v.string(),
  help: v.string(),
  type: v.picklist(['counter', 'gauge', 'histogram']),
  aggregator: v.picklist(['sum', 'max', 'first']),
  values: v.array(
    v.object({
      value: v.number(),
      labels: v.record(v.string(), v.string()),
      metricName: v.exactOptional(v.string()),
    }),
  ),
})

const told = v.variant('event', [
  v.object({ event: v.literal('tell-readings'), round: v.number() }),
  v.object({ event: v.literal('all-readings'), round: v.number(), processes: v.array(v.array(reading)) }),
])

/** The other workers that share the port, seen from one of them: their parent asks them. */
export class Siblings {
  readonly #own: () => Promise<readonly Reading[]>
  readonly #asked = new Map<number, (processes: readonly (readonly Reading[])[]) => void>()
  #round = 0

  /** @param own the figures of this process. */
  constructor(own: () => Promise<readonly Reading[]>) {
    this.#own = own
    process.on('message', message => void this.#hear(message))
  }

  /** The figures of all workers, those left out that do not answer; of this one alone, where the parent does not. */
  async readAll(): Promise<readonly (readonly Reading[])[]> {
    const round = ++this.#round
    const { promise, resolve } = Promise.withResolvers<readonly (readonly Reading[])[]>()
    const timer = setTimeout(resolve, askMs, [])
    this.#asked.set(round, resolve)
    process.send?.({ event: 'want-readings', round })
    const processes = await promise
    clearTimeout(timer)
    this.#asked.delete(round)
    return processes.length > 0 ? processes : [await this.#own()]
  }

  async #hear(message: unknown): Promise<void> {
    const { success, output } = v.safeParse(told, message)
    if (!success) return
    if (output.event === 'all-readings') this.#asked.get(output.round)?.(output.processes)
    else process.send?.({ event: 'readings', round: output.round, readings: await this.#own() })
  }
}

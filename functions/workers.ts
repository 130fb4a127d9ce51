import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import type { Logger } from '#logger'
import { WorkerReadings } from './worker-readings.ts'

/** A worker that ends sooner than this was not well to begin with: the next one waits before it is tried. */
const wellAfterMs = 1000
const retryMs = 1000

export interface WorkersOptions {
  readonly count: number
  readonly logger: Logger
  /** All workers serve, at this address; called once. */
  readonly onServing: (url: string) => void
  /** No worker could begin to serve: what it had to say stands in the log. */
  readonly onFailed: () => void
}

/** Several processes that share a port, each with its own way to the broker. One that ends is replaced. */
export class Workers {
  readonly #options: WorkersOptions
  readonly #serving = new Set<Worker>()
  readonly #readings = new WorkerReadings()
  #isServing = false
  #isStopping = false

  constructor(options: WorkersOptions) {
    this.#options = options
    // Each accepts from the shared socket itself. Handed over by this process, a connection would wait for ever when
    // its worker dies on the way.
    cluster.schedulingPolicy = cluster.SCHED_NONE
    for (let i = 0; i < options.count; i++) this.#fork()
  }

  /** Ends all workers in order. */
  async stop(): Promise<void> {
    this.#isStopping = true
    const workers = Object.values(cluster.workers ?? {}).filter(worker => worker !== undefined)
    const ended = workers.filter(worker => !worker.isDead()).map(worker => once(worker, 'exit'))
    for (const worker of workers) worker.process.kill('SIGTERM')
    await Promise.all(ended)
  }

  #fork(): void {
    const startedMs = performance.now()
    const worker = cluster.fork()
    worker.on('message', (told: unknown) => this.#hear(worker, told))
    worker.on('exit', (code, signal) => {
      this.#serving.delete(worker)
      if (this.#isStopping) return
      const { logger, onFailed } = this.#options
      logger.error('worker-ended', { pid: worker.process.pid, code, signal })
      // A setting that is wrong for one is wrong for all: trying again would only say it again.
      if (!this.#isServing) return onFailed()
      const wasWell = performance.now() - startedMs > wellAfterMs
      setTimeout(() => this.#replace(), wasWell ? 0 : retryMs)
    })
  }

  #replace(): void {
    if (!this.#isStopping) this.#fork()
  }

  #hear(worker: Worker, told: unknown): void {
    if (this.#readings.hear(worker, told)) return
    const url = typeof told === 'object' && told !== null && 'url' in told ? told.url : undefined
    if (typeof url !== 'string') return
    this.#serving.add(worker)
    if (this.#isServing || this.#serving.size < this.#options.count) return
    this.#isServing = true
    this.#options.onServing(url)
  }
}

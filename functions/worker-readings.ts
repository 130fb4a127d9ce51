import cluster, { type Worker } from 'node:cluster'

/** A worker that has not answered by then is left out: it does not turn its event loop. */
const answerMs = 1000

interface Round {
  readonly asker: Worker
  readonly askedAs: unknown
  readonly processes: unknown[]
  left: number
  readonly timer: NodeJS.Timeout
}

/** The parent's part in gathering the figures of all workers for one that is asked. It looks into none of them. */
export class WorkerReadings {
  readonly #rounds = new Map<number, Round>()
  #last = 0

  /** @returns whether it was about this. */
  hear(worker: Worker, told: unknown): boolean {
    if (typeof told !== 'object' || told === null || !('event' in told) || !('round' in told)) return false
    if (told.event === 'want-readings') this.#ask(worker, told.round)
    else if (told.event === 'readings' && 'readings' in told) this.#take(told.round, told.readings)
    else return false
    return true
  }

  #ask(asker: Worker, askedAs: unknown): void {
    const number = ++this.#last
    const workers = Object.values(cluster.workers ?? {}).filter(worker => worker?.isConnected())
    const timer = setTimeout(() => this.#answer(number), answerMs)
    this.#rounds.set(number, { asker, askedAs, processes: [], left: workers.length, timer })
    for (const worker of workers) worker?.send({ event: 'tell-readings', round: number })
  }

  #take(number: unknown, readings: unknown): void {
    const round = typeof number === 'number' ? this.#rounds.get(number) : undefined
    if (!round || typeof number !== 'number') return
    round.processes.push(readings)
    round.left--
    if (round.left === 0) this.#answer(number)
  }

  #answer(number: number): void {
    const round = this.#rounds.get(number)
    if (!round) return
    this.#rounds.delete(number)
    clearTimeout(round.timer)
    const { asker, askedAs, processes } = round
    if (asker.isConnected()) asker.send({ event: 'all-readings', round: askedAs, processes })
  }
}

import { type Batch, type Position, Tail } from '../protocol/index.ts'

/** What arrives during a repair is held up to here; beyond it, it is dropped and repaired like any other hole. */
const maxHeldBytes = 4 * 1024 * 1024

/** Part of the log as a replay gives it. */
export interface LogPage {
  readonly gap: boolean
  readonly through: Position
  /** Whether the log goes on after `through`. */
  readonly more: boolean
  readonly batches: readonly Batch[]
}

export interface ChainOptions {
  /** The newest part of the log that is kept here, for resumes that need not ask the broker. */
  readonly tailBytes: number
  /** Asks the broker for the log after a position. Rejects when it cannot be reached. */
  readonly replay: (since: Position) => Promise<LogPage>
  /** The next batch: every offset once, in order. */
  readonly onBatch: (batch: Batch) => void
  /** Batches are missing for good after the old position: the chain goes on at its new one. */
  readonly onBreak: (old: Position) => void
  /** The stream speaks of another epoch: the broker has to be asked what is true. */
  readonly onForeignEpoch: () => void
}

/**
 * The whole log as one unbroken chain, made of a stream that may drop and a broker that can repeat. A hole is a
 * batch that does not begin where the last one ended; nothing after it passes before it is repaired.
 */
export class Chain {
  readonly #options: ChainOptions
  #tail: Tail | undefined
  #held: Batch[] = []
  #heldBytes = 0
  #isRepairing = false
  #isRepairWanted = false

  constructor(options: ChainOptions) {
    this.#options = options
  }

  /** The newest part of the log; undefined until the broker was reached once. */
  get tail(): Tail | undefined {
    return this.#tail
  }

  get position(): Position | undefined {
    return this.#tail?.position
  }

  /** The broker has said hello: the log goes on, or a new one begins there. */
  meet(newest: Position): void {
    if (!this.#tail) this.#tail = new Tail(this.#options.tailBytes, newest)
    else if (this.#tail.position.epoch !== newest.epoch || newest.offset < this.#tail.position.offset) {
      // Another log, or an old copy of this one: what is seen here is not what will follow.
      this.#jump(newest)
    } else return this.reach(newest.offset)
    this.#takeHeld()
  }

  /** A batch of the stream. */
  take(batch: Batch): void {
    const position = this.position
    if (!position) return this.#hold(batch)
    if (batch.epoch !== position.epoch) return this.#options.onForeignEpoch()
    if (this.#isRepairing) return this.#hold(batch)
    if (batch.first > position.offset + 1) {
      this.#hold(batch)
      void this.#repair()
      return
    }
    this.#apply(batch)
  }

  /** The log is known to reach this far: what is missing until there is fetched. */
  reach(offset: number): void {
    if (this.position && offset > this.position.offset) void this.#repair()
  }

  #apply(batch: Batch): void {
    if (!this.#tail || batch.first !== this.#tail.position.offset + 1 || batch.last < batch.first) return
    this.#tail.push(batch)
    this.#options.onBatch(batch)
  }

  #hold(batch: Batch): void {
    if (this.#heldBytes + batch.bytes.length > maxHeldBytes) return
    this.#held.push(batch)
    this.#heldBytes += batch.bytes.length
  }

  #takeHeld(): void {
    const held = this.#held
    this.#held = []
    this.#heldBytes = 0
    for (const batch of held) this.take(batch)
  }

  async #repair(): Promise<void> {
    this.#isRepairWanted = true
    if (this.#isRepairing) return
    this.#isRepairing = true
    try {
      while (this.#isRepairWanted && this.position) {
        this.#isRepairWanted = false
        const { epoch } = this.position
        const page = await this.#options.replay(this.position)
        if (this.position.epoch !== epoch) {
          // A hello came first: what was asked about the old epoch must not lead back to it.
          this.#isRepairWanted = true
          continue
        }
        if (page.gap || page.through.epoch !== epoch) this.#jump(page.through)
        for (const batch of page.batches) this.#apply(batch)
        this.#isRepairWanted ||= page.more
      }
    } catch {
      // The broker is away. Its hello, or the next batch of the stream, begins the repair anew, and fetches
      // again what is let go of here.
      this.#held = []
      this.#heldBytes = 0
    } finally {
      this.#isRepairing = false
    }
    this.#takeHeld()
  }

  #jump(to: Position): void {
    if (!this.#tail) return
    const old = this.#tail.position
    this.#tail.restart(to)
    this.#options.onBreak(old)
  }
}

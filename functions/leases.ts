import type { Backbone } from '#client'
import { PosternError } from '#protocol'
import { Lease, type LeaseRequest } from './lease.ts'
import type { OpenStreams } from './open-streams.ts'
import type { DoorTally } from './tally.ts'

export interface LeasesOptions {
  readonly backbone: Pick<Backbone, 'receive'>
  /** Tells those who wait that this process stops. */
  readonly streams: OpenStreams
  readonly door: DoorTally
  /** How long a message may be on its way to being acknowledged. */
  readonly leaseMs: number
  /** How many leases there may be, of those who wait as well. */
  readonly maxLeases: number
}

/** The leases of this process. Of one that runs nothing is in memory but a timer. */
export class Leases {
  readonly leaseMs: number
  readonly #options: LeasesOptions
  readonly #open = new Set<Lease>()

  constructor(options: LeasesOptions) {
    this.leaseMs = options.leaseMs
    this.#options = options
  }

  get size(): number {
    return this.#open.size
  }

  /**
   * Begins to receive messages of a durable topic.
   *
   * @throws PosternError `BACKLOG_FULL` when there are too many.
   */
  begin(request: LeaseRequest): Lease {
    const { maxLeases: limit } = this.#options
    if (this.#open.size >= limit)
      throw new PosternError(
        'BACKLOG_FULL',
        `Too many receive already, or have not acknowledged what they have. The limit is ${limit} (POSTERN_MAX_LEASES).`,
        { limit, setting: 'POSTERN_MAX_LEASES' },
      )
    const { door } = this.#options
    const onOver = () => {
      this.#open.delete(lease)
      door.leave()
    }
    const lease = new Lease({ ...this.#options, onOver })
    this.#open.add(lease)
    door.enter()
    lease.begin(request)
    return lease
  }
}

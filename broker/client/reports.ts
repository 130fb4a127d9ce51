/** How many members one request opens at most: topics are long, and a broker may be set to read small requests. */
const maxOpened = 100

/** What else one request tells at most. */
const maxSteps = 1000

export interface ReportsOptions<Step> {
  readonly isUp: () => boolean
  /** All that the broker should know, by their numbers. */
  readonly members: ReadonlyMap<number, unknown>
  /**
   * Tells the broker of members that it may not know, and of what has happened to others.
   *
   * @param isAll nothing is left to tell after this.
   */
  readonly tell: (members: readonly number[], steps: readonly Step[], isAll: boolean) => void
}

/** What the broker has to know of the pullers or receivers of a process, gathered in each turn of the event loop. */
export class Reports<Step> {
  readonly #options: ReportsOptions<Step>
  /** Members that the broker does not know yet, or may have lost. */
  #untold = new Set<number>()
  #steps: Step[] = []
  #session: string | undefined
  #isDeferred = false
  #isInDoubt = false

  constructor(options: ReportsOptions<Step>) {
    this.#options = options
  }

  /** The process of the broker that is told. */
  get session(): string | undefined {
    return this.#session
  }

  /** The broker is to be told of a member, as it is when it is told. */
  announce(member: number): void {
    this.#untold.add(member)
    this.#defer()
  }

  /** A member is no more. @returns whether the broker was still to be told of it. */
  forget(member: number): boolean {
    return this.#untold.delete(member)
  }

  note(step: Step): void {
    this.#steps.push(step)
    this.#defer()
  }

  /**
   * The broker can be reached. Another session is another process, which knows nothing.
   *
   * @returns what only the old one would have understood; undefined when it is the same.
   */
  turnTo(session: string): Step[] | undefined {
    const isSame = session === this.#session
    this.#session = session
    return isSame ? undefined : this.drop()
  }

  /** Tells of all members, and of what has happened. */
  tellAll(): void {
    this.#untold = new Set(this.#options.members.keys())
    this.#flush()
  }

  /** Shows the broker that this process is alive. */
  sign(): void {
    if (this.#isInDoubt) {
      this.#isInDoubt = false
      this.#untold = new Set(this.#options.members.keys())
    }
    if (this.#options.members.size > 0 || this.#steps.length > 0) this.#flush()
  }

  /** The broker may know other members than those it was told of: it is told of all at the next sign. */
  doubt(): void {
    this.#isInDoubt = true
  }

  /** These steps were not told. */
  takeBack(session: string | undefined, steps: readonly Step[]): void {
    this.#isInDoubt = true
    if (session === this.#session) this.#steps.unshift(...steps)
  }

  /** What has not been told, and now will not be. */
  drop(): Step[] {
    return this.#steps.splice(0)
  }

  #defer(): void {
    if (this.#isDeferred) return
    this.#isDeferred = true
    setImmediate(() => {
      this.#isDeferred = false
      this.#flush()
    })
  }

  #flush(): void {
    // What is not told now is told when the broker is back.
    if (!this.#options.isUp()) return
    do {
      const members = [...this.#untold].slice(0, maxOpened)
      for (const member of members) this.#untold.delete(member)
      const steps = this.#steps.splice(0, maxSteps)
      this.#options.tell(members, steps, this.#untold.size === 0 && this.#steps.length === 0)
    } while (this.#untold.size > 0 || this.#steps.length > 0)
  }
}

/** Gathers offsets by the member that they are of. */
export function byMember<Item extends { readonly offset: number }>(
  items: readonly Item[],
  memberOf: (item: Item) => number,
): [member: number, offsets: number[]][] {
  const offsets = new Map<number, number[]>()
  for (const item of items) {
    const member = memberOf(item)
    const known = offsets.get(member)
    if (known) known.push(item.offset)
    else offsets.set(member, [item.offset])
  }
  return [...offsets]
}

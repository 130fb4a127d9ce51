/** A stream to a peer that stays open. */
export interface OpenStream {
  /** Time to tell the peer that the stream is alive, and how far it has come. */
  beat(): void
  /**
   * Ends the stream because this process stops.
   *
   * @param streams how many end together.
   */
  shutDown(streams: number): void
}

/** The process wakes for heartbeats at most this often, however many streams there are. */
const turnMs = 1000

/**
 * The open streams of this process. Each has its heartbeat once in `heartbeatMs`, spread over that time, so that
 * ten thousand connections do not all wake at once. One timer for all, and none when there are no streams.
 */
export class OpenStreams {
  readonly #slots: readonly Set<OpenStream>[]
  readonly #slotMs: number
  readonly #random: () => number
  #timer: NodeJS.Timeout | undefined
  #turn = 0
  #size = 0
  #isShutDown = false

  /** @param firstFrom the part of `heartbeatMs` before which no stream has its first heartbeat. */
  constructor(heartbeatMs: number, random: () => number, firstFrom = 0) {
    const slots = Math.max(1, Math.floor(heartbeatMs / turnMs))
    this.#slots = Array.from({ length: slots }, () => new Set<OpenStream>())
    this.#slotMs = heartbeatMs / slots
    this.#random = () => firstFrom + (1 - firstFrom) * random()
  }

  get size(): number {
    return this.#size
  }

  /** Counts up every half to two seconds while there are streams: a clock that costs nothing to read. */
  get turn(): number {
    return this.#turn
  }

  /** After how many turns so much time has gone by for certain, wherever in its turn something was. */
  turnsOf(ms: number): number {
    return Math.ceil(ms / this.#slotMs) + 1
  }

  /** Comes once for each stream. One that comes after `shutDown` is ended at once. */
  add(stream: OpenStream): void {
    if (this.#isShutDown) {
      stream.shutDown(1)
      return
    }
    const ahead = 1 + Math.floor(this.#random() * this.#slots.length)
    const slot = this.#slots[(this.#turn + ahead) % this.#slots.length]
    if (!slot) return
    slot.add(stream)
    this.#size++
    this.#timer ??= setInterval(() => this.#beatNext(), this.#slotMs)
  }

  /** May be called twice. */
  remove(stream: OpenStream): void {
    // Looked for rather than remembered: a table of where each is would cost more than the streams' own objects.
    if (!this.#slots.some(slot => slot.delete(stream))) return
    this.#size--
    if (this.#size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Ends all of them. Their peers may come again. */
  dismiss(): void {
    const streams = this.#slots.flatMap(slot => [...slot])
    for (const stream of streams) stream.shutDown(streams.length)
  }

  /** Ends all of them, for good. */
  shutDown(): void {
    this.#isShutDown = true
    this.dismiss()
  }

  #beatNext(): void {
    this.#turn++
    for (const stream of this.#slots[this.#turn % this.#slots.length] ?? []) stream.beat()
  }
}

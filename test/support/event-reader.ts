import { type SseEvent, SseParser } from './sse-parser.ts'

/** Reads an event stream from any host that knows `fetch`, as it comes, without ever connecting again. */
export class EventReader {
  readonly response: Response
  readonly #parser: SseParser
  readonly #events: SseEvent[] = []
  readonly #leave: AbortController
  readonly #body: ReadableStreamDefaultReader<Uint8Array> | undefined
  #text = ''
  #changed = Promise.withResolvers<void>()
  /** Whether the other side has ended the stream. */
  hasEnded = false
  /** Whether the stream broke off instead of ending. */
  hasBroken = false

  private constructor(response: Response, leave: AbortController) {
    this.response = response
    this.#leave = leave
    this.#parser = new SseParser(event => this.#events.push(event))
    this.#body = response.body?.getReader()
    void this.#read()
  }

  /** Resolves when the head of the response is there. */
  static async open(fetch: (init: RequestInit) => Promise<Response>, headers: Record<string, string> = {}) {
    const leave = new AbortController()
    return new EventReader(await fetch({ headers, signal: leave.signal }), leave)
  }

  /** Everything received so far. */
  get text(): string {
    return this.#text
  }

  get lastEventId(): string {
    return this.#parser.lastEventId
  }

  get retryMs(): number | undefined {
    return this.#parser.retryMs
  }

  get comments(): number {
    return this.#parser.comments
  }

  /** Events received and not yet taken. */
  get waiting(): readonly SseEvent[] {
    return this.#events
  }

  /** The next so many events. */
  async take(count: number): Promise<SseEvent[]> {
    await this.until(() => this.#events.length >= count || this.hasEnded)
    if (this.#events.length < count)
      throw new Error(`The stream ended after ${this.#events.length} of ${count} events.`)
    return this.#events.splice(0, count)
  }

  /** Resolves when a condition holds; it is looked at whenever something has come. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise
  }

  /** Resolves when the stream has told where it begins. */
  begun(): Promise<void> {
    return this.until(() => this.lastEventId !== '' || this.hasEnded)
  }

  ended(): Promise<void> {
    return this.until(() => this.hasEnded)
  }

  /** Goes away, as a browser that is closed. */
  async close(): Promise<void> {
    // A host without a socket learns of it by the body, one with a socket by the connection.
    await this.#body?.cancel().catch(() => {})
    this.#leave.abort()
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder()
    try {
      for (;;) {
        const { done, value } = (await this.#body?.read()) ?? { done: true }
        if (done) break
        this.#text += decoder.decode(value, { stream: true })
        this.#parser.push(value)
        this.#notify()
      }
    } catch {
      this.hasBroken = true
    }
    this.hasEnded = true
    this.#notify()
  }

  #notify(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

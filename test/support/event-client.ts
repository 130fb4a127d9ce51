import { type ClientRequest, get, type IncomingMessage } from 'node:http'
import { onTestFinished } from 'vitest'

/** One event as a browser would dispatch it. */
export interface ReceivedEvent {
  readonly id: string
  readonly type: string
  readonly data: string
}

/**
 * A subscriber on Server-Sent Events that can be cut off, stopped and sent on, as a browser on a bad line is.
 * Reconnects with the last id it has seen, at once.
 */
export class EventClient {
  readonly events: ReceivedEvent[] = []
  lastEventId = ''
  /** How often it has connected. */
  connections = 0
  /** Asked after each block; true cuts the connection. */
  cutWhen: ((seenSinceConnect: number) => boolean) | undefined
  #url: () => string
  #request: ClientRequest | undefined
  #response: IncomingMessage | undefined
  #text = ''
  #seen = 0
  #isClosed = false
  readonly #watchers = new Set<() => void>()

  /** @param url asked at each connection. */
  constructor(url: string | (() => string)) {
    this.#url = typeof url === 'string' ? () => url : url
    onTestFinished(() => this.close())
    this.#connect()
  }

  get payloads(): string[] {
    return this.events.map(({ data }) => data)
  }

  /** Resolves when a condition holds, asked after each block. */
  until(condition: (client: this) => boolean): Promise<void> {
    return new Promise(resolve => {
      const check = () => {
        if (!condition(this)) return
        this.#watchers.delete(check)
        resolve()
      }
      this.#watchers.add(check)
      check()
    })
  }

  /** Stops reading: bytes pile up at the other side. */
  pause(): void {
    this.#response?.pause()
  }

  cut(): void {
    this.#request?.destroy()
  }

  close(): void {
    this.#isClosed = true
    this.cut()
  }

  #connect(): void {
    if (this.#isClosed) return
    this.connections++
    this.#text = ''
    this.#seen = 0
    const headers = this.lastEventId ? { 'last-event-id': this.lastEventId } : {}
    const request = get(this.#url(), { agent: false, headers }, response => {
      this.#response = response
      response.setEncoding('utf8')
      response.on('data', (text: string) => this.#take(text))
    })
    this.#request = request
    // A lost connection is what this client is for.
    request.on('error', () => {})
    request.on('close', () => setImmediate(() => this.#connect()))
  }

  #take(text: string): void {
    this.#text += text
    for (let end = this.#text.indexOf('\n\n'); end >= 0; end = this.#text.indexOf('\n\n')) {
      this.#takeBlock(this.#text.slice(0, end))
      this.#text = this.#text.slice(end + 2)
      for (const check of [...this.#watchers]) check()
      if (!this.cutWhen?.(this.#seen)) continue
      this.cut()
      return
    }
  }

  #takeBlock(block: string): void {
    let type = 'message'
    const data: string[] = []
    for (const line of block.split('\n')) {
      const [name = '', value = ''] = line.split(/:(.*)/s)
      const text = value.startsWith(' ') ? value.slice(1) : value
      if (name === 'id') this.lastEventId = text
      if (name === 'event') type = text
      if (name === 'data') data.push(text)
    }
    if (data.length === 0) return
    this.#seen++
    this.events.push({ id: this.lastEventId, type, data: data.join('\n') })
  }
}

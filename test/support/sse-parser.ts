/** An event as a browser's EventSource would dispatch it. */
export interface SseEvent {
  readonly type: string
  readonly data: string
  readonly lastEventId: string
}

/** Reads an event stream by the rules of the HTML standard, section "Interpreting an event stream". */
export class SseParser {
  readonly #dispatch: (event: SseEvent) => void
  // A decoder of this kind drops one leading byte order mark, as the standard says.
  readonly #decoder = new TextDecoder('utf-8')
  #line = ''
  #afterReturn = false
  #data = ''
  #type = ''
  #id = ''
  /** The last event ID of the source: set by each block, also by one without data. */
  lastEventId = ''
  /** The reconnection time, if the stream has told one. */
  retryMs: number | undefined
  comments = 0
  /** Blocks so far, dispatched or not. */
  blocks = 0

  constructor(dispatch: (event: SseEvent) => void) {
    this.#dispatch = dispatch
  }

  push(bytes: Uint8Array): void {
    let text = this.#decoder.decode(bytes, { stream: true })
    if (text === '') return
    // The second half of a CRLF may come by itself.
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1)
    this.#afterReturn = text.endsWith('\r')
    let start = 0
    for (const { 0: lineEnd, index } of text.matchAll(/\r\n?|\n/g)) {
      const line = this.#line + text.slice(start, index)
      this.#line = ''
      start = index + lineEnd.length
      this.#read(line)
    }
    this.#line += text.slice(start)
  }

  #read(line: string): void {
    if (line === '') {
      this.#endBlock()
      return
    }
    const colon = line.indexOf(':')
    if (colon === 0) {
      this.comments++
      return
    }
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (name === 'event') this.#type = value
    else if (name === 'data') this.#data += `${value}\n`
    else if (name === 'id' && !value.includes('\0')) this.#id = value
    else if (name === 'retry' && /^[0-9]+$/.test(value)) this.retryMs = Number(value)
  }

  #endBlock(): void {
    this.blocks++
    this.lastEventId = this.#id
    const data = this.#data
    const type = this.#type || 'message'
    this.#data = ''
    this.#type = ''
    if (data !== '') this.#dispatch({ type, data: data.slice(0, -1), lastEventId: this.lastEventId })
  }
}

/** Every event of a finished stream. */
export function parseEvents(bytes: Uint8Array): SseEvent[] {
  const events: SseEvent[] = []
  new SseParser(event => events.push(event)).push(bytes)
  return events
}

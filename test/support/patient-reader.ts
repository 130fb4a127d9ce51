import { Agent, type ClientRequest, get } from 'node:http'

// A pool of sockets would be shared among the readers.
const agent = new Agent({ keepAlive: false, maxSockets: Number.POSITIVE_INFINITY })

/** A subscriber that does what a browser's EventSource does: it waits as long as it was told to before it comes back. */
export class PatientReader {
  /** The payloads, as they came. */
  readonly seen: string[] = []
  /** What it was told when its stream ended, each time. */
  readonly retriesMs: number[] = []
  lastEventId = ''
  isOpen = false
  readonly #url: string
  #request: ClientRequest | undefined
  #retryMs = 0
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(url: string) {
    this.#url = url
    this.#connect()
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#request?.destroy()
  }

  #connect(): void {
    let text = ''
    const headers = this.lastEventId ? { 'last-event-id': this.lastEventId } : {}
    this.#request = get(this.#url, { agent, headers }, response => {
      this.isOpen = response.statusCode === 200
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
        const blocks = text.split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) this.#take(block)
      })
      // An end that was not orderly may have cut off the time to come back.
      response.on('end', () => this.retriesMs.push(this.#retryMs))
      response.on('error', () => {})
    })
    this.#request.on('error', () => {})
    this.#request.on('close', () => {
      this.isOpen = false
      if (!this.#isClosed) this.#timer = setTimeout(() => this.#connect(), this.#retryMs)
    })
  }

  #take(block: string): void {
    for (const line of block.split('\n')) {
      const [name = '', value = ''] = line.split(/: (.*)/s)
      if (name === 'id') this.lastEventId = value
      if (name === 'retry') this.#retryMs = Number(value)
      if (name === 'data') this.seen.push(value)
    }
  }
}

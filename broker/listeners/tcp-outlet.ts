import {
  channelValue,
  fitsLegacy,
  type Message,
  maxLegacyBytes,
  messageHead,
  messageTail,
  PosternError,
} from '../protocol/index.ts'

/** A message on its way to a receiver. */
export interface Parcel {
  readonly message: Message
  readonly deliveries: number
  readonly redelivered: boolean
  /** @param onRemoved called when no restart brings it back. */
  acknowledge(onRemoved?: () => void): void
  /** It can never be received here. */
  reject(reason: string): void
}

/** How a kind of client gets its messages. */
export interface Outlet {
  add(parcels: readonly Parcel[]): void
  /** An answer, as a document of its own. */
  say(document: string): void
  /**
   * The client says that it has received a message.
   *
   * @throws PosternError `NOT_FOUND` when it has none of this id, or not any more: what is kept comes again.
   */
  acknowledged(id: string): void
  close(): void
}

/** Hands bytes to the socket; calls back when the system has taken them. */
export type Write = (document: Uint8Array | string, onTaken?: () => void) => void

/** Messages for a client that acknowledges each. Every document is one line, so that it is easy to take apart. */
export class AcknowledgedOutlet implements Outlet {
  readonly #write: Write
  readonly #parcels = new Map<string, Parcel>()

  constructor(write: Write) {
    this.#write = write
  }

  add(parcels: readonly Parcel[]): void {
    for (const parcel of parcels) {
      const { message, deliveries, redelivered } = parcel
      this.#parcels.set(message.id, parcel)
      const label = {
        command: 'message',
        id: message.id,
        channel: message.topic,
        deliveries,
        redelivered,
        ...(message.binary && { encoding: 'base64' }),
      }
      const head = JSON.stringify(label).slice(0, -1)
      this.#write(`${head},"data":[${inOneLine(channelValue(message))}]}\n`)
    }
  }

  say(document: string): void {
    this.#write(`${document}\n`)
  }

  acknowledged(id: string): void {
    const parcel = this.#parcels.get(id)
    if (!parcel) throw new PosternError('NOT_FOUND', 'There is no message of this id here to acknowledge.')
    this.#parcels.delete(id)
    parcel.acknowledge(() => this.say(JSON.stringify({ command: 'acknowledged', id })))
  }

  close(): void {
    this.#parcels.clear()
  }
}

/** In JSON a line may end only where a space would do as well: within a string it is written otherwise. */
function inOneLine(value: Uint8Array): string {
  return Buffer.from(value)
    .toString()
    .replace(/[\r\n]/g, ' ')
}

export interface LegacyOutletOptions {
  readonly write: Write
  /** How long a receiver gets for a document. */
  readonly ackMs: () => number
  /** @returns a function that cancels it. */
  readonly startTimer: (delayMs: number, callback: () => void) => () => void
}

/** Threat: who asks faster than it is answered. It misses the answers beyond these. */
const maxAnswers = 16

interface Waiting {
  readonly parcel: Parcel
  readonly value: Uint8Array
}

/**
 * Messages for a client of PHPMessageBroker, which takes what one read gives it for one document, and acknowledges
 * nothing: one document at a time, of at most 8,192 bytes, with several messages where they fit. When its time is over,
 * and the system has taken it, its messages count as received and the next document goes out.
 */
export class LegacyOutlet implements Outlet {
  readonly #options: LegacyOutletOptions
  #waiting: Waiting[] = []
  #answers: string[] = []
  #cancel: (() => void) | undefined
  #isClosed = false

  constructor(options: LegacyOutletOptions) {
    this.#options = options
  }

  add(parcels: readonly Parcel[]): void {
    for (const parcel of parcels) {
      const value = channelValue(parcel.message)
      if (fitsLegacy(value.length)) this.#waiting.push({ parcel, value })
      else
        parcel.reject(
          `${value.length} bytes are more than a receiver that reads ${maxLegacyBytes} at a time can take`,
        )
    }
    this.#send()
  }

  say(document: string): void {
    if (this.#answers.length < maxAnswers) this.#answers.push(document)
    this.#send()
  }

  acknowledged(): void {
    throw new PosternError('NOT_FOUND', 'What has been received without "ack" is not acknowledged.')
  }

  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    this.#waiting = []
    this.#answers = []
  }

  #send(): void {
    if (this.#cancel || this.#isClosed) return
    const answer = this.#answers.shift()
    if (answer !== undefined) return this.#put(answer, [])
    const parcels = this.#waiting.splice(0, this.#fitting())
    if (parcels.length === 0) return
    const values = parcels.map(({ value }) => Buffer.from(value).toString()).join(',')
    this.#put(`${messageHead}${values}${messageTail}`, parcels)
  }

  /** How many messages fit one document. */
  #fitting(): number {
    let bytes = -1
    const over = this.#waiting.findIndex(({ value }) => {
      bytes += 1 + value.length
      return !fitsLegacy(bytes)
    })
    return over < 0 ? this.#waiting.length : over
  }

  #put(document: string, parcels: readonly Waiting[]): void {
    let open = 2
    const done = () => {
      open--
      if (open > 0 || this.#isClosed) return
      this.#cancel = undefined
      for (const { parcel } of parcels) parcel.acknowledge()
      this.#send()
    }
    this.#cancel = this.#options.startTimer(this.#options.ackMs(), done)
    this.#options.write(document, done)
  }
}

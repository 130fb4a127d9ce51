import { formatId } from './id.ts'

/** What a publisher hands over. */
export interface Publication {
  /** A canonical topic. */
  readonly topic: string
  /** The name of its event, or empty. */
  readonly type: string
  /** Whether the payload is bytes rather than a text in UTF-8. */
  readonly binary: boolean
  /** Never looked into. */
  readonly payload: Uint8Array
}

/** A message that has its place in the log. Its payload is a view into the batch that it came in. */
export class Message implements Publication {
  readonly epoch: string
  readonly offset: number
  /** When the broker accepted it, in Unix milliseconds. */
  readonly timeMs: number
  readonly topic: string
  readonly type: string
  readonly binary: boolean
  #bytes: Uint8Array
  #start: number
  #end: number

  constructor(
    place: { readonly epoch: string; readonly offset: number; readonly timeMs: number },
    label: { readonly topic: string; readonly type: string; readonly binary: boolean },
    bytes: Uint8Array,
    start: number,
    end: number,
  ) {
    this.epoch = place.epoch
    this.offset = place.offset
    this.timeMs = place.timeMs
    this.topic = label.topic
    this.type = label.type
    this.binary = label.binary
    this.#bytes = bytes
    this.#start = start
    this.#end = end
  }

  get id(): string {
    return formatId(this)
  }

  get payload(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end)
  }

  /** What it counts against a bound in bytes, its topic and type included. */
  get weight(): number {
    return this.#end - this.#start + this.topic.length + this.type.length
  }

  /** Copies the payload out of its batch, so that keeping this message does not keep its neighbours. */
  detach(): void {
    // Not `slice`: of a Node Buffer that is a view, and would keep the whole batch.
    this.#bytes = new Uint8Array(this.payload)
    this.#end -= this.#start
    this.#start = 0
  }
}

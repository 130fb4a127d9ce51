import { PosternError } from '../protocol/index.ts'

const quote = 0x22
const backslash = 0x5c
const openers = new Set([0x7b, 0x5b])
const closers = new Set([0x7d, 0x5d])
const openBrace = 0x7b

/** What may stand between two documents (RFC 8259, section 2). */
const isSpace = (byte: number | undefined) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/** An unfinished document takes up memory in steps from here, not as much as it is allowed to. */
const firstHeldBytes = 1024

/**
 * Cuts a stream of bytes into JSON objects: one after the other, with or without space between them, in pieces of any
 * size. It looks at brackets and strings only: whether a document is JSON is for its reader to find out.
 */
export class JsonSplitter {
  /** The largest document. May change between two of them. */
  maxBytes: number
  /** The setting that raises it. */
  readonly #setting: string
  /** What has come and was not looked at yet. */
  #arrived: Uint8Array[] = []
  /** The beginning of a document whose end has not come. */
  #held = new Uint8Array(0)
  #heldBytes = 0
  #depth = 0
  #isInString = false
  #isEscaped = false

  constructor(maxBytes: number, setting: string) {
    this.maxBytes = maxBytes
    this.#setting = setting
  }

  /** Whether the stream may end here. */
  get isBetween(): boolean {
    return this.#depth === 0
  }

  push(bytes: Uint8Array): void {
    this.#arrived.push(bytes)
  }

  /**
   * The next whole document, which may be a view into what has come, or undefined until more comes.
   *
   * @throws PosternError `INVALID_REQUEST` for something that is no object, `PAYLOAD_TOO_LARGE` for a document above the
   * bound. The stream cannot be read any further.
   */
  next(): Uint8Array | undefined {
    for (let bytes = this.#arrived.shift(); bytes; bytes = this.#arrived.shift()) {
      const start = this.#depth > 0 ? 0 : beginningIn(bytes)
      const end = this.#scan(bytes, start)
      if (this.#heldBytes + end - start > this.maxBytes) throw this.#tooLarge()
      if (this.#depth > 0) {
        this.#hold(bytes.subarray(start))
        continue
      }
      if (end < bytes.length) this.#arrived.unshift(bytes.subarray(end))
      if (end > start) return this.#whole(bytes.subarray(start, end))
    }
    return undefined
  }

  /** Goes on to the end of the document, or of what there is, and says where that is. */
  #scan(bytes: Uint8Array, start: number): number {
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0
      if (this.#isEscaped) this.#isEscaped = false
      else if (this.#isInString) {
        if (byte === quote) this.#isInString = false
        else if (byte === backslash) this.#isEscaped = true
      } else if (byte === quote) this.#isInString = true
      else if (openers.has(byte)) this.#depth++
      else if (closers.has(byte) && --this.#depth === 0) return at + 1
    }
    return bytes.length
  }

  #hold(bytes: Uint8Array): void {
    const length = this.#heldBytes + bytes.length
    if (length > this.#held.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#held.length, firstHeldBytes))
      larger.set(this.#held.subarray(0, this.#heldBytes))
      this.#held = larger
    }
    this.#held.set(bytes, this.#heldBytes)
    this.#heldBytes = length
  }

  #whole(end: Uint8Array): Uint8Array {
    if (this.#heldBytes === 0) return end
    this.#hold(end)
    const whole = this.#held.subarray(0, this.#heldBytes)
    this.#held = new Uint8Array(0)
    this.#heldBytes = 0
    return whole
  }

  #tooLarge(): PosternError {
    const bound = { limit: this.maxBytes, setting: this.#setting }
    return new PosternError(
      'PAYLOAD_TOO_LARGE',
      `A document is too large. The limit is ${bound.limit} (${bound.setting}).`,
      bound,
    )
  }
}

/** Where the next document begins; the length when there is only space. */
function beginningIn(bytes: Uint8Array): number {
  let at = 0
  while (isSpace(bytes[at])) at++
  if (at < bytes.length && bytes[at] !== openBrace) {
    throw new PosternError('INVALID_REQUEST', 'What is sent here are JSON objects, one after the other.')
  }
  return at
}

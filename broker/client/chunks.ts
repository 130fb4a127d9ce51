import { type Message, type Selection, selector, type Tail } from '../protocol/index.ts'

/** What is read from the tail at once for a subscription that is behind: one write to a socket. */
const chunkBytes = 64 * 1024

/** How many stretches are kept, of all selections: as much as a tail of the default size. */
const maxChunks = 64

/** The messages of a selection in a stretch of the tail. */
export interface Chunk {
  readonly messages: readonly Message[]
  readonly weight: number
  /** The offset that it reaches. */
  readonly through: number
}

/**
 * Reads the tail for those who are behind. A thousand subscribers that were cut off together resume together, from
 * one place: a stretch is read once for all that select the same, and so is encoded once.
 */
export class Chunks {
  readonly #read = new Map<Selection, Map<number, Chunk>>()
  #count = 0
  #epoch = ''
  #last = 0

  /** The next stretch after an offset that the tail reaches back to. */
  after(tail: Tail, selection: Selection, offset: number): Chunk {
    const { epoch, offset: last } = tail.position
    if (epoch !== this.#epoch || last !== this.#last || this.#count >= maxChunks) {
      // What was read goes with the tail that it was read from: it must not outlive its bound.
      this.#read.clear()
      this.#count = 0
      this.#epoch = epoch
      this.#last = last
    }
    const known = this.#read.get(selection)?.get(offset)
    if (known) return known
    const chunk = read(tail, selection, offset)
    this.#count++
    const chunks = this.#read.get(selection)
    if (chunks) chunks.set(offset, chunk)
    else this.#read.set(selection, new Map([[offset, chunk]]))
    return chunk
  }
}

function read(tail: Tail, selection: Selection, offset: number): Chunk {
  const selects = selector(selection)
  const messages: Message[] = []
  let weight = 0
  for (const batch of tail.after(offset)) {
    for (const message of batch.select(selects)) {
      if (message.offset <= offset) continue
      messages.push(message)
      weight += message.weight
    }
    if (weight >= chunkBytes) return { messages, weight, through: batch.last }
  }
  return { messages, weight, through: tail.position.offset }
}

import type { PastEpoch } from './journal/journal.ts'
import {
  type Batch,
  encodeMessages,
  isSystemTopic,
  type Message,
  type Position,
  parseId,
  type Selection,
  selector,
  type Tail,
} from './protocol/index.ts'

/**
 * A page ends at this size. Large enough that a page costs more to send than to ask for, small enough that one
 * reader's page delays the others by milliseconds.
 */
const maxPageBytes = 256 * 1024

/** The history as a replay reads it. */
export interface History {
  since(
    selection: Selection,
    offset: number,
  ): { readonly messages: readonly Message[]; readonly complete: boolean }
  last(selection: Selection, count: number): readonly Message[]
}

export interface ReplayQuery {
  /** Null is the whole log, as far as the tail reaches. */
  readonly selection: Selection | null
  readonly since?: string
  readonly last?: number
}

export interface ReplayPage {
  readonly gap: boolean
  readonly from: Position
  readonly through: Position
  readonly more: boolean
  readonly batches: readonly Uint8Array[]
}

/** Reads the past: the tail as far as it reaches, the history of the topics before that. */
export class Replayer {
  readonly #tail: Tail
  readonly #history: History
  readonly #pastEpochs: readonly PastEpoch[]

  constructor(tail: Tail, history: History, pastEpochs: readonly PastEpoch[]) {
    this.#tail = tail
    this.#history = history
    this.#pastEpochs = pastEpochs
  }

  page({ selection, since, last }: ReplayQuery): ReplayPage {
    const end = this.#tail.position
    if (since === undefined) {
      const messages = selection && last ? this.#history.last(selection, last) : []
      // In one page, whose size the bounds of the history limit: what follows a cut would come from the tail, which
      // still holds what the history has dropped.
      const from = messages[0] ? messages[0].offset - 1 : end.offset
      return this.#finish(false, from, end.offset, encodeMessages(messages))
    }
    const { offset, gap } = this.#locate(since)
    if (offset >= this.#tail.floor) {
      return selection ? this.#tailPage(selection, offset, gap) : this.#wholePage(offset, gap)
    }
    if (!selection) return { gap: true, from: end, through: end, more: false, batches: [] }
    const { messages, complete } = this.#history.since(selection, offset)
    const before = messages.filter(message => message.offset <= this.#tail.floor)
    // No history keeps what the system's own topics carry.
    const isKept = !selection.topics.some(isSystemTopic)
    return this.#sparsePage(before, offset, this.#tail.floor, gap || !complete || !isKept)
  }

  /** Finds the place in today's numbering. Offsets go on through all epochs, so only the meaning needs care. */
  #locate(since: string): { offset: number; gap: boolean } {
    const position = parseId(since)
    const { epoch, offset: last } = this.#tail.position
    if (position?.epoch === epoch) {
      return { offset: Math.min(position.offset, last), gap: position.offset > last }
    }
    const past = this.#pastEpochs.find(known => known.epoch === position?.epoch)
    return { offset: position && past ? Math.min(position.offset, past.last) : 0, gap: true }
  }

  /** Batches as they are, for those who follow the whole log. */
  #wholePage(offset: number, gap: boolean): ReplayPage {
    const batches: Uint8Array[] = []
    let bytes = 0
    let through = offset
    for (const batch of this.#tail.after(offset)) {
      if (bytes >= maxPageBytes) break
      batches.push(batch.bytes)
      bytes += batch.bytes.length
      through = batch.last
    }
    return this.#finish(gap, offset, through, batches)
  }

  #tailPage(selection: Selection, offset: number, gap: boolean): ReplayPage {
    const selects = selector(selection)
    const messages: Message[] = []
    let bytes = 0
    let through = this.#tail.position.offset
    for (const batch of this.#tail.after(offset)) {
      bytes += collect(batch, offset, selects, messages)
      if (bytes >= maxPageBytes) {
        through = batch.last
        break
      }
    }
    return this.#finish(gap, offset, through, encodeMessages(messages))
  }

  #sparsePage(messages: readonly Message[], from: number, reaches: number, gap: boolean): ReplayPage {
    let bytes = 0
    const fitting = messages.findIndex(message => {
      bytes += message.weight
      return bytes >= maxPageBytes
    })
    const cut = fitting === -1 ? messages : messages.slice(0, fitting + 1)
    const through = cut.length < messages.length ? (cut.at(-1)?.offset ?? reaches) : reaches
    return this.#finish(gap, from, through, encodeMessages(cut))
  }

  #finish(gap: boolean, from: number, through: number, batches: readonly Uint8Array[]): ReplayPage {
    const { epoch, offset: last } = this.#tail.position
    return {
      gap,
      from: { epoch, offset: from },
      through: { epoch, offset: through },
      more: through < last,
      batches,
    }
  }
}

function collect(batch: Batch, after: number, selects: (topic: string) => boolean, into: Message[]): number {
  let bytes = 0
  for (const message of batch.select(selects)) {
    if (message.offset <= after) continue
    into.push(message)
    bytes += message.weight
  }
  return bytes
}

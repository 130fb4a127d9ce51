import type { LogPage } from '../../broker/client/chain.ts'
import type { PastPage } from '../../broker/client/subscriptions.ts'
import {
  type Batch,
  type Message,
  type Position,
  type Publication,
  parseId,
  type Selection,
  selector,
} from '../../broker/protocol/index.ts'
import { batchOf, publication } from './publications.ts'

/**
 * A log as a broker keeps it, in its plainest form: all batches in a list, and small pages. Messages before `forgotten`
 * are no longer there.
 */
export class ModelLog {
  epoch = 'aaaaaaaaaaaa'
  batches: Batch[] = []
  last = 0
  forgotten = 0
  readonly #maxPageMessages: number

  constructor(maxPageMessages = 3) {
    this.#maxPageMessages = maxPageMessages
  }

  get position(): Position {
    return { epoch: this.epoch, offset: this.last }
  }

  get messages(): readonly Message[] {
    return this.batches.flatMap(batch => batch.messages)
  }

  /** Appends one batch with a message on each of these topics. */
  publish(...topics: readonly string[]): Batch {
    return this.append(
      topics.map((topic, i) => publication({ topic, payload: `message ${this.last + 1 + i}` })),
    )
  }

  /** Appends one batch. */
  append(items: readonly Publication[]): Batch {
    const batch = batchOf(items, { epoch: this.epoch, first: this.last + 1 })
    this.batches.push(batch)
    this.last = batch.last
    return batch
  }

  /** What a broker tells when it is quiet. */
  beacon(): Batch {
    return batchOf([], { epoch: this.epoch, first: this.last + 1 })
  }

  /** The offsets of a selection after a place, as far as they are still there. */
  offsets(selection: Selection, after: number): number[] {
    return this.#select(selection, after).map(({ offset }) => offset)
  }

  /** A page of the whole log. */
  logPage(since: Position): LogPage {
    const isKnown = since.epoch === this.epoch && since.offset <= this.last
    if (!isKnown || since.offset < this.forgotten)
      return { gap: true, through: this.position, more: false, batches: [] }
    const batches = this.batches.filter(({ last }) => last > since.offset).slice(0, this.#maxPageMessages)
    const through = batches.at(-1)?.last ?? since.offset
    return { gap: false, through: { epoch: this.epoch, offset: through }, more: through < this.last, batches }
  }

  /** A page of some topics, since an id or of the last so many. */
  topicsPage(selection: Selection, { since, history }: { since?: string; history?: number }): PastPage {
    if (since === undefined) {
      const kept = this.#select(selection, 0)
      const newest = kept.slice(Math.max(0, kept.length - (history ?? 0)))
      return this.#page(newest, newest[0] ? newest[0].offset - 1 : this.last, false)
    }
    const position = parseId(since)
    const isKnown = position?.epoch === this.epoch && position.offset <= this.last
    const offset = isKnown ? position.offset : Math.min(position?.offset ?? 0, this.last)
    const isForgotten = this.messages.some(
      message =>
        message.offset > offset && message.offset <= this.forgotten && selector(selection)(message.topic),
    )
    return this.#page(this.#select(selection, offset), offset, !isKnown || isForgotten)
  }

  #select(selection: Selection, after: number): Message[] {
    const selects = selector(selection)
    return this.messages.filter(
      ({ topic, offset }) => offset > Math.max(after, this.forgotten) && selects(topic),
    )
  }

  #page(messages: readonly Message[], from: number, gap: boolean): PastPage {
    const fitting = messages.slice(0, this.#maxPageMessages)
    const through = fitting.length < messages.length ? (fitting.at(-1)?.offset ?? from) : this.last
    const at = (offset: number) => ({ epoch: this.epoch, offset })
    return { gap, from: at(from), through: at(through), more: through < this.last, messages: fitting }
  }
}

/** Calls that wait until a test answers them. */
export class Calls<Arguments extends readonly unknown[], Result> {
  readonly #answer: (...args: Arguments) => Result
  #waiting: {
    readonly args: Arguments
    /** What was true when it was asked. */
    readonly asked: Result
    readonly resolve: (result: Result) => void
    readonly reject: (error: Error) => void
  }[] = []
  /** How often it was called. */
  count = 0

  /** @param answer what is true now. */
  constructor(answer: (...args: Arguments) => Result) {
    this.#answer = answer
  }

  readonly call = (...args: Arguments): Promise<Result> => {
    this.count++
    return new Promise((resolve, reject) =>
      this.#waiting.push({ args, asked: this.#answer(...args), resolve, reject }),
    )
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Answers the oldest call with what is true now, and lets whoever waits for it go on. */
  async answer(): Promise<void> {
    const call = this.#waiting.shift()
    call?.resolve(this.#answer(...call.args))
    await settled()
  }

  /** Answers the oldest call with what was true when it was asked: its answer was long on the way. */
  async answerLate(): Promise<void> {
    const call = this.#waiting.shift()
    call?.resolve(call.asked)
    await settled()
  }

  async fail(error: Error): Promise<void> {
    this.#waiting.shift()?.reject(error)
    await settled()
  }

  /** Answers until nothing is asked any more. */
  async answerAll(): Promise<void> {
    await settled()
    for (let answered = 0; this.#waiting.length > 0; answered++) {
      if (answered > 1000) throw new Error('there is no end to the asking')
      await this.answer()
    }
  }
}

/** When everything that waits for nothing but its turn has run. */
export function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

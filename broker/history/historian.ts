import type { Retained, Section } from '../retained.ts'
import { type Archive, ArchiveError } from './archive.ts'
import { neighboursToMerge, type StoredSegment } from './compaction.ts'
import { decodeSegment, encodeSegment, formatRange, parseRange } from './segment.ts'

/** Calls back once after so many milliseconds, unless the function that it gives is called before. */
export type Timer = (delayMs: number, callback: () => void) => () => void

/** What an operator should hear of. */
export type Trouble =
  /** A segment cannot be read: its write was cut short, or something else wrote it. */
  | { readonly kind: 'torn'; readonly segment: string }
  /** The archive has nothing for this range; whoever resumes from before its end is told of a gap. */
  | { readonly kind: 'missing'; readonly from: number; readonly through: number }
  /** A call failed and will be made again. */
  | { readonly kind: 'failed'; readonly action: string; readonly error: unknown; readonly retryMs: number }
  /** A call has not returned for so long. It is waited for, and nothing else is written meanwhile. */
  | { readonly kind: 'hanging'; readonly action: string; readonly waitedMs: number }

export interface HistorianOptions {
  readonly archive: Archive
  readonly retained: Pick<Retained, 'section' | 'restore' | 'weigh' | 'forgetThrough' | 'detachThrough'>
  readonly timer: Timer
  /** Everything through this offset has reached the archive: no other copy of it is needed for the history. */
  readonly onSealed: (through: number) => void
  readonly onTrouble: (trouble: Trouble) => void
}

/** Small enough for every store to take at once and for the process to hold twice, large enough for few calls. */
export const maxSegmentBytes = 1024 * 1024

/** How much the archive may grow over twice its size before it is tidied: rarely, and never for a handful. */
const slackSegments = 16
const slackBytes = slackSegments * maxSegmentBytes

const firstRetryMs = 1000
const longestRetryMs = 60_000
const patienceMs = 10_000
const closingMs = 2000

type Job = () => Promise<void>

/**
 * Carries the retained messages over a restart: the one writer of an archive. One call is under way at a time, and
 * what it will be asked for meanwhile is one number, so that a store that fails or hangs costs neither memory nor
 * an error in whoever publishes.
 */
export class Historian {
  readonly #options: HistorianOptions
  /** What the archive holds, in the order of the log and without a hole between them. */
  #segments: StoredSegment[] = []
  /** Names that another segment stands for. */
  #superseded: string[] = []
  #groups: StoredSegment[][] = []
  #tidySegments = 0
  #tidyBytes = 0
  #sealedThrough = 0
  #target = 0
  #action = ''
  #failures = 0
  #retryMs = firstRetryMs
  #cancelRetry: (() => void) | undefined
  #cancelWatch = () => {}
  #isWorking = false
  #work: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: HistorianOptions) {
    this.#options = options
  }

  /** Messages through this offset have reached the archive, as far as they were still kept. */
  get sealedThrough(): number {
    return this.#sealedThrough
  }

  /** How many segments there are. */
  get segments(): number {
    return this.#segments.length
  }

  /** How many calls to the archive have failed. */
  get failures(): number {
    return this.#failures
  }

  /**
   * Fills the retained messages from the archive. Comes once, before anything is added or sealed. What is torn or
   * missing is told and left out.
   *
   * @returns the offset through which the archive reaches; 0 when it is empty.
   * @throws ArchiveError when the archive cannot be read or does not answer: starting without it would write a
   * history over it that has forgotten what is there.
   */
  async load(): Promise<number> {
    const { archive, retained, onTrouble } = this.#options
    const torn: StoredSegment[] = []
    let missingThrough = 0
    for (const stored of await this.#loadRanges()) {
      if (stored.through <= this.#sealedThrough) {
        this.#superseded.push(stored.name)
        continue
      }
      const bytes = await this.#answer(`read ${stored.name}`, archive.read(stored.name))
      const section = bytes && decodeSegment(bytes)
      if (!section || section.from !== stored.from || section.through !== stored.through) {
        onTrouble({ kind: 'torn', segment: stored.name })
        torn.push(stored)
        continue
      }
      if (stored.from > this.#sealedThrough + 1) {
        onTrouble({ kind: 'missing', from: this.#sealedThrough + 1, through: stored.from - 1 })
        missingThrough = stored.from - 1
        retained.forgetThrough(missingThrough)
      }
      retained.restore(section)
      retained.detachThrough(section.through)
      this.#segments.push({ ...stored, byteLength: bytes.length })
      this.#sealedThrough = section.through
    }
    // One that is not covered by others stays where it is, for whoever wants to look at it.
    for (const { name, from, through } of torn) {
      if (from > missingThrough && through <= this.#sealedThrough) this.#superseded.push(name)
    }
    this.#target = this.#sealedThrough
    return this.#sealedThrough
  }

  /** Asks for everything through an offset, which must have been added, to be written. Returns at once. */
  seal(through: number): void {
    this.#target = Math.max(this.#target, through)
    this.#wake()
  }

  /** Ends the writing; a call that is under way is waited for, but not for long. May be called twice. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelRetry?.()
    const { archive, timer } = this.#options
    let cancel = () => {}
    const timeout = new Promise<void>(resolve => {
      cancel = timer(closingMs, resolve)
    })
    await Promise.race([this.#work, timeout])
    this.#cancelWatch()
    // What hangs in a write would hang in closing too, and what fails to close is left to the end of the process.
    await Promise.race([archive.close().catch(() => {}), timeout])
    cancel()
  }

  async #loadRanges(): Promise<StoredSegment[]> {
    const names = await this.#answer('list', this.#options.archive.list())
    const found: StoredSegment[] = []
    for (const name of names) {
      const range = parseRange(name)
      if (range) found.push({ name, ...range, byteLength: 0 })
    }
    // Of those that begin at one place the widest is the newest: it was written to stand for the others.
    return found.sort((a, b) => a.from - b.from || b.through - a.through)
  }

  async #answer<T>(action: string, call: Promise<T>): Promise<T> {
    let cancel = () => {}
    const timeout = new Promise<never>((_, reject) => {
      cancel = this.#options.timer(patienceMs, () =>
        reject(new Error(`no answer for ${patienceMs / 1000} s`)),
      )
    })
    try {
      return await Promise.race([call, timeout])
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      throw new ArchiveError(`The history cannot be read (history.store): ${action}: ${reason}.`, {
        cause: error,
      })
    } finally {
      cancel()
    }
  }

  #wake(): void {
    if (this.#isWorking || this.#cancelRetry || this.#isClosed) return
    this.#work = this.#doJobs()
  }

  async #doJobs(): Promise<void> {
    this.#isWorking = true
    try {
      for (let job = this.#nextJob(); job && !this.#isClosed; job = this.#nextJob()) {
        await job()
        this.#retryMs = firstRetryMs
      }
    } catch (error) {
      this.#failures++
      this.#options.onTrouble({ kind: 'failed', action: this.#action, error, retryMs: this.#retryMs })
      this.#retryLater()
    } finally {
      this.#isWorking = false
    }
  }

  #retryLater(): void {
    if (this.#isClosed) return
    this.#cancelRetry = this.#options.timer(this.#retryMs, () => {
      this.#cancelRetry = undefined
      this.#wake()
    })
    this.#retryMs = Math.min(2 * this.#retryMs, longestRetryMs)
  }

  /** Removing comes first: an archive in which nothing can be removed would grow for ever. */
  #nextJob(): Job | undefined {
    const [name] = this.#superseded
    if (name !== undefined) return () => this.#remove(name)
    if (this.#sealedThrough < this.#target) return () => this.#sealNext()
    if (this.#groups.length === 0 && this.#isUntidy()) this.#planTidying()
    const [group] = this.#groups
    return group && (() => this.#merge(group))
  }

  async #remove(name: string): Promise<void> {
    await this.#call(`remove ${name}`, archive => archive.remove(name))
    this.#superseded.shift()
  }

  async #sealNext(): Promise<void> {
    const section = this.#options.retained.section(this.#sealedThrough + 1, this.#target, maxSegmentBytes)
    this.#segments.push(await this.#write(section))
    this.#sealedThrough = section.through
    this.#options.onSealed(section.through)
  }

  /** The one that stands for the others is written first: a crash in between leaves duplicates, never a hole. */
  async #merge(group: readonly StoredSegment[]): Promise<void> {
    const first = group[0]
    const last = group.at(-1)
    if (!first || !last) return
    const { retained } = this.#options
    const section = retained.section(first.from, last.through, Number.POSITIVE_INFINITY)
    const merged = await this.#write(section)
    this.#segments.splice(this.#segments.indexOf(first), group.length, merged)
    this.#superseded.push(...group.map(({ name }) => name))
    this.#groups.shift()
    this.#noteTidy()
  }

  async #write(section: Section): Promise<StoredSegment> {
    const name = formatRange(section)
    const bytes = encodeSegment(section)
    await this.#call(`write ${name}`, archive => archive.write(name, bytes))
    return { name, from: section.from, through: section.through, byteLength: bytes.length }
  }

  #isUntidy(): boolean {
    return (
      this.#segments.length > 2 * this.#tidySegments + slackSegments ||
      this.#storedBytes > 2 * this.#tidyBytes + slackBytes
    )
  }

  #planTidying(): void {
    const keptBytes = this.#options.retained.weigh(this.#segments.map(({ through }) => through))
    this.#groups = neighboursToMerge(this.#segments, keptBytes, maxSegmentBytes)
    this.#noteTidy()
  }

  /** The size that growth is measured from, so that the work of tidying stays in proportion to what is written. */
  #noteTidy(): void {
    this.#tidySegments = this.#segments.length
    this.#tidyBytes = this.#storedBytes
  }

  get #storedBytes(): number {
    return this.#segments.reduce((sum, { byteLength }) => sum + byteLength, 0)
  }

  async #call(action: string, start: (archive: Archive) => Promise<void>): Promise<void> {
    this.#action = action
    this.#watch(action, patienceMs)
    try {
      await start(this.#options.archive)
    } finally {
      this.#cancelWatch()
    }
  }

  #watch(action: string, waitedMs: number): void {
    this.#cancelWatch = this.#options.timer(patienceMs, () => {
      this.#options.onTrouble({ kind: 'hanging', action, waitedMs })
      this.#watch(action, waitedMs + patienceMs)
    })
  }
}

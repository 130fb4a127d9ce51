import type { Message, Selection } from '#protocol'
import type { Archive } from '../../broker/history/archive.ts'
import { Historian, maxSegmentBytes, type Trouble } from '../../broker/history/historian.ts'
import { type HistoryBounds, Retained } from '../../broker/retained.ts'
import type { TestLog } from './log.ts'
import { TestTimer } from './timer.ts'

export const wide: HistoryBounds = {
  messages: 1000,
  bytes: 16 * maxSegmentBytes,
  ageMs: 60_000,
  totalBytes: 64 * maxSegmentBytes,
}
export const all = (...topics: string[]): Selection => ({ topics, exact: false })
export const offsets = (messages: readonly Message[]) => messages.map(({ offset }) => offset)

/** Everything that promises have to do is done when the loop comes round. */
export const turn = () => new Promise<void>(resolve => setImmediate(resolve))

/** A broker process, as far as the history is concerned. */
export class Life {
  readonly retained: Retained
  readonly historian: Historian
  readonly troubles: Trouble[] = []
  readonly timer = new TestTimer()
  sealedThrough = 0

  constructor(archive: Archive, bounds: HistoryBounds = wide) {
    this.retained = new Retained(bounds)
    this.historian = new Historian({
      archive,
      retained: this.retained,
      timer: this.timer.start,
      onSealed: through => {
        this.sealedThrough = through
      },
      onTrouble: trouble => this.troubles.push(trouble),
    })
  }

  static async after(archive: Archive, bounds?: HistoryBounds): Promise<Life> {
    const life = new Life(archive, bounds)
    await life.historian.load()
    return life
  }

  async addAndSeal(log: TestLog, topics: readonly string[], payload?: string): Promise<void> {
    for (const topic of topics) this.retained.add(log.next(topic, payload))
    this.historian.seal(log.last)
    await turn()
  }
}

import type { Outcome } from './connection.ts'
import { type Told, textOf } from './frame.ts'
import { type Entry, LogView } from './log-view.ts'

/** What happens at a seat, in words. */
export class SeatLog {
  readonly #view: LogView
  /** The messages of which nobody knows yet what has become of them, oldest first. */
  readonly #unsettled: Entry[] = []

  constructor(list: HTMLOListElement) {
    this.#view = new LogView(list)
  }

  /** The connection is open, or closed. */
  state(words: string, ...details: readonly string[]): void {
    this.#view.add('state', words, details)
  }

  sent(message: string, binary: boolean): void {
    this.#unsettled.push(this.#view.add('sent', textOf({ text: message }), binary ? ['binary'] : []))
  }

  /** What has become of the oldest message of which that was not known. */
  settled(outcome: Outcome): void {
    const entry = this.#unsettled.shift()
    switch (outcome.kind) {
      case 'receipt':
        entry?.note(outcome.id)
        entry?.note(`receipt after ${inMs(outcome.tookMs)}`)
        return
      case 'refused':
        entry?.trouble(outcome.reason)
        return
      case 'unknown':
        entry?.trouble('no receipt: it may have arrived, or not')
        return
      case 'unsent':
        entry?.trouble('not sent')
    }
  }

  heard(told: Told): void {
    switch (told.kind) {
      case 'message': {
        const { from } = told
        const details = from ? [from.topic, from.type, from.id, tookSince(from.timeMs)] : []
        const known = details.filter(detail => detail !== '')
        this.#view.add('heard', textOf(told.payload), known)
        return
      }
      case 'gap':
        this.#view.add('trouble', 'Messages are missing before this.')
        return
      case 'refused':
        this.#view.add('trouble', told.reason)
        return
      case 'receipt':
        this.#view.add('state', 'receipt', [told.id])
    }
  }

  clear(): void {
    this.#view.clear()
  }
}

/** How long a message has taken, as far as the clocks of the broker and this machine agree. */
function tookSince(timeMs: number): string {
  return Number.isNaN(timeMs) ? '' : inMs(Math.max(0, Date.now() - timeMs))
}

function inMs(ms: number): string {
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

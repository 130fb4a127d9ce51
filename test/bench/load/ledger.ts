import { Histogram, sinceUs } from './histogram.ts'
import { createPayload, headBytes, readNumber } from './payload.ts'

interface Sent {
  readonly bytes: number
  readonly publisher: number
  readonly audience: number
  /** Where it stands in the order of its audience; -1 until it is seen. */
  place: number
}

/** What the first connection that got a message has seen, of one audience: all others must see the same. */
interface Order {
  length: number
  members: number
  /** The newest message of each publisher that has been seen: its messages must be seen in ascending order. */
  readonly newest: Map<number, number>
}

/**
 * What was published, and whether it arrived: each message once, at every connection that it is for, in one order that
 * is the same for all of them and keeps each publisher's own. The same rules as the generator in C.
 */
export class Ledger {
  messages = 0
  refused = 0
  expected = 0
  delivered = 0
  repeated = 0
  disordered = 0
  strange = 0
  gaps = 0
  readonly latency = new Histogram()
  #sent: Sent[] = []
  #orders: Order[] = []

  reset(audiences: number): void {
    this.#sent = []
    this.#orders = Array.from({ length: audiences }, () => ({ length: 0, members: 0, newest: new Map() }))
    this.count()
  }

  /** Begins to count anew, and keeps what orders have been seen. */
  count(): void {
    for (const name of ['messages', 'refused', 'expected', 'delivered', 'repeated'] as const) this[name] = 0
    for (const name of ['disordered', 'strange', 'gaps'] as const) this[name] = 0
    this.latency.reset()
  }

  /** A connection joins, before the newest `missed` messages: gives its place in the order. */
  join(audience: number, missed: number): number {
    const order = this.#order(audience)
    order.members++
    const behind = Math.min(missed, order.length)
    this.expected += behind
    return order.length - behind
  }

  leave(audience: number): void {
    this.#order(audience).members--
  }

  /** A publisher sends a message of so many bytes: gives its payload. */
  send(
    audience: number,
    publisher: number,
    bytes: number,
    sentUs: number,
  ): { number: number; payload: Buffer } {
    const number = this.#sent.push({ bytes, publisher, audience, place: -1 }) - 1
    return { number, payload: createPayload(bytes, number, sentUs) }
  }

  answered(number: number, isAccepted: boolean): void {
    const sent = this.#sent[number]
    if (!isAccepted || !sent) this.refused++
    else {
      this.messages++
      this.expected += this.#order(sent.audience).members
    }
  }

  /** A connection of an audience that stands at this place has got a payload: gives its next place. */
  received(audience: number, place: number, payload: Buffer, nowUs: number): number {
    const number = readNumber(payload, 0) ?? -1
    const sent = this.#sent[number]
    if (!sent || sent.audience !== audience || sent.bytes !== payload.length || payload.length < headBytes) {
      this.strange++
      return place
    }
    const order = this.#order(audience)
    if (sent.place >= 0 && sent.place < place) {
      this.repeated++
      return place
    }
    // Past others that it should have had before: those are missing, and repeated if they come after all.
    if ((sent.place < 0 ? order.length : sent.place) > place) this.disordered++
    if (sent.place < 0) {
      sent.place = order.length++
      if (number < (order.newest.get(sent.publisher) ?? 0)) this.disordered++
      order.newest.set(sent.publisher, number)
    }
    this.delivered++
    this.latency.add(sinceUs(readNumber(payload, 8) ?? 0, nowUs))
    return sent.place + 1
  }

  #order(audience: number): Order {
    const order = this.#orders[audience]
    if (!order) throw new Error(`there is no audience ${audience}`)
    return order
  }
}

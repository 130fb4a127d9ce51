import { isRole, newSeat, type Seat } from './seat.ts'

/** A link with more seats than this was not made here. */
const maxSeats = 40
const maxHistory = 10_000

/** What is there without a link. */
export const firstSeats: readonly Seat[] = [
  newSeat('pub', 'news/sport', { message: 'Hello' }),
  newSeat('sub', 'news'),
  newSeat('sub', 'news/sport'),
  newSeat('bus', 'room', { message: 'Hello from here' }),
  newSeat('bus', 'room', { message: 'Hello from there' }),
  newSeat('push', 'jobs', { message: 'Do this' }),
  newSeat('pull', 'jobs'),
  newSeat('pull', 'jobs'),
]

/** The seats as the hash of an address: `role=topic` for each, followed by what differs from the default. */
export function hashOf(seats: readonly Seat[]): string {
  const hash = new URLSearchParams()
  for (const { role, topic, message, binary, history, exact, echo } of seats) {
    hash.append(role, topic)
    if (message !== '') hash.append('message', message)
    if (binary) hash.append('binary', '1')
    if (history > 0) hash.append('history', String(history))
    if (exact) hash.append('exact', '1')
    if (echo) hash.append('echo', '1')
  }
  return `#${hash}`
}

/** The seats that a hash names. What it says beside is left out; undefined when it names none. */
export function seatsOf(hash: string): readonly Seat[] | undefined {
  const seats: Seat[] = []
  for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ''))) {
    if (isRole(name)) seats.push(newSeat(name, value))
    else {
      const seat = seats.pop()
      if (seat) seats.push({ ...seat, ...settingOf(name, value) })
    }
  }
  return seats.length === 0 ? undefined : seats.slice(0, maxSeats)
}

function settingOf(name: string, value: string): Partial<Seat> {
  switch (name) {
    case 'message':
      return { message: value }
    case 'binary':
    case 'exact':
    case 'echo':
      return { [name]: value === '1' }
    case 'history':
      return { history: toHistory(value) }
    default:
      return {}
  }
}

/** A number of kept messages as somebody has typed it; 0 for what is none. */
export function toHistory(text: string): number {
  return /^\d{1,6}$/.test(text) ? Math.min(Number(text), maxHistory) : 0
}

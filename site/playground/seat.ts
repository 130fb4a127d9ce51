import { topicPath } from '../room.ts'

/** What a connection of the playground is to its topic: the first part of its route. */
export type Role = 'pub' | 'sub' | 'bus' | 'push' | 'pull'

interface RoleFacts {
  readonly title: string
  /** What its button says that sends a message; undefined for one that only listens. */
  readonly action: string | undefined
  readonly options: readonly ('history' | 'exact' | 'echo')[]
}

export const roles: Readonly<Record<Role, RoleFacts>> = {
  pub: { title: 'Publisher', action: 'Publish', options: [] },
  sub: { title: 'Subscriber', action: undefined, options: ['history', 'exact'] },
  bus: { title: 'Peer', action: 'Send', options: ['echo'] },
  push: { title: 'Pusher', action: 'Push', options: [] },
  pull: { title: 'Puller', action: undefined, options: [] },
}

export function isRole(text: string): text is Role {
  return Object.hasOwn(roles, text)
}

/** What a connection of the playground is set to. Options that its role does not have are as they are by default. */
export interface Seat {
  readonly role: Role
  readonly topic: string
  /** What its message field holds. */
  readonly message: string
  /** Whether its messages are sent as binary ones. */
  readonly binary: boolean
  /** How many kept messages it gets first. */
  readonly history: number
  /** Whether it leaves out what is below its topic. */
  readonly exact: boolean
  /** Whether it hears itself. */
  readonly echo: boolean
}

export function newSeat(role: Role, topic: string, rest: Partial<Seat> = {}): Seat {
  return { message: '', binary: false, history: 0, exact: false, echo: false, ...rest, role, topic }
}

/** The path and query of a seat's route. Without a topic there is none. */
export function routeOf({ role, topic, history, exact, echo }: Seat): string {
  const query = new URLSearchParams()
  if (history > 0) query.set('history', String(history))
  if (exact) query.set('exact', '1')
  if (echo) query.set('echo', '1')
  return `/${role}/${topicPath(topic)}${query.size === 0 ? '' : `?${query}`}`
}

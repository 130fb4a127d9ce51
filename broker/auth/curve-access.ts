import { curveKeyMark } from '../protocol/index.ts'

/** The sockets that ask for keys. */
export const curveSockets = ['ingest', 'plain', 'requests', 'stream'] as const
export type CurveSocket = (typeof curveSockets)[number]

/** What a key is for, and the sockets that it opens. Which topics is not told by a key: PULL and PUB do not see it. */
export const curveRoles = {
  functions: curveSockets,
  publisher: ['ingest'],
  subscriber: ['plain'],
} as const satisfies Record<string, readonly CurveSocket[]>
export type CurveRole = keyof typeof curveRoles

/** A client: while its keys are changed it has two. */
export interface CurveClient {
  readonly name: string
  readonly roles: readonly CurveRole[]
  /** Public keys in Z85. */
  readonly keys: readonly string[]
}

/** Whose key it is, or why it does not open the socket. */
export type Admission = { readonly name: string } | { readonly refused: string }

/** Decides which key opens which socket. */
export class CurveAccess {
  readonly #clients: ReadonlyMap<string, CurveClient>

  constructor(clients: readonly CurveClient[]) {
    this.#clients = new Map(clients.flatMap(client => client.keys.map(key => [key, client])))
  }

  admit(socket: CurveSocket, key: string): Admission {
    const client = this.#clients.get(key)
    if (!client) return { refused: 'the key is not known' }
    const isOpen = client.roles.some(role => curveRoles[role].some(opened => opened === socket))
    return isOpen
      ? { name: client.name }
      : { refused: `the key of ${client.name} is for ${client.roles.join(' and ')}` }
  }

  /** What another list does not let in any more, as `name (beginning of the key)`. */
  takenBy(next: CurveAccess): string[] {
    const taken: string[] = []
    for (const [key, { name, roles }] of this.#clients) {
      const left = next.#clients.get(key)?.roles ?? []
      if (!roles.every(role => left.includes(role))) taken.push(`${name} (${curveKeyMark(key)}…)`)
    }
    return taken
  }
}

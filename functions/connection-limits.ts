import { Crowd, type Source } from '#limits'
import { PosternError } from '#protocol'

export interface ConnectionLimitsOptions {
  /** Of each address; 0: no limit. */
  readonly perAddress: number
  /** Of each identity; 0: no limit. */
  readonly perIdentity: number
}

/**
 * How many event streams, WebSockets and requests that wait each address and each identity may have in this process,
 * however many of them share a connection of a proxy.
 */
export class ConnectionLimits {
  readonly #options: ConnectionLimitsOptions
  readonly #addresses = new Crowd()
  readonly #identities = new Crowd()

  constructor(options: ConnectionLimitsOptions) {
    this.#options = options
  }

  /** Why a source may not have one more. */
  refusal({ network, identity }: Source): PosternError | undefined {
    const { perAddress, perIdentity } = this.#options
    if (network !== undefined && this.#addresses.isFull(network, perAddress))
      return tooManyConnections(perAddress, 'POSTERN_MAX_ADDRESS_CONNECTIONS')
    if (identity !== undefined && this.#identities.isFull(identity, perIdentity))
      return tooManyConnections(perIdentity, 'POSTERN_MAX_IDENTITY_CONNECTIONS')
    return undefined
  }

  /** Counts one more. @returns what counts it no more, to be called once; undefined where nothing is counted. */
  enter({ network, identity }: Source): (() => void) | undefined {
    if (network === undefined && identity === undefined) return undefined
    if (network !== undefined) this.#addresses.enter(network)
    if (identity !== undefined) this.#identities.enter(identity)
    return () => {
      if (network !== undefined) this.#addresses.leave(network)
      if (identity !== undefined) this.#identities.leave(identity)
    }
  }
}

export function tooManyConnections(limit: number, setting: string): PosternError {
  return new PosternError('TOO_MANY_CONNECTIONS', undefined, { limit, setting })
}

import { CurveAccess, curveSockets } from './auth/curve-access.ts'
import { type CurveFolder, readCurveFolder } from './auth/curve-folder.ts'
import type { Config } from './config.ts'
import { CurveDoor } from './listeners/curve-door.ts'
import type { Logger } from './logger.ts'

/** The keys of a broker that asks for them, and the door that they open. */
export class Curve {
  readonly door: CurveDoor
  readonly #folder: string
  readonly #serverKeys: CurveFolder['serverKeys']
  readonly #logger: Logger

  /** @throws CurveKeysError where the folder cannot be used. */
  constructor({ curveKeys, curveExempt }: Config, logger: Logger) {
    const { serverKeys, clients } = readCurveFolder(curveKeys)
    this.#folder = curveKeys
    this.#serverKeys = serverKeys
    this.#logger = logger
    const sockets = curveSockets.filter(name => !curveExempt.includes(name))
    this.door = new CurveDoor({ serverKeys, sockets, access: new CurveAccess(clients), logger })
  }

  /**
   * Reads again who is let in. A connection that stands is not asked again: libzmq has no way to end one.
   *
   * @returns what has changed and needs a restart.
   */
  reload(next: Config): string[] {
    if (next.curveKeys !== this.#folder) return []
    const { serverKeys, clients } = readCurveFolder(this.#folder)
    const access = new CurveAccess(clients)
    const taken = this.door.access.takenBy(access)
    this.door.access = access
    if (taken.length > 0) {
      const reason = 'nobody comes in with them any more; who is in stays until the broker is restarted'
      this.#logger.warn('curve-keys-taken', { keys: taken.join(', '), reason })
    }
    const publicKeys = (pairs: CurveFolder['serverKeys']) => pairs.map(({ publicKey }) => publicKey).join(' ')
    return publicKeys(serverKeys) === publicKeys(this.#serverKeys) ? [] : ['curveKeys']
  }
}

/** Handshakes that failed, also where nobody is asked for a key. */
export function curveCounters(curve: Curve | undefined): Record<string, number> {
  const { ingest = 0, plain = 0, requests = 0, stream = 0 } = curve?.door.refused ?? {}
  return {
    curveRefusedIngest: ingest,
    curveRefusedPlain: plain,
    curveRefusedRequests: requests,
    curveRefusedStream: stream,
  }
}

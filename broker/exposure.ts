import { type CurveSocket, curveSockets } from './auth/curve-access.ts'
import { readCurveFolder } from './auth/curve-folder.ts'
import type { Config } from './config.ts'
import { type Endpoint, isLoopback } from './listeners/dsn.ts'

/** What is wrong with a setting. */
export interface Exposure {
  readonly setting: keyof Config
  readonly message: string
}

/**
 * Why the broker must not be reached as it is set, or undefined. Threat: a socket without encryption on an open address
 * lets anybody publish, and read every message.
 */
export function exposure(config: Config): Exposure | undefined {
  if (config.plaintext === 'anywhere') return withoutRules(config)
  for (const setting of curveSockets) {
    if (asksForKeys(config, setting)) continue
    const open = config[setting].endpoints.find(endpoint => !isLoopback(endpoint))
    if (open) return inPlain(setting, open, 'Make keys with "broker keys" (curveKeys), reach it')
  }
  if (config.tcp && !isLoopback(config.tcp)) return inPlain('tcp', config.tcp, 'Reach it')
  return undefined
}

function asksForKeys({ curveKeys, curveExempt }: Config, socket: CurveSocket): boolean {
  return curveKeys !== '' && !curveExempt.includes(socket)
}

function inPlain(setting: keyof Config, { host, port }: Endpoint, instead: string): Exposure {
  const message =
    `The setting ${setting} names ${host}:${port}: without encryption only loopback addresses are allowed. ` +
    `${instead} through a tunnel, or set plaintext to "anywhere" (POSTERN_PLAINTEXT) on a network that nobody else can enter.`
  return { setting, message }
}

/** Threat: without rules whoever has got hold of one password may publish and receive everything, from anywhere. */
function withoutRules({ tcp, access }: Config): Exposure | undefined {
  if (!tcp || isLoopback(tcp) || access.length > 0) return undefined
  const message =
    `The setting tcp names ${tcp.host}:${tcp.port}, which others can reach, and there are no rules of who may do what. ` +
    'The setting access: [{"who": "user:*", "publish": ["**"], "subscribe": ["**"]}] lets users do everything.'
  return { setting: 'tcp', message }
}

/**
 * What is missing for the broker's keys, or undefined.
 *
 * @throws CurveKeysError where the folder cannot be used.
 */
export function missingForKeys(config: Config): Exposure | undefined {
  if (config.curveKeys === '') return undefined
  const { serverKeys } = readCurveFolder(config.curveKeys)
  const short = curveSockets.find(
    socket => asksForKeys(config, socket) && config[socket].endpoints.length < serverKeys.length,
  )
  if (!short) return undefined
  const message =
    `The setting ${short} names one endpoint, and the broker has two keys (curveKeys, ${config.curveKeys}): ` +
    'the first endpoint has the old key, the second the new one. Name two, split by ";".'
  return { setting: short, message }
}

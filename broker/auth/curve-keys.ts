import { join } from 'node:path'
import { curveKeyMark } from '../protocol/index.ts'
import type { CurveClient, CurveRole } from './curve-access.ts'
import {
  type CurveFolder,
  CurveKeysError,
  hasServerKeys,
  makeKeyPair,
  maxKeys,
  readCurveFolder,
  writeCurveFolder,
  writePrivate,
} from './curve-folder.ts'

/** Stands for the broker itself where the name of a client is expected. */
export const brokerName = 'broker'

/** They name files. */
const namePattern = /^[A-Za-z0-9][\w-]{0,62}$/
const takenNames = [brokerName, 'clients']

/**
 * Makes the keys of a client: a new one, or the second of one that is there, whose old key still lets it in. The first
 * call makes the broker's own too.
 *
 * @param roles what the client may; of one that is there they stay as they are when none is given.
 * @returns what the operator has to know, as lines.
 * @throws CurveKeysError
 */
export function addClientKey(folder: string, name: string, roles: readonly CurveRole[]): string[] {
  if (!namePattern.test(name) || takenNames.includes(name)) {
    throw new CurveKeysError(
      `the name is ${JSON.stringify(name)}: allowed are letters, digits, _ and -, but not ${takenNames.join(' and ')}`,
    )
  }
  const before = openFolder(folder)
  const old = before.clients.find(client => client.name === name)
  const given = roles.length > 0 ? roles : (old?.roles ?? [])
  if (given.length === 0) throw new CurveKeysError(`${name} is new: say what for`)
  if (old && old.keys.length >= maxKeys)
    throw new CurveKeysError(`${name} has two keys already: retire the old one first`)
  const { publicKey, secretKey } = makeKeyPair()
  const client = { name, roles: [...given], keys: [...(old?.keys ?? []), publicKey] }
  const path = join(folder, `${name}.json`)
  // First what lets it in: a client whose key is not known yet is refused.
  writeCurveFolder(folder, { ...before, clients: withClient(before.clients, client) })
  const serverKey = before.serverKeys.at(-1)?.publicKey
  writePrivate(path, { serverKey, publicKey, secretKey })
  return [
    `${path} is for ${name} alone, which comes in as ${given.join(' and ')}: take it there, and remove it here.`,
    'Functions: POSTERN_CURVE names the file. Programs: the option curve is what it holds.',
    `The broker: curveKeys (POSTERN_CURVE_KEYS) is ${folder}. One that runs learns of it by SIGHUP.`,
    ...(old ? [`The old key, ${markOf(old.keys[0])}, is let in until it is retired.`] : []),
  ]
}

/**
 * Makes another key of the broker's own, beside the old one.
 *
 * @throws CurveKeysError where there are two already.
 */
export function addServerKey(folder: string): string[] {
  if (!hasServerKeys(folder)) {
    openFolder(folder)
    return [
      `The broker has its keys in ${folder}. It asks for keys when curveKeys (POSTERN_CURVE_KEYS) is that.`,
    ]
  }
  const before = readCurveFolder(folder)
  if (before.serverKeys.length >= maxKeys) {
    throw new CurveKeysError('the broker has two keys already: retire the old one first')
  }
  const pair = makeKeyPair()
  writeCurveFolder(folder, { ...before, serverKeys: [...before.serverKeys, pair] })
  return [
    `The new serverKey is ${pair.publicKey}`,
    '1. Give each socket a second endpoint, split by ";", and restart the broker: the first keeps the old key.',
    '2. Take one client after the other to the new endpoint and the new serverKey.',
    '3. Retire the old key, leave out the first endpoints, and restart the broker.',
  ]
}

/**
 * Takes the older of two keys away.
 *
 * @param name of a client, or {@link brokerName}.
 * @throws CurveKeysError where there is only one.
 */
export function retireKey(folder: string, name: string): string[] {
  const before = readCurveFolder(folder)
  if (name === brokerName) {
    const [old, ...left] = before.serverKeys
    if (left.length === 0) throw new CurveKeysError('the broker has one key: make the new one first')
    writeCurveFolder(folder, { ...before, serverKeys: left })
    return [`${markOf(old?.publicKey)} is no key of the broker any more, from its restart on.`]
  }
  const client = clientOf(before, name)
  const [old, ...left] = client.keys
  if (left.length === 0)
    throw new CurveKeysError(`${name} has one key: make the new one first, or remove ${name}`)
  writeCurveFolder(folder, { ...before, clients: withClient(before.clients, { ...client, keys: left }) })
  return [`${markOf(old)} does not let ${name} in any more, from the next SIGHUP on.`, ...connectionsStay]
}

/** Takes all keys of a client away. */
export function removeClient(folder: string, name: string): string[] {
  const before = readCurveFolder(folder)
  const client = clientOf(before, name)
  writeCurveFolder(folder, { ...before, clients: before.clients.filter(other => other !== client) })
  return [`Nobody is let in as ${name} any more, from the next SIGHUP on.`, ...connectionsStay]
}

/** Who is let in, a line for each. */
export function listKeys(folder: string): string[] {
  const { serverKeys, clients } = readCurveFolder(folder)
  return [
    ...serverKeys.map(({ publicKey }) => `${brokerName}: ${publicKey}`),
    ...clients.map(({ name, roles, keys }) => `${name} (${roles.join(', ')}): ${keys.map(markOf).join(' ')}`),
  ]
}

const connectionsStay = ['A connection that it has stays: restart the broker to end it.']

function openFolder(folder: string): CurveFolder {
  if (hasServerKeys(folder)) return readCurveFolder(folder)
  const made: CurveFolder = { serverKeys: [makeKeyPair()], clients: [] }
  writeCurveFolder(folder, made)
  return made
}

function withClient(clients: readonly CurveClient[], client: CurveClient): CurveClient[] {
  return [...clients.filter(({ name }) => name !== client.name), client]
}

function clientOf({ clients }: CurveFolder, name: string): CurveClient {
  const client = clients.find(one => one.name === name)
  if (client) return client
  const known = clients.map(one => one.name).join(', ')
  throw new CurveKeysError(`${JSON.stringify(name)} is not known; known are ${known || 'none'}`)
}

function markOf(publicKey = ''): string {
  return `${curveKeyMark(publicKey)}…`
}

import { chownSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { formatCurveKey, parseCurveKey } from '../protocol/index.ts'
import { type CurveClient, type CurveRole, curveRoles } from './curve-access.ts'

/** A public and a secret key, each in Z85. */
export interface KeyPair {
  readonly publicKey: string
  readonly secretKey: string
}

/** What stands in the folder of keys. */
export interface CurveFolder {
  /** The broker's own: one, or while they are changed the old and the new one. */
  readonly serverKeys: readonly KeyPair[]
  /** Who is let in. */
  readonly clients: readonly CurveClient[]
}

/** Keys cannot be used. The message says where and why, and shows no secret. */
export class CurveKeysError extends Error {
  override readonly name = 'CurveKeysError'
}

/** While keys are changed there are an old and a new one. */
export const maxKeys = 2

const serverFile = 'broker.json'
const clientsFile = 'clients.json'

/** PKCS #8 of an X25519 key, before its 32 bytes (RFC 8410). */
const pkcs8Head = Buffer.from('302e020100300506032b656e04220420', 'hex')

// Not imported: it takes 3 MB, which a broker without keys never needs.
const crypto = () => process.getBuiltinModule('node:crypto')

/** Makes a pair of keys for CURVE, which are those of X25519. */
export function makeKeyPair(): KeyPair {
  const secret = crypto().randomBytes(32)
  return { publicKey: formatCurveKey(publicKeyOf(secret)), secretKey: formatCurveKey(secret) }
}

function publicKeyOf(secret: Uint8Array): Uint8Array {
  const { createPrivateKey, createPublicKey } = crypto()
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Head, secret]), format: 'der', type: 'pkcs8' })
  return Buffer.from(createPublicKey(key).export({ format: 'jwk' }).x ?? '', 'base64url')
}

/**
 * Reads the folder of keys.
 *
 * @throws CurveKeysError where something is missing, wrong, or readable by others.
 */
export function readCurveFolder(folder: string): CurveFolder {
  return {
    serverKeys: readServerKeys(join(folder, serverFile)),
    clients: readClients(join(folder, clientsFile)),
  }
}

/** Whether there are keys already. */
export function hasServerKeys(folder: string): boolean {
  return statSync(join(folder, serverFile), { throwIfNoEntry: false }) !== undefined
}

/** Writes the folder of keys, which only its owner may read. */
export function writeCurveFolder(folder: string, { serverKeys, clients }: CurveFolder): void {
  const byName = clients.map(({ name, roles, keys }) => [name, { roles, keys }])
  writePrivate(join(folder, serverFile), serverKeys)
  writePrivate(join(folder, clientsFile), Object.fromEntries(byName))
}

/** Writes a file, whole or not at all, that the owner of its folder alone may read. */
export function writePrivate(path: string, value: unknown): void {
  const folder = dirname(path)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const unfinished = `${path}.new`
  rmSync(unfinished, { force: true })
  writeFileSync(unfinished, `${JSON.stringify(value, undefined, 2)}\n`, {
    mode: 0o600,
    flag: 'wx',
    flush: true,
  })
  const { uid, gid } = statSync(folder)
  // What root writes for the broker's user has to be that user's.
  if (process.getuid?.() === 0) chownSync(unfinished, uid, gid)
  renameSync(unfinished, path)
}

function readServerKeys(path: string): KeyPair[] {
  const list = readJson(path)
  // Threat: with this key anybody on the machine can pretend to be the broker.
  const mode = statSync(path).mode & 0o777
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new CurveKeysError(`${path} may be read by others (${mode.toString(8)}): chmod 600 ${path}`)
  }
  if (!Array.isArray(list) || list.length < 1 || list.length > maxKeys) {
    throw new CurveKeysError(`${path} is not a list of one or two pairs of keys`)
  }
  return list.map((pair: unknown, at) => {
    const { publicKey, secretKey } = fieldsOf(pair)
    const secret = typeof secretKey === 'string' ? parseCurveKey(secretKey) : undefined
    if (!secret || typeof secretKey !== 'string' || formatCurveKey(publicKeyOf(secret)) !== publicKey) {
      throw new CurveKeysError(
        `${path}: in pair ${at + 1} publicKey and secretKey are no keys that belong together`,
      )
    }
    return { publicKey, secretKey }
  })
}

function readClients(path: string): CurveClient[] {
  const list = readJson(path)
  if (!isObject(list)) throw new CurveKeysError(`${path} is not an object of clients by their names`)
  const clients = Object.entries(list).map(([name, client]) => {
    const { roles, keys } = fieldsOf(client)
    if (!isListOf(roles, isRole) || roles.length === 0) {
      throw new CurveKeysError(
        `${path}: the roles of ${JSON.stringify(name)} are not a list of ${Object.keys(curveRoles).join(', ')}`,
      )
    }
    if (!isListOf(keys, isKey) || keys.length < 1 || keys.length > maxKeys) {
      throw new CurveKeysError(
        `${path}: the keys of ${JSON.stringify(name)} are not a list of one or two public keys of 40 characters`,
      )
    }
    return { name, roles, keys }
  })
  const keys = clients.flatMap(client => client.keys)
  const twice = clients.find(client => client.keys.some(key => keys.indexOf(key) !== keys.lastIndexOf(key)))
  if (twice) throw new CurveKeysError(`${path}: a key of ${JSON.stringify(twice.name)} is there twice`)
  return clients
}

function readJson(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new CurveKeysError(
      `${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  try {
    return JSON.parse(text)
  } catch {
    // What JSON.parse says may show a part of a key.
    throw new CurveKeysError(`${path} is not JSON`)
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return isObject(value) ? value : {}
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isListOf<Item>(value: unknown, isItem: (item: unknown) => item is Item): value is Item[] {
  return Array.isArray(value) && value.every(isItem)
}

function isRole(value: unknown): value is CurveRole {
  return typeof value === 'string' && Object.hasOwn(curveRoles, value)
}

function isKey(value: unknown): value is string {
  return typeof value === 'string' && parseCurveKey(value) !== undefined
}

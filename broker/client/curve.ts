import { readFileSync } from 'node:fs'
import { capability } from 'zeromq'
import { parseCurveKey } from '../protocol/index.ts'

/**
 * What a client needs for CURVE, each key as 40 characters of Z85. The connection is then encrypted, and both sides have
 * proved who they are. `broker keys` writes a file of this form.
 */
export interface CurveKeys {
  /** The broker's public key. */
  readonly serverKey: string
  readonly publicKey: string
  readonly secretKey: string
}

/**
 * Checks the keys of a client.
 *
 * @throws Error that says which key is wrong, and shows none of them.
 */
export function parseCurveKeys(value: unknown): CurveKeys {
  const key = (name: keyof CurveKeys): string => {
    const text: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
    if (typeof text === 'string' && parseCurveKey(text)) return text
    throw new Error(`${name} is not a key of CURVE: allowed are 40 characters, as "broker keys" makes them`)
  }
  return { serverKey: key('serverKey'), publicKey: key('publicKey'), secretKey: key('secretKey') }
}

/**
 * Reads the keys of a client: from the file that `broker keys` has written, or from what it holds.
 *
 * @throws Error that says what is wrong, and shows no key.
 */
export function readCurveKeys(fileOrJson: string): CurveKeys {
  const json = fileOrJson.startsWith('{') ? fileOrJson : readFileSync(fileOrJson, 'utf8')
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    // What JSON.parse says itself may show a part of a key.
    throw new Error('it is not JSON')
  }
  return parseCurveKeys(value)
}

/** The options of a socket that connects with these keys, or in plain without them. */
export function curveOptions(keys: CurveKeys | undefined): CurveOptions {
  if (!keys) return {}
  if (!capability.curve) throw new Error('This build of ZeroMQ has no CURVE.')
  const { serverKey, publicKey, secretKey } = parseCurveKeys(keys)
  return { curveServerKey: serverKey, curvePublicKey: publicKey, curveSecretKey: secretKey }
}

interface CurveOptions {
  /** ZMQ_CURVE_SERVERKEY, ZMQ_CURVE_PUBLICKEY and ZMQ_CURVE_SECRETKEY. */
  readonly curveServerKey?: string
  readonly curvePublicKey?: string
  readonly curveSecretKey?: string
}

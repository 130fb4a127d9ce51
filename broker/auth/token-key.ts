import type { KeyObject } from 'node:crypto'

/** The algorithms of RFC 7518 and 8037 by which a token may be signed. */
export const tokenAlgorithms = ['HS256', 'RS256', 'ES256', 'EdDSA'] as const
export type TokenAlgorithm = (typeof tokenAlgorithms)[number]

/** An entry of the setting `tokens`: a key, and what the tokens must say that are signed with it. */
export interface TokenKey {
  /** Of one key always the same one: who could choose it would sign with the public key as if it were a secret. */
  readonly algorithm: TokenAlgorithm
  /** The secret of `HS256`, otherwise a public key: PEM or JWK. */
  readonly key: string
  /** What `aud` has to name; empty: a token that names one is refused. */
  readonly audience: string
  /** What `iss` has to be; empty: anything. */
  readonly issuer: string
  /** The claim that has the roles: a list, or a text with spaces between them. */
  readonly rolesClaim: string
}

/** RFC 7518, 3.2: a secret is no shorter than the hash. */
const minSecretBytes = 32

/** RFC 7518, 3.3. */
const minRsaBits = 2048

/** What a key is for, in the words of node:crypto, and for the operator. */
const kinds = {
  RS256: { type: 'rsa', name: `an RSA key of ${minRsaBits} bits or more` },
  ES256: { type: 'ec', name: 'a key on the curve P-256' },
  EdDSA: { type: 'ed25519', name: 'a key of Ed25519' },
} as const

/**
 * The key that tokens are verified with.
 *
 * @throws Error that says what is wrong, and shows nothing of the key.
 */
export function verificationKey({ algorithm, key }: Pick<TokenKey, 'algorithm' | 'key'>): KeyObject {
  const { createPublicKey } = process.getBuiltinModule('node:crypto')
  if (algorithm === 'HS256') return secretKey(key)
  // Threat: a broker that can be broken into must not have what tokens are made with.
  if (/PRIVATE KEY|"d"\s*:/.test(key)) throw new Error('this is a private key: allowed is the public one')
  return keyFor(algorithm, key, createPublicKey)
}

/**
 * The key that tokens are made with.
 *
 * @throws Error as {@link verificationKey} does.
 */
export function signingKey({ algorithm, key }: Pick<TokenKey, 'algorithm' | 'key'>): KeyObject {
  const { createPrivateKey } = process.getBuiltinModule('node:crypto')
  return algorithm === 'HS256' ? secretKey(key) : keyFor(algorithm, key, createPrivateKey)
}

function secretKey(secret: string): KeyObject {
  const { createSecretKey } = process.getBuiltinModule('node:crypto')
  const bytes = Buffer.from(secret)
  if (bytes.length < minSecretBytes)
    throw new Error(`it has ${bytes.length} bytes: allowed are ${minSecretBytes} or more`)
  return createSecretKey(bytes)
}

type Reader = typeof import('node:crypto').createPublicKey | typeof import('node:crypto').createPrivateKey

function keyFor(algorithm: keyof typeof kinds, text: string, read: Reader): KeyObject {
  const { type, name } = kinds[algorithm]
  const found = parsed(text, read)
  if (found?.asymmetricKeyType !== type) throw new Error(`it is not ${name}, as PEM or JWK`)
  const { modulusLength = 0, namedCurve } = found.asymmetricKeyDetails ?? {}
  const isRight =
    algorithm === 'RS256' ? modulusLength >= minRsaBits : algorithm === 'EdDSA' || namedCurve === 'prime256v1'
  if (!isRight) throw new Error(`it is not ${name}`)
  return found
}

function parsed(text: string, read: Reader): KeyObject | undefined {
  try {
    return text.trimStart().startsWith('{') ? read({ key: JSON.parse(text), format: 'jwk' }) : read(text)
  } catch {
    // What OpenSSL says of it helps nobody, and may show it.
    return undefined
  }
}

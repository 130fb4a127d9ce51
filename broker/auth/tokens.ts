import type { JWTPayload } from 'jose'
import { isLonger, parseAccessPattern, type TopicScope } from '../protocol/index.ts'
import type { Identity } from './identity.ts'
import { type TokenAlgorithm, type TokenKey, verificationKey } from './token-key.ts'

/** More than any issuer makes: what is longer is not looked at. */
const maxTokenBytes = 8192

/** What a token may be ahead of this clock (`nbf`). Its end is not put off. */
const aheadS = 5

/** What a `Date` can hold (ECMA-262, 21.4.1.1). */
const maxTimeMs = 8.64e15

/** Bytes of UTF-8 in the name of a token's bearer: it stands beside idempotency keys. */
const maxNameBytes = 200

/** The claim by which a token says what it is for, by patterns. */
export const scopeClaim = 'postern'

/** Of one algorithm RFC 9864 has another name. */
const names: Readonly<Record<TokenAlgorithm, readonly string[]>> = {
  HS256: ['HS256'],
  RS256: ['RS256'],
  ES256: ['ES256'],
  EdDSA: ['EdDSA', 'Ed25519'],
}

/** A token is not taken. */
export interface TokenRefusal {
  /** For whoever has shown it. */
  readonly told: string
  /** For the operator, with what was expected. Neither shows the token. */
  readonly full: string
}

export type TokenBearer = Identity & { readonly kind: 'token' }

interface Key extends TokenKey {
  /** Its place in the setting. */
  readonly setting: string
  readonly verifier: ReturnType<typeof verificationKey>
}

/** Those who may come with a token: JWTs (RFC 7519) that are signed with one of the keys. */
export class Tokens {
  readonly #keys: readonly Key[]
  readonly #nowMs: () => number

  /** @param nowMs Unix time. */
  constructor(keys: readonly TokenKey[], nowMs: () => number) {
    this.#keys = keys.map((key, i) => ({ ...key, setting: `tokens.${i}`, verifier: verificationKey(key) }))
    this.#nowMs = nowMs
  }

  /** Who bears a token, when it is signed with one of the keys and says what has to be said. */
  async identify(token: string): Promise<TokenBearer | TokenRefusal> {
    if (this.#keys.length === 0) return refusal('Tokens are not taken here.', 'the setting tokens has no key')
    if (isLonger(token, maxTokenBytes)) return refusal(`The token is longer than ${maxTokenBytes} bytes.`)
    const { decodeProtectedHeader } = await import('jose')
    // What it says is not looked at by anybody before, whatever its types promise.
    const algorithm: unknown = triedValue(() => decodeProtectedHeader(token).alg)
    if (typeof algorithm !== 'string') return refusal('The token is no signed JWT.')
    const keys = this.#keys.filter(key => names[key.algorithm].includes(algorithm))
    if (keys.length === 0) {
      const accepted = this.#keys.map(key => key.algorithm).join(', ')
      return refusal(
        'The algorithm of the token is not accepted here.',
        `it is ${algorithm}, not ${accepted}`,
      )
    }
    const refusals: TokenRefusal[] = []
    for (const key of keys) {
      const outcome = await this.#verify(token, key)
      if ('kind' in outcome) return outcome
      refusals.push(outcome)
    }
    // The key by which it was signed says more of what is wrong than the others.
    return refusals.find(one => one !== badSignature) ?? badSignature
  }

  async #verify(token: string, key: Key): Promise<TokenBearer | TokenRefusal> {
    const { jwtVerify, errors } = await import('jose')
    const nowMs = this.#nowMs()
    try {
      const { payload } = await jwtVerify(token, key.verifier, {
        algorithms: [...names[key.algorithm]],
        requiredClaims: ['exp'],
        clockTolerance: aheadS,
        currentDate: new Date(nowMs),
        ...(key.audience !== '' && { audience: key.audience }),
        ...(key.issuer !== '' && { issuer: key.issuer }),
      })
      return bearerOf(payload, key, nowMs)
    } catch (error) {
      if (error instanceof errors.JWSSignatureVerificationFailed) return badSignature
      if (error instanceof errors.JWTExpired) return expired(error.payload, key)
      if (error instanceof errors.JWTClaimValidationFailed) return wrongClaim(error.claim, error.payload, key)
      return refusal('The token is no signed JWT.')
    }
  }
}

const badSignature: TokenRefusal = refusal(
  'The signature of the token is wrong.',
  'no key of the setting tokens fits it',
)

function bearerOf(payload: JWTPayload, key: Key, nowMs: number): TokenBearer | TokenRefusal {
  const { exp = 0, aud } = payload
  const { sub, iss }: Readonly<Record<string, unknown>> = payload
  const expiresMs = exp * 1000
  if (expiresMs <= nowMs) return expired(payload, key)
  if (expiresMs > maxTimeMs) return wrongClaim('exp', payload, key)
  if (!isTextOrNone(sub)) return wrongClaim('sub', payload, key)
  if (!isTextOrNone(iss)) return wrongClaim('iss', payload, key)
  // RFC 7519, 4.1.3: whoever is not named must not take it.
  if (key.audience === '' && aud !== undefined) return wrongClaim('aud', payload, key)
  const roles = rolesOf(payload[key.rolesClaim])
  if (!roles)
    return refusal(
      `The claim ${key.rolesClaim} of the token is neither a list of texts nor a text.`,
      key.setting,
    )
  const scope = scopeOf(payload[scopeClaim])
  if (scope === 'wrong')
    return refusal(
      `The claim ${scopeClaim} of the token is not {publish: [patterns], subscribe: [patterns]}.`,
      key.setting,
    )
  const bearer = sub === undefined ? `(${roles.join(' ')})` : sub
  const name = iss === undefined ? bearer : `${bearer}@${iss}`
  // Threat: a name that ends early in a line or a key could pass for another one.
  if (isLonger(name, maxNameBytes) || /[\p{Cc}\p{Cs}]/u.test(name))
    return refusal(`The token names nobody in ${maxNameBytes} bytes without control characters.`, key.setting)
  return { kind: 'token', name, roles, expiresMs, ...(scope && { scope }) }
}

function rolesOf(claim: unknown): readonly string[] | undefined {
  if (claim === undefined) return []
  if (typeof claim === 'string') return claim.split(' ').filter(role => role !== '')
  return isTexts(claim) ? claim : undefined
}

function scopeOf(claim: unknown): TopicScope | 'wrong' | undefined {
  if (claim === undefined) return undefined
  if (typeof claim !== 'object' || claim === null || Array.isArray(claim)) return 'wrong'
  const { publish = [], subscribe = [], ...rest }: Readonly<Record<string, unknown>> = { ...claim }
  if (!isTexts(publish) || !isTexts(subscribe) || Object.keys(rest).length > 0) return 'wrong'
  // What cannot be understood might have been meant as a bound.
  const patterns = triedValue(() => [...publish, ...subscribe].map(parseAccessPattern))
  return patterns ? { publish, subscribe } : 'wrong'
}

function expired({ exp, sub }: JWTPayload, { setting }: Key): TokenRefusal {
  return refusal('The token has expired.', `exp is ${exp}, sub ${shown(sub)}, ${setting}`)
}

function wrongClaim(claim: string, payload: JWTPayload, { setting, audience, issuer }: Key): TokenRefusal {
  const found = payload[claim]
  const is = `${claim} is ${found === undefined ? 'missing' : JSON.stringify(found)}, sub ${shown(payload.sub)}, ${setting}`
  switch (claim) {
    case 'exp':
      return refusal('The token does not say when it expires (exp).', is)
    case 'nbf':
      return refusal('The token is not valid yet (nbf).', is)
    case 'aud':
      return refusal('The token is for another audience (aud).', `${is}, expected ${audience || 'none'}`)
    case 'iss':
      return refusal('The token is of another issuer (iss).', `${is}, expected ${issuer}`)
    default:
      return refusal(`The claim ${claim} of the token is wrong.`, is)
  }
}

/** Threat: an object whose `toString` is none, which cannot be part of a text. */
function shown(claim: unknown): string | undefined {
  return typeof claim === 'string' ? claim : JSON.stringify(claim)
}

function refusal(told: string, more?: string): TokenRefusal {
  return { told, full: more === undefined ? told : `${told} ${more}` }
}

function isTextOrNone(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string'
}

function isTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every(item => typeof item === 'string')
}

function triedValue<Value>(read: () => Value): Value | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

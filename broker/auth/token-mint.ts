import type { TopicScope } from '../protocol/index.ts'
import { signingKey, type TokenKey } from './token-key.ts'
import { scopeClaim, type TokenBearer, Tokens } from './tokens.ts'

/** What a new token says. */
export interface TokenClaims {
  /** Who bears it: `sub`. */
  readonly subject?: string
  readonly roles: readonly string[]
  /** Beyond these patterns it is for nothing. */
  readonly scope?: TopicScope
  readonly expiresInS: number
}

/**
 * Makes a token that the broker takes with a key of its setting `tokens`, with the audience and the issuer that it asks
 * for.
 *
 * @param signs the secret of `HS256`, otherwise the private key that belongs to the public one: PEM or JWK.
 * @throws Error when the key cannot be used, does not belong to the other one, or the broker would not take the token.
 */
export async function mintToken(
  key: TokenKey,
  signs: string,
  { subject, roles, scope, expiresInS }: TokenClaims,
  nowMs: number,
): Promise<{ readonly token: string; readonly bearer: TokenBearer }> {
  const { SignJWT } = await import('jose')
  const nowS = Math.floor(nowMs / 1000)
  const claims = {
    ...(subject !== undefined && { sub: subject }),
    ...(key.issuer !== '' && { iss: key.issuer }),
    ...(key.audience !== '' && { aud: key.audience }),
    ...(roles.length > 0 && { [key.rolesClaim]: roles }),
    ...(scope && { [scopeClaim]: scope }),
    iat: nowS,
    exp: nowS + expiresInS,
  }
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: key.algorithm, typ: 'JWT' })
    .sign(signingKey({ algorithm: key.algorithm, key: signs }))
  const bearer = await new Tokens([key], () => nowMs).identify(token)
  if (!('kind' in bearer)) throw new Error(`The broker would not take it: ${bearer.full}`)
  return { token, bearer }
}

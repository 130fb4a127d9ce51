import { generateKeyPairSync } from 'node:crypto'
import { type JWTPayload, SignJWT } from 'jose'
import { signingKey, type TokenAlgorithm, type TokenKey } from '../../broker/auth/token-key.ts'

/** A secret that is long enough. */
export const secret = 'a secret of more than 32 bytes, for tests'

/** The halves of a key pair, as PEM; of HS256 the same secret twice. */
export function keyPair(algorithm: TokenAlgorithm): { readonly signs: string; readonly verifies: string } {
  if (algorithm === 'HS256') return { signs: secret, verifies: secret }
  const { privateKey, publicKey } =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : algorithm === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519')
  return {
    signs: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    verifies: String(publicKey.export({ type: 'spki', format: 'pem' })),
  }
}

/** An entry of the setting `tokens`, as it is read. */
export function tokenKey(more: Partial<TokenKey> = {}): TokenKey {
  return { algorithm: 'HS256', key: secret, audience: '', issuer: '', rolesClaim: 'roles', ...more }
}

/** Signs a token with these claims and no others. */
export function signed(
  claims: JWTPayload,
  key = secret,
  algorithm: TokenAlgorithm = 'HS256',
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: algorithm }).sign(signingKey({ algorithm, key }))
}

import { expect, it } from 'vitest'
import { tokenAlgorithms } from '../../broker/auth/token-key.ts'
import { mintToken } from '../../broker/auth/token-mint.ts'
import { Tokens } from '../../broker/auth/tokens.ts'
import { keyPair, tokenKey } from '../support/token-keys.ts'

const nowMs = 1_800_000_000_000

it.each(tokenAlgorithms)('a new token of %s is one that the broker takes', async algorithm => {
  const { signs, verifies } = keyPair(algorithm)
  const key = tokenKey({ algorithm, key: verifies, audience: 'postern', issuer: 'me', rolesClaim: 'r' })
  const scope = { publish: ['a'], subscribe: [] }
  const claims = { subject: 'amy', roles: ['editor'], scope, expiresInS: 60 }
  const { token, bearer } = await mintToken(key, signs, claims, nowMs)
  expect(bearer).toEqual({
    kind: 'token',
    name: 'amy@me',
    roles: ['editor'],
    scope,
    expiresMs: nowMs + 60_000,
  })
  expect(await new Tokens([key], () => nowMs).identify(token)).toEqual(bearer)
})

it('a token is not made with the key of another, nor with claims that would be refused', async () => {
  const key = tokenKey({ algorithm: 'ES256', key: keyPair('ES256').verifies })
  const { signs } = keyPair('ES256')
  await expect(mintToken(key, signs, { roles: [], expiresInS: 60 }, nowMs)).rejects.toThrow(
    'The broker would not take it: The signature of the token is wrong.',
  )
  await expect(mintToken(key, 'no key', { roles: [], expiresInS: 60 }, nowMs)).rejects.toThrow(
    'it is not a key on the curve P-256, as PEM or JWK',
  )
  const claims = { subject: 'x'.repeat(300), roles: [], expiresInS: 60 }
  await expect(mintToken(tokenKey(), tokenKey().key, claims, nowMs)).rejects.toThrow('names nobody')
})

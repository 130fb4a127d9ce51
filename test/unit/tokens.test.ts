import { createHmac, createSign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type TokenKey, tokenAlgorithms } from '../../broker/auth/token-key.ts'
import { Tokens } from '../../broker/auth/tokens.ts'
import { keyPair, secret, signed, tokenKey } from '../support/token-keys.ts'

const nowS = 1_800_000_000
const later = nowS + 60
const other = 'another secret of more than 32 bytes, too'

function tokens(...keys: readonly Partial<TokenKey>[]): Tokens {
  return new Tokens(keys.map(tokenKey), () => nowS * 1000)
}

/** A token put together by hand. */
function forged(header: object, claims: object, sign: (text: string) => string): string {
  const text = [header, claims].map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${text}.${sign(text)}`
}

describe('a token', () => {
  it.each(tokenAlgorithms)('signed by %s is taken, and by no other key', async algorithm => {
    const [pair, foreign] = [keyPair(algorithm), keyPair(algorithm)]
    const taken = tokens({ algorithm, key: pair.verifies })
    const token = await signed({ sub: 'amy', exp: later }, pair.signs, algorithm)
    expect(await taken.identify(token)).toEqual({
      kind: 'token',
      name: 'amy',
      roles: [],
      expiresMs: later * 1000,
    })
    const key = algorithm === 'HS256' ? other : foreign.signs
    const refused = await taken.identify(await signed({ sub: 'amy', exp: later }, key, algorithm))
    expect(refused).toMatchObject({ told: 'The signature of the token is wrong.' })
  })

  it('has the name, the roles and the scope that it says', async () => {
    const claims = {
      sub: 'amy',
      iss: 'https://login.example',
      exp: later,
      roles: ['editor', 'reader'],
      postern: { publish: ['chat/amy'], subscribe: ['chat/**'] },
    }
    expect(await tokens({}).identify(await signed(claims))).toEqual({
      kind: 'token',
      name: 'amy@https://login.example',
      roles: ['editor', 'reader'],
      expiresMs: later * 1000,
      scope: { publish: ['chat/amy'], subscribe: ['chat/**'] },
    })
  })

  it('may have its roles in one text, under another name, and nobody’s name', async () => {
    const token = await signed({ exp: later, scope: 'editor  reader' })
    expect(await tokens({ rolesClaim: 'scope' }).identify(token)).toMatchObject({
      name: '(editor reader)',
      roles: ['editor', 'reader'],
    })
  })

  it('that says what it is for in half is for nothing else', async () => {
    const token = await signed({ exp: later, postern: { publish: ['a'] } })
    expect(await tokens({}).identify(token)).toMatchObject({ scope: { publish: ['a'], subscribe: [] } })
  })

  it('is taken with any of several keys, and with one key in several entries', async () => {
    const token = await signed({ exp: later, aud: 'two' })
    expect(
      await tokens({ key: other }, { audience: 'one' }, { audience: 'two' }).identify(token),
    ).toMatchObject({
      kind: 'token',
    })
  })

  it.each([
    { wrong: 'an algorithm that is no text', header: { alg: { toString: 1 } }, claims: {} },
    { wrong: 'a name that is no text', header: { alg: 'HS256' }, claims: { sub: { toString: 1 } } },
    { wrong: 'an issuer that is no text', header: { alg: 'HS256' }, claims: { sub: 'amy', iss: ['a'] } },
    { wrong: 'an end that no clock reaches', header: { alg: 'HS256' }, claims: { sub: 'amy', exp: 1e300 } },
  ])('is refused with $wrong, whoever has signed it', async ({ header, claims }) => {
    const sign = (text: string) => createHmac('sha256', secret).update(text).digest('base64url')
    const refused = await tokens({}).identify(forged(header, { exp: later, ...claims }, sign))
    expect(refused).toEqual({ told: expect.any(String), full: expect.any(String) })
  })

  it('may be ahead of the clock by a few seconds, and no longer than it says', async () => {
    const early = await signed({ exp: later, nbf: nowS + 4 })
    expect(await tokens({}).identify(early)).toMatchObject({ kind: 'token' })
    const last = await signed({ exp: nowS + 1 })
    expect(await tokens({}).identify(last)).toMatchObject({ kind: 'token' })
    expect(await tokens({}).identify(await signed({ exp: nowS }))).toMatchObject({
      told: 'The token has expired.',
    })
  })
})

describe('a token is refused, with the reason,', () => {
  const entry = { audience: 'postern', issuer: 'login' }
  const right = { sub: 'amy', exp: later, aud: 'postern', iss: 'login' }

  it.each<[string, object, string, string]>([
    ['that has expired', { exp: nowS - 1 }, 'has expired', `exp is ${nowS - 1}, sub amy, tokens.0`],
    ['that does not expire', { exp: undefined }, '(exp)', 'exp is missing'],
    ['whose end is a text', { exp: 'never' }, '(exp)', 'exp is "never"'],
    ['that is not valid yet', { nbf: nowS + 60 }, '(nbf)', `nbf is ${nowS + 60}`],
    [
      'for another audience',
      { aud: ['a', 'b'] },
      '(aud)',
      'aud is ["a","b"], sub amy, tokens.0, expected postern',
    ],
    ['for no audience', { aud: undefined }, '(aud)', 'aud is missing'],
    ['of another issuer', { iss: 'else' }, '(iss)', 'iss is "else", sub amy, tokens.0, expected login'],
    ['with roles of another form', { roles: 7 }, 'claim roles', 'tokens.0'],
    ['with roles that are numbers', { roles: [7] }, 'claim roles', 'tokens.0'],
    ['with a scope of another form', { postern: ['a'] }, 'claim postern', 'tokens.0'],
    ['with a scope for something unknown', { postern: { receive: ['a'] } }, 'claim postern', 'tokens.0'],
    ['with a scope that is no pattern', { postern: { publish: ['a*'] } }, 'claim postern', 'tokens.0'],
    ['with a name that hides another', { sub: 'amy\0chat' }, 'names nobody', 'tokens.0'],
    ['with an endless name', { sub: 'x'.repeat(201) }, 'names nobody', 'tokens.0'],
  ])('%s', async (_, claims, told, full) => {
    const token = await signed({ ...right, ...claims })
    const outcome = await tokens(entry).identify(token)
    expect(outcome).toEqual({ told: expect.stringContaining(told), full: expect.stringContaining(full) })
    expect(JSON.stringify(outcome)).not.toContain(token.split('.')[2])
  })

  it('that names an audience where none is set', async () => {
    expect(await tokens({}).identify(await signed({ exp: later, aud: 'else' }))).toMatchObject({
      told: 'The token is for another audience (aud).',
    })
  })

  it('of an algorithm that is not in the list, the one without a signature too', async () => {
    const claims = { exp: later }
    const none = forged({ alg: 'none' }, claims, () => '')
    const hs512 = forged({ alg: 'HS512' }, claims, text =>
      createHmac('sha512', secret).update(text).digest('base64url'),
    )
    for (const token of [none, hs512])
      expect(await tokens({}).identify(token)).toMatchObject({
        told: 'The algorithm of the token is not accepted here.',
      })
  })

  it('that takes a public key for a secret', async () => {
    const { verifies } = keyPair('RS256')
    const token = forged({ alg: 'HS256' }, { exp: later }, text =>
      createHmac('sha256', verifies).update(text).digest('base64url'),
    )
    expect(await tokens({ algorithm: 'RS256', key: verifies }).identify(token)).toMatchObject({
      told: 'The algorithm of the token is not accepted here.',
    })
    expect(await tokens({ algorithm: 'RS256', key: verifies }, {}).identify(token)).toMatchObject({
      told: 'The signature of the token is wrong.',
    })
  })

  it('that brings its own key', async () => {
    const { signs } = keyPair('RS256')
    const token = forged({ alg: 'RS256', jwk: {}, x5u: 'https://evil.example' }, { exp: later }, text =>
      createSign('sha256').update(text).sign(signs, 'base64url'),
    )
    expect(
      await tokens({ algorithm: 'RS256', key: keyPair('RS256').verifies }).identify(token),
    ).toMatchObject({
      told: 'The signature of the token is wrong.',
    })
  })

  it('that asks for what is not understood', async () => {
    const token = forged({ alg: 'HS256', crit: ['b64'], b64: false }, { exp: later }, text =>
      createHmac('sha256', secret).update(text).digest('base64url'),
    )
    expect(await tokens({}).identify(token)).not.toHaveProperty('kind')
  })

  it('that is none, or too long, or when there is no key', async () => {
    for (const text of ['', 'amy', 'a.b.c', '..', `${'A'.repeat(100)}.e30.`])
      expect(await tokens({}).identify(text)).toMatchObject({ told: 'The token is no signed JWT.' })
    expect(await tokens({}).identify('x'.repeat(8193))).toMatchObject({
      told: expect.stringContaining('8192'),
    })
    expect(await tokens().identify(await signed({ exp: later }))).toMatchObject({
      told: 'Tokens are not taken here.',
    })
  })
})

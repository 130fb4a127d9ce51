import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../broker/config.ts'
import { codeOf } from '../support/papers.ts'
import { keyPair, secret } from '../support/token-keys.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-access-'))
afterAll(() => rmSync(folder, { recursive: true }))

function load(settings: object, env: Record<string, string> = {}) {
  const file = join(folder, 'config')
  writeFileSync(file, JSON.stringify(settings))
  return loadConfig({ ...env, POSTERN_CONFIG: file })
}

const saved = (name: string, content: string) => {
  writeFileSync(join(folder, name), content)
  return join(folder, name)
}

describe('the rules', () => {
  it('are read with what they leave out', () => {
    const access = [
      { who: 'user:amy', publish: ['a/*'] },
      { who: ['anonymous', 'token:x'], subscribe: ['**'] },
    ]
    expect(load({ access }).access).toEqual([
      { who: ['user:amy'], publish: ['a/*'], subscribe: [], history: true },
      { who: ['anonymous', 'token:x'], publish: [], subscribe: ['**'], history: true },
    ])
    expect(load({}).access).toEqual([])
  })

  it.each<[unknown, string]>([
    ['*', 'The setting access is "*": allowed is a list of rules.'],
    [[{ publish: ['a'] }], 'The setting access.0.who is undefined: '],
    [[{ who: 'amy' }], 'The setting access.0.who is "amy": allowed is "anonymous", "user:NAME"'],
    [[{ who: ['user:amy', 'role:x'] }], 'allowed is "anonymous", "user:NAME"'],
    [[{ who: [] }], 'The setting access.0.who is []: allowed is'],
    [[{ who: '*', publish: 'a' }], 'The setting access.0.publish is "a": allowed is a list of patterns.'],
    [
      [{ who: '*', publish: ['a*'] }],
      'The setting access.0.publish.0 is "a*": allowed is a topic in which *',
    ],
    [[{ who: '*', subscribe: ['$push/a'] }], 'Topics that begin with "$" belong to the system.'],
    [[{ who: '*', history: 1 }], 'The setting access.0.history is 1: allowed is true or false.'],
    [[{ who: '*', receive: [] }], 'known are who, publish, subscribe, history.'],
  ])('are told what is wrong with them: %j', (access, line) => {
    expect(() => load({ access })).toThrow(line)
  })
})

describe('the keys of tokens', () => {
  it('are inline, in a file without its last line end, or in the environment', () => {
    const { verifies } = keyPair('ES256')
    const { tokens } = load(
      {
        tokens: [
          { algorithm: 'HS256', key: secret, audience: 'a', issuer: 'i', rolesClaim: 'r' },
          { algorithm: 'HS256', keyFile: saved('secret', `${secret}\n`) },
          { algorithm: 'ES256', key: 'env://PUBLIC_KEY' },
        ],
      },
      { PUBLIC_KEY: verifies },
    )
    expect(tokens).toEqual([
      { algorithm: 'HS256', key: secret, audience: 'a', issuer: 'i', rolesClaim: 'r' },
      { algorithm: 'HS256', key: secret, audience: '', issuer: '', rolesClaim: 'roles' },
      { algorithm: 'ES256', key: verifies, audience: '', issuer: '', rolesClaim: 'roles' },
    ])
  })

  it('may be a JWK', () => {
    const { publicKey } = generateKeyPairSync('ed25519')
    const key = JSON.stringify(publicKey.export({ format: 'jwk' }))
    expect(load({ tokens: [{ algorithm: 'EdDSA', key }] }).tokens).toHaveLength(1)
  })

  const short = 'too-short-a-secret'
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const pem = ({ publicKey }: typeof weak) => String(publicKey.export({ type: 'spki', format: 'pem' }))

  it.each<[unknown, string]>([
    [short, 'The setting tokens is (not shown): allowed is a list of keys.'],
    [[short], 'The setting tokens.0 is (not shown): allowed is an object.'],
    [[{ algorithm: 'HS256', key: short }], 'it has 18 bytes: allowed are 32 or more'],
    [[{ algorithm: 'HS256', secret: short }], 'The setting tokens.0.secret is (not shown): it is not known'],
    [
      [{ algorithm: 'none', key: short }],
      'The setting tokens.0.algorithm is "none": allowed is HS256, RS256, ES256',
    ],
    [[{ algorithm: 'HS256' }], 'allowed is either a key or a keyFile'],
    [[{ algorithm: 'HS256', key: short, keyFile: 'x' }], 'allowed is either a key or a keyFile'],
    [[{ algorithm: 'HS256', keyFile: '/nowhere/key' }], 'the keyFile /nowhere/key cannot be read'],
    [[{ algorithm: 'HS256', key: 'env://NOT_SET' }], 'the key is env://NOT_SET, which is not set'],
    [[{ algorithm: 'RS256', key: short }], 'it is not an RSA key of 2048 bits or more, as PEM or JWK'],
    [[{ algorithm: 'RS256', key: pem(weak) }], 'it is not an RSA key of 2048 bits or more'],
    [[{ algorithm: 'ES256', key: pem(p384) }], 'it is not a key on the curve P-256'],
    [[{ algorithm: 'EdDSA', key: keyPair('ES256').verifies }], 'it is not a key of Ed25519'],
    [
      [{ algorithm: 'ES256', key: keyPair('ES256').signs }],
      'this is a private key: allowed is the public one',
    ],
  ])('are told what is wrong with them, without what they are: %#', (tokens, line) => {
    let told = ''
    try {
      load({ tokens })
    } catch (error) {
      told = String(error)
    }
    expect(told).toContain(line)
    expect(told).not.toContain(short)
    expect(told).not.toContain('BEGIN')
  })
})

it('a TCP door that others can reach is refused without rules, with what to write', () => {
  const open = { tcp: 'tcp://192.0.2.1:8887', plaintext: 'anywhere' }
  let told = ''
  try {
    load(open)
  } catch (error) {
    told = String(error)
  }
  expect(told).toContain('The setting tcp names 192.0.2.1:8887')
  const written = /The setting access: (\[.*\]) lets/.exec(told)?.[1]
  expect(load({ ...open, access: JSON.parse(written ?? '') }).access).toHaveLength(1)
  expect(() => load({ ...open, tcp: 'tcp://127.0.0.1:8887' })).not.toThrow()
})

it('what the paper of the broker shows is taken', () => {
  const paper = readFileSync(new URL('../../broker/README.md', import.meta.url), 'utf8')
  const shown = codeOf(paper, 'json').filter(text => /"(access|tokens)": \[/.test(text))
  expect(shown).toHaveLength(2)
  const file = saved('login.pem', keyPair('ES256').verifies)
  for (const text of shown)
    expect(() =>
      load(JSON.parse(text.replace('/etc/postern/login.pem', file)), { TOKEN_SECRET: secret }),
    ).not.toThrow()
})

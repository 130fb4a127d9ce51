import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/processes.ts'
import { keyPair, secret } from '../support/token-keys.ts'

const program = fileURLToPath(new URL('../../broker/main.ts', import.meta.url))
const pair = keyPair('ES256')
const settings = {
  tokens: [
    { algorithm: 'HS256', key: 'env://TOKEN_SECRET', audience: 'postern' },
    { algorithm: 'ES256', key: pair.verifies, issuer: 'me' },
  ],
  access: [{ who: 'token:editor', publish: ['chat/**'], subscribe: ['chat/**'], history: false }],
}

async function begin() {
  const folder = await temporaryFolder()
  const config = join(folder, 'config')
  await writeFile(config, JSON.stringify(settings))
  const privateKey = join(folder, 'private.pem')
  await writeFile(privateKey, pair.signs)
  const token = async (words: readonly string[], input = '') => {
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', program, 'token', ...words],
      {
        env: { PATH: process.env['PATH'], POSTERN_CONFIG: config, TOKEN_SECRET: secret },
      },
    )
    child.stdin.end(input)
    const [out, error, [code]] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'exit'),
    ])
    return { out, error, code }
  }
  return { token, privateKey }
}

describe('broker token', () => {
  it('makes a token that it explains, rule by rule', async () => {
    const { token } = await begin()
    const made = await token(['--subject', 'amy', '--roles', 'editor,reader', '--subscribe', 'chat/a/**'])
    expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+\n$/) })
    expect(made.error).toContain('It is of token:amy, with the roles editor, reader.')

    const explained = await token(['--check', '-', '--topic', 'chat/a'], made.out)
    expect(explained).toMatchObject({ code: 0, error: '' })
    expect(explained.out).toContain(
      [
        'publish chat/a',
        '  access.0 (token:editor): names it by chat/**.',
        '  The token itself: names nothing that fits: publish nothing.',
        '  Refused: token:amy may not publish on "chat/a".',
        '',
        'subscribe chat/a',
        '  access.0 (token:editor): names it by chat/**.',
        '  The token itself: names it by chat/a/**.',
        '  Allowed.',
      ].join('\n'),
    )
  })

  it('says by its exit code whether an action is allowed', async () => {
    const { token } = await begin()
    const { out } = await token(['--roles', 'editor'])
    const codeOf = async (...words: string[]) => (await token(['--check', '-', ...words], out)).code
    expect(await codeOf()).toBe(0)
    expect(await codeOf('--topic', 'chat', '--action', 'publish')).toBe(0)
    expect(await codeOf('--topic', 'news', '--action', 'publish')).toBe(1)
    expect(await codeOf('--topic', 'chat', '--action', 'history')).toBe(1)
  })

  it('makes one with a private key, which the broker does not have', async () => {
    const { token, privateKey } = await begin()
    const made = await token(['--entry', '1', '--private', privateKey, '--subject', 'amy'])
    expect(made.code).toBe(0)
    expect((await token(['--check', '-'], made.out)).out).toContain('It is of token:amy@me, without roles.')
    expect(await token(['--entry', '1'])).toMatchObject({
      code: 2,
      error: expect.stringContaining('tokens.1 has a public key of ES256: --private names the other half.'),
    })
  })

  it('says why a token would not be taken', async () => {
    const { token } = await begin()
    expect(await token(['--check', '-'], 'a.b.c')).toMatchObject({
      code: 1,
      out: '',
      error: 'broker: The broker would not take it. The token is no signed JWT.\n',
    })
  })

  it.each([
    [['--topic', 'a'], '--topic, --action and --exact go with --check.'],
    [['--check', '-', '--action', 'publish'], '--action and --exact go with --topic.'],
    [['--check', '-', '--topic', 'a', '--action', 'sing'], 'allowed is publish, subscribe, history, receive'],
    [['--check', '-', '--topic', '$push/a'], 'Topics that begin with "$" belong to the system.'],
    [['--publish', 'a*'], 'has "*" only as a whole segment'],
    [['--seconds', '0'], 'allowed is a whole number from 1 to'],
  ])('used wrongly says how: %j', async (words, line) => {
    const { token } = await begin()
    expect(await token(words)).toMatchObject({ code: 2, out: '', error: expect.stringContaining(line) })
  })
})

import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openRights } from '#protocol'
import { type AccessSettings, RuledAuthority } from '../../broker/auth/ruled-authority.ts'
import type { AccessRule } from '../../broker/auth/rules.ts'
import { temporaryFolder } from '../support/processes.ts'
import { signed, tokenKey } from '../support/token-keys.ts'
import { TestLogger, userLines } from '../support/users.ts'

const here = '192.0.2.1'
const all: AccessRule = { who: ['*'], publish: ['**'], subscribe: ['**'], history: true }
const settings = (more: Partial<AccessSettings> = {}): AccessSettings => ({
  access: [all],
  tokens: [],
  users: [userLines.amy],
  usersFile: '',
  maxLoginFailures: 100,
  ...more,
})

async function begin(first: AccessSettings = settings(), file?: string) {
  const logger = new TestLogger()
  const clock = { nowMs: 1_800_000_000_000 }
  const authority = new RuledAuthority(first, {
    logger,
    monotonicMs: () => 0,
    nowMs: () => clock.nowMs,
    sessionFile: file ?? join(await temporaryFolder(), 'session.key'),
  })
  await authority.start()
  onTestFinished(() => authority.close())
  let changes = 0
  authority.onChange(() => changes++)
  const login = (name: string, password: string) =>
    authority.authorize({ kind: 'password', name, password }, here)
  return { authority, logger, clock, login, changes: () => changes }
}

const exp = 1_800_000_060

describe('an authority without rules', () => {
  it('lets everybody do everything, whatever they show', async () => {
    const { authority, login } = await begin(settings({ access: [] }))
    expect(authority.access).toEqual({ isOpen: true, version: 'open' })
    expect(await login('amy', 'wrong')).toBe(openRights)
    expect(await authority.authorize({ kind: 'token', token: 'x' }, here)).toBe(openRights)
  })
})

describe('a login', () => {
  const week = 7 * 86_400_000
  const opened = async (first = settings({ users: [userLines.amy, userLines.bob] })) => {
    const all = await begin(first)
    const { authority } = all
    const { token = '' } = await authority.login({ kind: 'password', name: 'amy', password: 'secret' }, here)
    const shown = (text = token) => authority.authorize({ kind: 'token', token: text }, here)
    return { ...all, token, shown }
  }

  it('stands for its user for a week', async () => {
    const { clock, shown } = await opened()
    expect(await shown()).toMatchObject({ identity: 'user:amy', expiresMs: clock.nowMs + week })
    clock.nowMs += week - 1
    expect(await shown()).toMatchObject({ identity: 'user:amy' })
    clock.nowMs++
    await expect(shown()).rejects.toMatchObject({ message: 'The login is over. Log in again.' })
  })

  it.each([
    { how: 'has another password', users: [userLines.amy.replace('Wm', 'Wn'), userLines.bob] },
    { how: 'has gone', users: [userLines.bob] },
    { how: 'has gone with all others', users: [] },
  ])('ends when its user $how', async ({ users }) => {
    const { authority, shown } = await opened()
    authority.reload(settings({ users }))
    await expect(shown()).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('cannot be changed, made for another one, or signed with another secret', async () => {
    const { token, shown, logger } = await opened()
    const [, content = '', digest = ''] = token.split('.')
    const bob = Buffer.from(content, 'base64url').toString().replace('amy', 'bob')
    const strangers = [
      `session.${Buffer.from(bob).toString('base64url')}.${digest}`,
      `session.${content}.${digest.slice(1)}A`,
      `session.${content}.`,
      'session.e30.',
      'session.',
      (await opened()).token,
    ]
    for (const stranger of strangers)
      await expect(shown(stranger), stranger).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    expect(JSON.stringify(logger.lines)).not.toContain(content)
  })

  it('outlives a restart, with a secret that its owner alone may read', async () => {
    const sessionFile = join(await temporaryFolder(), 'session.key')
    const first = await begin(settings(), sessionFile)
    const amy = { kind: 'password', name: 'amy', password: 'secret' } as const
    const { token = '' } = await first.authority.login(amy, here)
    expect((await stat(sessionFile)).mode & 0o777).toBe(0o600)
    const second = await begin(settings(), sessionFile)
    expect(await second.authority.authorize({ kind: 'token', token }, here)).toMatchObject({
      identity: 'user:amy',
    })
  })

  it('is not there without rules, and cannot be looked at when its secret cannot', async () => {
    const amy = { kind: 'password', name: 'amy', password: 'secret' } as const
    const open = await begin(settings({ access: [] }))
    expect(await open.authority.login(amy, here)).toEqual({ rights: openRights })
    const { authority, logger } = await begin(settings(), '/nowhere/session.key')
    await expect(authority.login(amy, here)).rejects.toMatchObject({ code: 'LOGIN_UNAVAILABLE' })
    expect(logger.events).toContain('authorize-failed')
  })
})

describe('an authority with rules', () => {
  it('knows who shows nothing, a password or a token', async () => {
    const { authority, login } = await begin(settings({ tokens: [tokenKey()] }))
    expect(await authority.authorize({ kind: 'none' }, here)).toMatchObject({ identity: 'anonymous' })
    expect(await login('amy', 'secret')).toMatchObject({ identity: 'user:amy', isOpen: false })
    const token = await signed({ sub: 'amy', exp })
    expect(await authority.authorize({ kind: 'token', token }, here)).toMatchObject({
      identity: 'token:amy',
      expiresMs: exp * 1000,
    })
  })

  it('tells of a password only that something is wrong, and the log what', async () => {
    const { authority, login, logger } = await begin()
    const told = { code: 'UNAUTHORIZED', message: 'The name or the password is wrong.' }
    await expect(login('amy', 'a wrong one')).rejects.toMatchObject(told)
    await expect(login('nobody', 'a wrong one')).rejects.toMatchObject(told)
    const lines = logger.lines.filter(({ event }) => event === 'unauthorized')
    expect(lines.map(({ fields }) => fields)).toEqual([
      { address: here, user: 'amy', reason: 'wrong password' },
      { address: here, user: 'nobody', reason: 'no such user' },
    ])
    expect(JSON.stringify(logger.lines)).not.toContain('a wrong one')
    expect(authority.counters.unauthorized).toBe(2)
  })

  it('tells of a token what is wrong with it, and the log all of it', async () => {
    const { authority, logger } = await begin(settings({ tokens: [tokenKey()] }))
    const token = await signed({ sub: 'amy', exp: 1 })
    await expect(authority.authorize({ kind: 'token', token }, here)).rejects.toMatchObject({
      code: 'UNAUTHORIZED',
      message: 'The token has expired.',
    })
    expect(logger.lines.at(-1)).toEqual({
      event: 'unauthorized',
      fields: { address: here, reason: 'The token has expired. exp is 1, sub amy, tokens.0' },
    })
  })

  it('looks at no password any more where too many were wrong', async () => {
    const { login, logger } = await begin()
    for (let i = 0; i < 10; i++) await login('amy', `${i}`).catch(() => {})
    await expect(login('amy', 'secret')).rejects.toMatchObject({ code: 'LOGIN_UNAVAILABLE' })
    expect(logger.lines.at(-1)?.fields).toMatchObject({ reason: 'too many have failed from there' })
  })

  it('has no users to let in where none are set', async () => {
    const { login } = await begin(settings({ users: [] }))
    await expect(login('amy', 'secret')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })
})

describe('a change', () => {
  it('of rules, keys or users has another version, and one back has the first', async () => {
    const { authority, changes } = await begin()
    const first = authority.access
    const versions = new Set([first.version])
    const others: AccessSettings[] = [
      settings({ access: [{ ...all, history: false }] }),
      settings({ tokens: [tokenKey()] }),
      settings({ tokens: [tokenKey({ audience: 'a' })] }),
      settings({ users: [userLines.amy, userLines.bob] }),
      settings({ access: [] }),
    ]
    for (const other of others) {
      authority.reload(other)
      versions.add(authority.access.version)
    }
    expect([versions.size, changes()]).toEqual([6, 5])
    authority.reload(settings())
    expect(authority.access).toEqual(first)
  })

  it('is none when the same is read again, also by another process', async () => {
    const { authority, changes } = await begin()
    authority.reload(settings())
    expect(changes()).toBe(0)
    expect((await begin()).authority.access).toEqual(authority.access)
  })

  it('of the users’ file is noticed before anybody has logged in', async () => {
    const usersFile = join(await temporaryFolder(), 'users')
    await writeFile(usersFile, userLines.amy)
    const { authority, logger, login } = await begin(settings({ users: [], usersFile }))
    const { version } = authority.access
    await writeFile(usersFile, userLines.bob)
    await logger.says('access-changed')
    expect(authority.access.version).not.toBe(version)
    await expect(login('amy', 'secret')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('decides about whom it meets while it is looked at', async () => {
    const { authority, login } = await begin(settings({ tokens: [tokenKey()] }))
    const credential = { kind: 'token', token: await signed({ exp }) } as const
    await authority.authorize(credential, here)
    const token = authority.authorize(credential, here)
    const password = login('amy', 'secret')
    authority.reload(settings({ users: [userLines.bob] }))
    await expect(token).rejects.toMatchObject({ message: 'Tokens are not taken here.' })
    await expect(password).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('from none to rules holds at once, with their users', async () => {
    const { authority, login } = await begin(settings({ access: [], users: [] }))
    authority.reload(settings())
    expect(authority.access.isOpen).toBe(false)
    await expect(login('amy', 'wrong')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    expect(await login('amy', 'secret')).toMatchObject({ identity: 'user:amy' })
  })

  it('to rules whose users cannot be read lets nobody in', async () => {
    const { authority, login, logger } = await begin(settings({ access: [], users: [] }))
    authority.reload(settings({ usersFile: '/nowhere/users' }))
    await logger.says('users-not-loaded')
    expect(authority.access.isOpen).toBe(false)
    await expect(login('amy', 'secret')).rejects.toMatchObject({ code: 'LOGIN_UNAVAILABLE' })
    expect(logger.events.at(-1)).toBe('authorize-failed')
  })
})

import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Failures } from '../../broker/auth/failures.ts'
import { UserListError } from '../../broker/auth/user-list.ts'
import { Users } from '../../broker/auth/users.ts'
import { temporaryFolder } from '../support/processes.ts'
import { TestLogger, userLines } from '../support/users.ts'

const { amy, bob, eve } = userLines

/** Costs 100 times as much as the others. */
const slow = 'kim:$2y$12$OrmgUOuDouLzZF5lfV706uoF.yJrfLRs9m3KWNauHYoZoztlekwn.'

function usersOf(lines: readonly string[], usersFile = '') {
  const logger = new TestLogger()
  const clock = { nowMs: 0 }
  const users = new Users({
    users: lines,
    usersFile,
    maxLoginFailures: 100,
    logger,
    nowMs: () => clock.nowMs,
  })
  onTestFinished(() => users.close())
  const login = async (name: string, password: string, address = '192.0.2.1') => {
    const outcome = await users.login(address, { name, password })
    return typeof outcome === 'string' ? outcome : outcome.name
  }
  return { users, login, logger, clock }
}

describe('a login', () => {
  it('is right with a name and its password, in each form', async () => {
    const { login } = usersOf([amy, bob, eve])
    for (const name of ['amy', 'bob', 'eve']) {
      expect(await login(name, 'secret')).toBe(name)
      expect(await login(name, 'secret')).toBe(name)
      expect(await login(name, 'Secret')).toBe('wrong')
    }
  })

  it.each([
    ['nobody', 'secret'],
    ['', ''],
    ['Amy', 'secret'],
    ['amy', 'x'.repeat(2000)],
  ])('is wrong as %j with %j', async (name, password) => {
    expect(await usersOf([amy]).login(name, password)).toBe('wrong')
    expect(await usersOf([]).login(name, password)).toBe('wrong')
  })

  it('holds up nothing else while the password is checked', async () => {
    const { login } = usersOf([slow])
    let isDone = false
    const done = login('kim', 'no').then(() => {
      isDone = true
    })
    let turns = 0
    while (!isDone) {
      await new Promise(resolve => setImmediate(resolve))
      turns++
    }
    await done
    // On this thread it would have been one.
    expect(turns).toBeGreaterThan(50)
  })

  it('of one program many times at once is one check', async () => {
    const { login } = usersOf([slow])
    const outcomes = await Promise.all(Array.from({ length: 500 }, () => login('kim', 'secret')))
    expect(new Set(outcomes)).toEqual(new Set(['kim']))
  })

  it('is not checked when too many wait for that already', async () => {
    const { login } = usersOf([slow])
    for (let i = 0; i < 64; i++) void login('kim', `${i}`)
    expect(await login('kim', 'one too many')).toBe('busy')
  })
})

describe('logins that fail too often', () => {
  it('are no longer looked at, from that address with that name', async () => {
    const { login } = usersOf([amy, bob])
    for (let i = 0; i < 10; i++) expect(await login('amy', `${i}`)).toBe('wrong')
    expect(await login('amy', 'secret')).toBe('limited')
    expect(await login('bob', 'secret')).toBe('bob')
    expect(await login('amy', 'secret', '192.0.2.2')).toBe('amy')
  })

  it('are no longer looked at from that address at all, when they have many names', async () => {
    const { login } = usersOf([amy])
    for (let i = 0; i < 100; i++) expect(await login(`user-${i}`, 'secret')).toBe('wrong')
    expect(await login('amy', 'secret')).toBe('limited')
    expect(await login('amy', 'secret', '::ffff:192.0.2.1')).toBe('limited')
    expect(await login('amy', 'secret', '192.0.2.2')).toBe('amy')
  })

  it('count for the whole network of an IPv6 address', async () => {
    const { login } = usersOf([amy])
    for (let i = 0; i < 10; i++) await login('amy', `${i}`, `2001:db8:0:1::${i}`)
    expect(await login('amy', 'secret', '2001:db8:0:1:ffff:ffff:ffff:ffff')).toBe('limited')
    expect(await login('amy', 'secret', '2001:db8:0:2::1')).toBe('amy')
  })

  it('are looked at again after a while', async () => {
    const { login, clock } = usersOf([amy])
    for (let i = 0; i < 10; i++) await login('amy', `${i}`)
    clock.nowMs += 2000
    expect(await login('amy', 'secret')).toBe('amy')
  })

  it('are forgotten, oldest first, before they fill the memory', () => {
    const failures = new Failures(() => ({ burst: 1, perSecond: 1 }))
    for (let i = 0; i < 10_001; i++) failures.add(`${i}`, 0)
    expect([failures.isOver('0', 0), failures.isOver('1', 0)]).toEqual([false, true])
  })
})

describe('the list of users', () => {
  it('is the file and the lines of the setting, which beat it', async () => {
    const file = join(await temporaryFolder(), 'users')
    await writeFile(file, `${bob}\namy:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n`)
    const { login } = usersOf([amy], file)
    expect(await login('bob', 'secret')).toBe('bob')
    expect(await login('amy', 'secret')).toBe('amy')
  })

  it('is read again when its file changes, written in place or moved there', async () => {
    const folder = await temporaryFolder()
    const file = join(folder, 'users')
    await writeFile(file, `${amy}\n`)
    const { users, login, logger } = usersOf([], file)
    const user = await users.login('', { name: 'amy', password: 'secret' })
    if (typeof user === 'string') throw new Error(user)
    let changes = 0
    users.onChange(() => changes++)

    await writeFile(file, `${bob}\n`)
    await logger.says('users-reloaded')
    expect(await login('bob', 'secret')).toBe('bob')
    expect(users.isCurrent(user)).toBe(false)

    await writeFile(join(folder, 'next'), `${amy}\n`)
    await rename(join(folder, 'next'), file)
    await logger.says('users-reloaded', 2)
    expect(await login('bob', 'secret')).toBe('wrong')
    expect(users.isCurrent(user)).toBe(true)
    expect(changes).toBe(2)
  })

  it('stays as it was when the new one cannot be used, which is told without what is in it', async () => {
    const file = join(await temporaryFolder(), 'users')
    await writeFile(file, `${amy}\n`)
    const { login, logger } = usersOf([], file)
    await writeFile(file, `${amy}\nbob:hunter2\n`)
    await logger.says('users-not-reloaded')
    expect(await login('amy', 'secret')).toBe('amy')
    const [told] = logger.lines.filter(({ event }) => event === 'users-not-reloaded')
    expect(told?.fields['reason']).toContain('line 2')
    expect(JSON.stringify(logger.lines)).not.toContain('hunter2')
  })

  it('that cannot be read at the start is an error', () => {
    expect(() => usersOf([], '/nowhere/users')).toThrow(UserListError)
    expect(() => usersOf(['amy'])).toThrow('The setting users cannot be used: line 1 is not name:hash.')
  })

  it('with hashes that are quick to try is told once', () => {
    const { users, logger } = usersOf([bob, eve])
    users.reload()
    expect(logger.events).toEqual(['weak-password-hashes', 'users-reloaded'])
    expect(logger.lines[0]?.fields).toMatchObject({ users: 2 })
    expect(usersOf([amy]).logger.events).toEqual([])
  })
})

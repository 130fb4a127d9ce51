import { chmod, chown, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { parseHtpasswd } from '../../broker/auth/htpasswd.ts'
import { isPassword } from '../../broker/auth/password.ts'
import { runBrokerCommand, startOnTerminal } from '../support/broker-command.ts'
import { temporaryFolder } from '../support/processes.ts'
import { userLines } from '../support/users.ts'

const set = (file: string, user: string, password: string) =>
  runBrokerCommand(['passwd', file, user], { input: `${password}\n` })

async function isRight(file: string, user: string, password: string): Promise<boolean> {
  const found = parseHtpasswd(await readFile(file, 'utf8')).get(user)
  return found !== undefined && isPassword(password, found)
}

const modeOf = async (file: string) => ((await stat(file)).mode & 0o7777).toString(8)

describe('broker passwd', () => {
  it('makes a file that only its owner can read, with a password in bcrypt', async () => {
    const file = `${await temporaryFolder()}/users`
    const { code, stdout } = await set(file, 'amy', 'Albasiko2020^')
    expect([code, stdout]).toEqual([0, ''])
    expect(await modeOf(file)).toBe('600')
    expect(await readFile(file, 'utf8')).toMatch(/^amy:\$2[aby]\$10\$\S{53}\n$/)
    expect(await isRight(file, 'amy', 'Albasiko2020^')).toBe(true)
  })

  it('adds users, and changes one in its place with all others as they are', async () => {
    const file = `${await temporaryFolder()}/users`
    const old = `# ours\n\n${userLines.bob}\namy:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n${userLines.eve}`
    await writeFile(file, old)
    expect((await set(file, 'amy', 'new')).code).toBe(0)
    expect((await set(file, 'zoe', 'hers')).code).toBe(0)
    const lines = (await readFile(file, 'utf8')).split('\n')
    expect(lines.toSpliced(3, 1).toSpliced(4, 1)).toEqual(['# ours', '', userLines.bob, userLines.eve, ''])
    for (const [user, password] of [
      ['amy', 'new'],
      ['zoe', 'hers'],
      ['bob', 'secret'],
    ] as const)
      expect(await isRight(file, user, password)).toBe(true)
    expect(await isRight(file, 'amy', 'secret')).toBe(false)
  })

  it('leaves no second line of a user, which would come to life with the next change', async () => {
    const file = `${await temporaryFolder()}/users`
    await writeFile(file, `${userLines.amy}\n${userLines.bob}\n${userLines.amy}\n`)
    await set(file, 'amy', 'new')
    expect((await readFile(file, 'utf8')).match(/^amy:/gm)).toHaveLength(1)
  })

  it('keeps mode and owner, and what a link points to stays in its place', async () => {
    const folder = await temporaryFolder()
    await mkdir(`${folder}/real`)
    const file = `${folder}/real/users`
    await writeFile(file, `${userLines.bob}\n`)
    await chmod(file, 0o640)
    const asRoot = process.getuid?.() === 0
    if (asRoot) await chown(file, 12345, 23456)
    await symlink('real/users', `${folder}/users`)
    expect((await set(`${folder}/users`, 'amy', 'new')).code).toBe(0)
    expect(await modeOf(file)).toBe('640')
    const { uid, gid } = await stat(file)
    if (asRoot) expect([uid, gid]).toEqual([12345, 23456])
    expect(await readlink(`${folder}/users`)).toBe('real/users')
    expect(await readdir(`${folder}/real`)).toEqual(['users'])
  })

  it.each([
    ['an empty password', '', 'The password is empty'],
    ['one that bcrypt would cut', 'x'.repeat(73), 'has 73 bytes: allowed are up to 72'],
  ])('refuses %s, and changes nothing', async (_, password, complaint) => {
    const file = `${await temporaryFolder()}/users`
    await writeFile(file, userLines.bob)
    const { code, stderr } = await set(file, 'amy', password)
    expect([code, stderr]).toEqual([1, expect.stringContaining(complaint)])
    expect(await readFile(file, 'utf8')).toBe(userLines.bob)
  })

  it('changes nothing of a file that a broker could not use, and says which line it is', async () => {
    const file = `${await temporaryFolder()}/users`
    await writeFile(file, 'bob:hunter2\n')
    const { code, stderr } = await set(file, 'amy', 'new')
    expect([code, stderr]).toEqual([1, expect.stringContaining('line 1 is in no known form')])
    expect(stderr).not.toContain('hunter2')
    expect(await readFile(file, 'utf8')).toBe('bob:hunter2\n')
    // The very line that is wrong can be mended.
    expect((await set(file, 'bob', 'new')).code).toBe(0)
  })

  it('gives up on Ctrl-C', async () => {
    const folder = await temporaryFolder()
    const session = startOnTerminal(['passwd', 'users', 'amy'], folder)
    await session.answer('Password of amy: ', '\u0003')
    expect(await session.ended).toBe(1)
    expect(await readdir(folder)).toEqual([])
  })

  it('asks twice on a terminal, and shows nothing of it', async () => {
    const folder = await temporaryFolder()
    const differing = startOnTerminal(['passwd', 'users', 'amy'], folder)
    await differing.answer('Password of amy: ', 'first')
    await differing.answer('again: ', 'other')
    expect(await differing.ended).toBe(1)
    expect(differing.screen).toContain('The two are not the same. Nothing is changed.')
    expect(await readdir(folder)).toEqual([])

    const same = startOnTerminal(['passwd', 'users', 'amy'], folder)
    await same.answer('Password of amy: ', 'hidden')
    await same.answer('again: ', 'hidden')
    expect(await same.ended).toBe(0)
    expect(same.screen).not.toContain('hidden')
    expect(await isRight(`${folder}/users`, 'amy', 'hidden')).toBe(true)
  })
})

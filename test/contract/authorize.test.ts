import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Backbone, Relay } from '#client'
import { openRights, type Rights } from '#protocol'
import { MemoryBackbone } from '../support/memory-backbone.ts'
import { startBrokerProcess, temporaryFolder } from '../support/processes.ts'
import { secret, signed } from '../support/token-keys.ts'
import { userLines } from '../support/users.ts'

interface Ruled {
  readonly backbone: Backbone
  /** From now on these rules hold; none are no rules. */
  change(rules: readonly object[]): Promise<void>
}

const rules = [
  { who: ['user:amy'], publish: ['a/**'], subscribe: ['a/**'], history: false },
  { who: ['token:editor'], publish: ['**'], subscribe: [], history: true },
  { who: ['*'], publish: [], subscribe: ['news'], history: true },
]
const exp = Math.floor(Date.now() / 1000) + 600
const scope = { publish: ['a'], subscribe: [] }
const right = await signed({ sub: 'eve', exp, roles: ['editor'], postern: scope })
const expired = await signed({ sub: 'eve', exp: 1 })

async function relay(first: readonly object[]): Promise<Ruled> {
  const file = join(await temporaryFolder(), 'broker.config.json')
  const write = (access: readonly object[]) =>
    writeFile(
      file,
      JSON.stringify({ access, users: [userLines.amy], tokens: [{ algorithm: 'HS256', key: secret }] }),
    )
  await write(first)
  const broker = await startBrokerProcess({ POSTERN_CONFIG: file })
  const backbone = new Relay({ broker: broker.requests })
  onTestFinished(() => backbone.close())
  return {
    backbone,
    async change(next) {
      await write(next)
      broker.program.kill('SIGHUP')
    },
  }
}

async function memory(first: readonly object[]): Promise<Ruled> {
  const table = (access: readonly object[]) => ({
    rules: access as typeof rules,
    users: { amy: 'secret' },
    tokens: {
      [right]: { name: 'eve', roles: ['editor'], scope, expiresMs: exp * 1000 },
      [expired]: { name: 'eve', roles: [], expiresMs: 1000 },
    },
  })
  const backbone = new MemoryBackbone({ access: table(first) })
  onTestFinished(() => backbone.close())
  return { backbone, change: async next => backbone.changeAccess(table(next)) }
}

describe.each([
  { name: 'the built-in broker', open: relay },
  { name: 'memory', open: memory },
])('a backbone over $name', ({ open }) => {
  async function opened(first: readonly object[] = rules) {
    const { backbone, change } = await open(first)
    await backbone.ready()
    /** Resolves at the next change. */
    const changed = () =>
      new Promise<void>(resolve => {
        const end = backbone.onAccessChange(() => {
          end()
          resolve()
        })
      })
    return { backbone, change, changed }
  }

  it('says whether there are rules', async () => {
    expect((await opened()).backbone.access).toMatchObject({ isOpen: false })
    expect((await opened([])).backbone.access).toMatchObject({ isOpen: true })
  })

  it('gives everything to everybody where there are none', async () => {
    const { backbone } = await opened([])
    expect(await backbone.authorize({ kind: 'token', token: 'x' }, '')).toEqual(openRights)
  })

  it('gives each client its identity and the rules that are for it', async () => {
    const { backbone } = await opened()
    const [ofAmy, ofEditor, ofAll] = rules.map(({ who: _, ...grant }) => grant)
    expect(await backbone.authorize({ kind: 'none' }, '192.0.2.1')).toEqual({
      identity: 'anonymous',
      isOpen: false,
      grants: [ofAll],
    })
    const amy = { kind: 'password', name: 'amy', password: 'secret' } as const
    expect(await backbone.authorize(amy, '192.0.2.1')).toEqual({
      identity: 'user:amy',
      isOpen: false,
      grants: [ofAmy, ofAll],
    })
    expect(await backbone.authorize({ kind: 'token', token: right }, '192.0.2.1')).toEqual({
      identity: 'token:eve',
      isOpen: false,
      grants: [ofEditor, ofAll],
      scope,
      expiresMs: exp * 1000,
    })
  })

  it('refuses a credential that is wrong, and says what is wrong with it', async () => {
    const { backbone } = await opened()
    const refused = async (...credential: Parameters<Backbone['authorize']>) => {
      await expect(backbone.authorize(...credential)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
      return backbone.authorize(...credential).catch((error: Error) => error.message)
    }
    const wrong = await refused({ kind: 'password', name: 'amy', password: 'no' }, '192.0.2.1')
    expect(await refused({ kind: 'password', name: 'nobody', password: 'no' }, '192.0.2.1')).toBe(wrong)
    expect(await refused({ kind: 'token', token: expired }, '192.0.2.1')).toBe('The token has expired.')
  })

  it('lets a user log in for a while, with a token that ends with the user', async () => {
    const { backbone } = await opened()
    const amy = { kind: 'password', name: 'amy', password: 'secret' } as const
    const { token, rights } = await backbone.login('amy', 'secret', '192.0.2.1')
    expect(token).toMatch(/^[\w.-]+$/)
    expect(rights).toEqual({
      ...(await backbone.authorize(amy, '192.0.2.1')),
      expiresMs: expect.any(Number),
    })
    const found = await backbone.authorize({ kind: 'token', token }, '192.0.2.1')
    expect({ ...found, expiresMs: 0 }).toEqual({ ...rights, expiresMs: 0 })
    await expect(backbone.login('amy', 'wrong', '192.0.2.1')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('has nobody log in where there are no rules', async () => {
    const { backbone } = await opened([])
    await expect(backbone.login('amy', 'secret', '')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each([
    { found: 'no rules', next: [], isChanged: ({ isOpen }: Rights) => isOpen },
    { found: 'other rules', next: [rules[1] ?? {}], isChanged: ({ grants }: Rights) => grants.length === 0 },
  ])('knows of $found as soon as a client is answered by them', async ({ next, isChanged }) => {
    const { backbone, change } = await opened()
    const before = backbone.access
    await change(next)
    while (!isChanged(await backbone.authorize({ kind: 'none' }, '192.0.2.1'))) {}
    // Threat: rules that hold for a moment would have let in somebody whom nobody asks again.
    expect(backbone.access?.version).not.toBe(before?.version)
    expect(backbone.access?.isOpen).toBe(next.length === 0)
  })

  it('tells of a change of the rules, and asks anew from then on', async () => {
    const { backbone, change, changed } = await opened()
    const before = backbone.access
    const told = changed()
    await change([rules[2] ?? {}])
    await told
    expect(backbone.access?.version).not.toBe(before?.version)
    const amy = { kind: 'password', name: 'amy', password: 'secret' } as const
    expect((await backbone.authorize(amy, '192.0.2.1')).grants).toHaveLength(1)

    const again = changed()
    await change([])
    await again
    expect(backbone.access?.isOpen).toBe(true)
    expect(await backbone.authorize({ kind: 'none' }, '')).toEqual(openRights)
  })
})

describe('Relay', () => {
  it('cannot say who may do what while the broker is away', async () => {
    const backbone = new Relay({ broker: 'tcp://127.0.0.1:1' })
    onTestFinished(() => backbone.close())
    expect(backbone.access).toBeUndefined()
    await expect(backbone.authorize({ kind: 'none' }, '')).rejects.toMatchObject({
      code: 'LOGIN_UNAVAILABLE',
    })
  })

  it('asks about thousands of clients at once, as after a change of the rules', async () => {
    const { backbone } = await relay(rules)
    await backbone.ready()
    const clients = Array.from({ length: 5000 }, (_, i) => `client ${i}`)
    const found = await Promise.all(clients.map(client => backbone.authorize({ kind: 'none' }, client)))
    expect(new Set(found.map(({ identity }) => identity))).toEqual(new Set(['anonymous']))
  })

  it('tells of no change when the broker is restarted with the same rules', async () => {
    const file = join(await temporaryFolder(), 'broker.config.json')
    await writeFile(file, JSON.stringify({ access: rules }))
    const broker = await startBrokerProcess({ POSTERN_CONFIG: file })
    let ups = 0
    let isUp = () => {}
    const backbone = new Relay({
      broker: broker.requests,
      onState(state) {
        if (state === 'up' && ++ups === 2) isUp()
      },
    })
    onTestFinished(() => backbone.close())
    await backbone.ready()
    let changes = 0
    backbone.onAccessChange(() => changes++)
    const isBack = new Promise<void>(resolve => {
      isUp = resolve
    })
    await broker.stop()
    await broker.restart()
    await isBack
    expect(await backbone.authorize({ kind: 'none' }, '')).toMatchObject({ isOpen: false })
    expect(changes).toBe(0)
  })
})

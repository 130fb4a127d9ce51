import { afterEach, beforeEach, describe, expect, it, type Mock, vi } from 'vitest'
import { mayPublish } from '#auth'
import { type Credential, openRights, PosternError, type Rights } from '#protocol'
import { Gate } from '../../functions/gate.ts'
import type { Guarded } from '../../functions/pass.ts'
import type { AccessTable } from '../support/memory-access.ts'
import { MemoryBackbone } from '../support/memory-backbone.ts'

const amy: Credential = { kind: 'password', name: 'amy', password: 'secret' }
const token: Credential = { kind: 'token', token: 't' }

const rule = (who: string, publish: readonly string[]) => ({
  who: [who],
  publish,
  subscribe: [],
  history: true,
})

const table = (publish: readonly string[], expiresMs?: number): AccessTable => ({
  rules: [rule('*', publish)],
  users: { amy: 'secret' },
  tokens: { t: { name: 'bo', roles: [], ...(expiresMs === undefined ? {} : { expiresMs }) } },
})

/** Something that is open while its client may publish on `a`. */
class Open implements Guarded {
  revoked: PosternError | undefined

  refusal(rights: Rights): PosternError | undefined {
    return mayPublish(rights, 'a')
  }

  revoke(error: PosternError): void {
    this.revoked = error
  }
}

let backbone: MemoryBackbone
let onRules: Mock<() => void>
let gate: Gate

const begin = (access?: AccessTable) => {
  backbone = new MemoryBackbone({ ...(access && { access }), nowMs: Date.now })
  onRules = vi.fn<() => void>()
  gate = new Gate({ backbone, onRules })
}

const turns = () => vi.advanceTimersByTimeAsync(0)

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
})

afterEach(() => {
  vi.useRealTimers()
})

describe('a gate', () => {
  it('lets everybody in at once where there are no rules, and asks nobody', () => {
    begin()
    const authorize = vi.spyOn(backbone, 'authorize')
    expect(gate.enter(amy, '')).toMatchObject({ rights: { isOpen: true } })
    expect(authorize).not.toHaveBeenCalled()
  })

  it('asks once for a client, however often it comes, and at once', async () => {
    begin(table(['a']))
    const authorize = vi.spyOn(backbone, 'authorize')
    const passes = await Promise.all([gate.enter(amy, ''), gate.enter(amy, '')])
    expect(passes[0].rights.identity).toBe('user:amy')
    expect(gate.enter(amy, '')).toMatchObject({ rights: passes[0].rights })
    expect(authorize).toHaveBeenCalledTimes(1)
  })

  it('asks anew when it was told of no rules, and there are some again', async () => {
    begin(table(['a']))
    vi.spyOn(backbone, 'authorize').mockResolvedValueOnce(openRights)
    expect((await gate.enter(amy, '')).rights).toMatchObject({ identity: 'user:amy', isOpen: false })
  })

  it('asks anew for a client that was refused', async () => {
    begin(table(['a']))
    const wrong: Credential = { ...amy, password: 'wrong' }
    await expect(gate.enter(wrong, '')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    backbone.changeAccess({ ...table(['a']), users: { amy: 'wrong' } })
    expect((await gate.enter(wrong, '')).rights.identity).toBe('user:amy')
  })

  it('closes what is open when a rule goes, and lets the rest be', async () => {
    begin(table(['a']))
    const pass = await gate.enter(amy, '')
    const [open, done] = [new Open(), new Open()]
    pass.guard(open)
    pass.guard(done)()
    backbone.changeAccess(table(['a', 'b']))
    await turns()
    expect(open.revoked).toBeUndefined()
    expect(mayPublish(pass.rights, 'b')).toBeUndefined()
    backbone.changeAccess(table(['b']))
    await turns()
    expect(open.revoked).toMatchObject({ code: 'FORBIDDEN' })
    expect(done.revoked).toBeUndefined()
  })

  it('closes what is open when its user goes', async () => {
    begin(table(['a']))
    const open = new Open()
    ;(await gate.enter(amy, '')).guard(open)
    backbone.changeAccess({ ...table(['a']), users: {} })
    await turns()
    expect(open.revoked).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('closes what a token has opened when it expires, not before', async () => {
    begin(table(['a'], 1_010_000))
    const open = new Open()
    ;(await gate.enter(token, '')).guard(open)
    await vi.advanceTimersByTimeAsync(9_999)
    expect(open.revoked).toBeUndefined()
    await vi.advanceTimersByTimeAsync(1)
    expect(open.revoked).toMatchObject({ code: 'UNAUTHORIZED', message: 'The token has expired.' })
    await expect(gate.enter(token, '')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('asks again while the broker is away, and closes what expires meanwhile', async () => {
    begin(table(['a'], 1_010_000))
    const [lasting, expiring] = [new Open(), new Open()]
    ;(await gate.enter(amy, '')).guard(lasting)
    ;(await gate.enter(token, '')).guard(expiring)
    backbone.goAway()
    backbone.changeAccess(table(['b'], 1_010_000))
    await vi.advanceTimersByTimeAsync(10_001)
    expect(lasting.revoked).toBeUndefined()
    expect(expiring.revoked).toMatchObject({ code: 'UNAUTHORIZED' })
    backbone.comeBack()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(lasting.revoked).toMatchObject({ code: 'FORBIDDEN' })
  })

  it('tells when rules come to where there were none', async () => {
    begin()
    gate.enter(amy, '')
    backbone.changeAccess(table(['a']))
    expect(onRules).toHaveBeenCalledTimes(1)
    backbone.changeAccess(table(['b']))
    expect(onRules).toHaveBeenCalledTimes(1)
  })

  it('does not trust an answer that is older than the last change', async () => {
    begin(table(['a']))
    const first = gate.enter(amy, '')
    backbone.changeAccess(table(['b']))
    const open = new Open()
    ;(await first).guard(open)
    await turns()
    expect(open.revoked).toMatchObject({ code: 'FORBIDDEN' })
  })

  it('finds what is open with a pass that it has forgotten itself', async () => {
    const tokens = manyTokens(10_010)
    begin({ rules: [rule('*', ['a'])], users: { amy: 'secret' }, tokens })
    const open = new Open()
    ;(await gate.enter(amy, '')).guard(open)
    for (let i = 0; i < 10_010; i++) await gate.enter({ kind: 'token', token: `t${i}` }, '')
    const authorize = vi.spyOn(backbone, 'authorize')
    await gate.enter({ kind: 'token', token: 't10009' }, '')
    expect(authorize).not.toHaveBeenCalled()
    await gate.enter(amy, '')
    expect(authorize).toHaveBeenCalledTimes(1)
    backbone.changeAccess({ ...table(['b']), tokens })
    await turns()
    expect(open.revoked).toMatchObject({ code: 'FORBIDDEN' })
  })

  it('closes what is opened with a pass from before a change, and at every change after that', async () => {
    begin(table(['a']))
    const pass = await gate.enter(amy, '')
    backbone.changeAccess(table(['a', 'b']))
    const open = new Open()
    pass.guard(open)
    await turns()
    expect(open.revoked).toBeUndefined()
    backbone.changeAccess(table(['b']))
    await turns()
    expect(open.revoked).toMatchObject({ code: 'FORBIDDEN' })
    const late = new Open()
    pass.guard(late)
    backbone.changeAccess({ ...table(['a']), users: {} })
    await turns()
    expect(late.revoked).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('closes what is open when the broker would not say for half a minute whose it is', async () => {
    begin(table(['a']))
    const open = new Open()
    ;(await gate.enter(amy, '')).guard(open)
    vi.spyOn(backbone, 'authorize').mockRejectedValue(new PosternError('LOGIN_UNAVAILABLE'))
    backbone.changeAccess(table(['b']))
    await vi.advanceTimersByTimeAsync(28_000)
    expect(open.revoked).toBeUndefined()
    await vi.advanceTimersByTimeAsync(2_000)
    expect(open.revoked).toMatchObject({ code: 'LOGIN_UNAVAILABLE' })
  })
})

function manyTokens(count: number): NonNullable<AccessTable['tokens']> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`t${i}`, { name: `${i}`, roles: [] as string[] }]),
  )
}

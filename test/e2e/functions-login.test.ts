import { expect, it, onTestFinished } from 'vitest'
import { hostKinds, startHost, type TestContextOptions, testContext } from '../support/function-hosts.ts'

const exp = Date.now() + 600_000
const access = {
  rules: [{ who: ['user:amy', 'token:*'], publish: ['**'], subscribe: ['**'], history: true }],
  users: { amy: 'secret' },
  tokens: {
    right: { name: 'ed', roles: [], expiresMs: exp },
    over: { name: 'ed', roles: [], expiresMs: 1 },
  },
}

async function started(options: TestContextOptions = { access }, kind: (typeof hostKinds)[number] = 'node') {
  const context = testContext(options)
  const host = await startHost(kind, context)
  onTestFinished(() => host.close())
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    host.fetch(path, {
      method: 'POST',
      body: typeof body === 'string' ? body : JSON.stringify(body),
      headers: { 'content-type': 'application/json', ...headers },
    })
  const status = async (cookie: string) => (await host.fetch('/history/news', { headers: { cookie } })).status
  return { context, post, status, fetch: host.fetch }
}

const cookieOf = ({ headers }: Response) => headers.get('set-cookie') ?? ''
const pairOf = (response: Response) => cookieOf(response).split(';')[0] ?? ''

it.each(hostKinds)('a password is changed for a cookie that no script reads, by %s', async kind => {
  const { post, status } = await started({ access }, kind)
  expect(await status('')).toBe(401)
  const response = await post('/login', { name: 'amy', password: 'secret' })
  expect(response.status).toBe(200)
  expect(await response.json()).toEqual({ identity: 'user:amy', expiresMs: expect.any(Number) })
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(cookieOf(response)).toMatch(
    /^postern_token=session\.[\w.-]+; Path=\/; HttpOnly; SameSite=Strict; Max-Age=\d+$/,
  )
  expect(cookieOf(response)).not.toContain('secret')
  expect(await status(`theme=dark; ${pairOf(response)}`)).toBe(200)
})

it('a token becomes the cookie, for as long as it holds', async () => {
  const { post, status } = await started()
  const response = await post('/login', { token: 'right' })
  expect(await response.json()).toEqual({ identity: 'token:ed', expiresMs: exp })
  const [, seconds] = /^postern_token=right; .*Max-Age=(\d+)$/.exec(cookieOf(response)) ?? []
  expect(Number(seconds)).toBeGreaterThan(500)
  expect(Number(seconds)).toBeLessThanOrEqual(600)
  expect(await status(pairOf(response))).toBe(200)
})

it('the cookie goes over an encrypted way alone when it has come by one', async () => {
  const { post } = await started({ access, trustProxy: 'loopback' })
  const body = { name: 'amy', password: 'secret' }
  const by = (scheme: string) => ({ 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': scheme })
  expect(cookieOf(await post('/login', body, by('https')))).toMatch(/; Secure$/)
  expect(cookieOf(await post('/login', body, by('http')))).not.toContain('Secure')
})

it('what is wrong is told, and gives no cookie', async () => {
  const { post, context } = await started()
  const told = async (body: unknown) => {
    const response = await post('/login', body, { 'sec-fetch-mode': 'cors', 'sec-fetch-site': 'same-origin' })
    const { error } = await response.json()
    // A browser that is offered Basic asks for a password itself, in the middle of the page's own form.
    expect(response.headers.get('www-authenticate') ?? 'Bearer').toMatch(/^Bearer(?!.*Basic)/)
    expect(cookieOf(response)).toBe('')
    return [response.status, error.message]
  }
  expect(await told({ name: 'amy', password: 'no' })).toEqual([401, 'The name or the password is wrong.'])
  expect(await told({ token: 'over' })).toEqual([401, 'The token has expired.'])
  context.backbone.goAway()
  expect(await told({ name: 'amy', password: 'secret' })).toEqual([503, expect.any(String)])
})

it.each([
  ['no object', 'null'],
  ['nothing', ''],
  ['neither of the two', {}],
  ['both', { name: 'amy', password: 'secret', token: 'right' }],
  ['a password that is a number', { name: 'amy', password: 1 }],
  ['a token that would be two cookies', { token: 'right; Domain=evil.example' }],
])('%s is no login', async (_, body) => {
  const { post } = await started()
  const response = await post('/login', body)
  expect([response.status, cookieOf(response)]).toEqual([400, ''])
})

it('a page of another site can neither log a browser in nor out', async () => {
  const { post } = await started()
  const body = { name: 'amy', password: 'secret' }
  const evil = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
  for (const path of ['/login', '/logout']) {
    const response = await post(path, body, evil)
    expect([response.status, cookieOf(response)]).toEqual([403, ''])
  }
  // What a form of any page can send.
  expect((await post('/login', body, { 'content-type': 'text/plain' })).status).toBe(400)
})

it('logging out takes the cookie back', async () => {
  const { post } = await started()
  const response = await post('/logout', '', { cookie: 'postern_token=right' })
  expect(response.status).toBe(200)
  expect(cookieOf(response)).toBe('postern_token=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0')
})

it('where there are no rules there is nothing to log in to', async () => {
  const { post } = await started({})
  expect((await post('/login', { name: 'amy', password: 'secret' })).status).toBe(404)
})

it('keys of different clients are different keys, and the same one however it logs in', async () => {
  const { post, context, fetch } = await started()
  const publish = async (headers: Record<string, string>) => {
    const sent = { method: 'POST', body: 'a', headers: { 'idempotency-key': 'k', ...headers } }
    return (await (await fetch('/message/news', sent)).json()).id
  }
  const amy = await publish({ authorization: `Basic ${btoa('amy:secret')}` })
  const cookie = pairOf(await post('/login', { name: 'amy', password: 'secret' }))
  expect(await publish({ cookie })).toBe(amy)
  expect(await publish({ authorization: 'Bearer right' })).not.toBe(amy)
  const { messages } = await context.backbone.history({ topics: ['news'], exact: true }, 10)
  expect(messages).toHaveLength(2)
})

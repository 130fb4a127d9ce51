import { describe, expect, it, onTestFinished } from 'vitest'
import { hostKinds, startHost, type TestContextOptions, testContext } from '../support/function-hosts.ts'

const page = 'https://page.example'

async function start(kind: (typeof hostKinds)[number], options: TestContextOptions = {}) {
  const context = testContext(options)
  const host = await startHost(kind, context)
  onTestFinished(() => host.close())
  return { ...host, context }
}

const codeOf = async (response: Response) =>
  ((await response.json()) as { error?: { code?: string } }).error?.code

describe.each(hostKinds)('a page of another origin on %s', kind => {
  it.each([
    ['says an Origin', { origin: page }],
    ['has none', { origin: 'null' }],
    ['is told of by its browser', { 'sec-fetch-site': 'cross-site' }],
    ['is of the same site', { origin: page, 'sec-fetch-site': 'same-site' }],
  ])('that %s may change nothing', async (_, headers) => {
    const { fetch, context } = await start(kind)
    for (const [path, method] of [
      ['/message/a', 'POST'],
      ['/message/broadcast', 'POST'],
      ['/ack', 'POST'],
      ['/receive/a?waitMs=100', 'GET'],
    ] as const) {
      const body = method === 'POST' ? { body: 'from=a&text=b' } : {}
      const type = 'application/x-www-form-urlencoded'
      const response = await fetch(path, { method, ...body, headers: { 'content-type': type, ...headers } })
      expect([path, response.status, await codeOf(response)]).toEqual([path, 403, 'FOREIGN_PAGE'])
    }
    const { messages } = await context.backbone.history({ topics: ['a', 'chat'], exact: true }, 9)
    expect(messages).toEqual([])
  })

  it.each([
    ['no browser', {}],
    ['a page of this origin', { 'sec-fetch-site': 'same-origin', origin: page }],
    ['the user’s own doing', { 'sec-fetch-site': 'none' }],
    ['a page that is named', { origin: page, 'sec-fetch-site': 'cross-site' }, { corsOrigins: [page] }],
    ['a page whose host is named', { origin: page }, { allowOrigins: ['page.example'] }],
    ['no browser, whatever pages are named', {}, { allowOrigins: ['page.example'] }],
    ['any page in development mode', { origin: page }, { mode: 'development' as const }],
  ])('is not: %s', async (_, headers: Record<string, string>, options: TestContextOptions = {}) => {
    const { fetch } = await start(kind, options)
    expect((await fetch('/message/a', { method: 'POST', body: 'x', headers })).status).toBe(201)
  })

  it('may read answers and errors where it is named, and no other may', async () => {
    const { fetch } = await start(kind, { corsOrigins: [page] })
    for (const path of ['/history/a', '/event/a?topic=%ff', '/health/live', '/nowhere']) {
      const named = await fetch(path, { headers: { origin: page } })
      expect(named.headers.get('access-control-allow-origin')).toBe(page)
      expect(named.headers.get('access-control-allow-credentials')).toBe('true')
      expect(named.headers.get('access-control-expose-headers')).toContain('x-request-id')
      for (const origin of ['http://page.example', 'https://page.example:8443', 'https://a.page.example']) {
        const other = await fetch(path, { headers: { origin } })
        expect(other.headers.get('access-control-allow-origin')).toBeNull()
        expect(other.headers.get('vary')).toBe('Origin')
      }
    }
  })

  it('may open an event stream where it is named', async () => {
    const { fetch } = await start(kind, { corsOrigins: [page] })
    const stream = new AbortController()
    const response = await fetch('/event/a', { headers: { origin: page }, signal: stream.signal })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    expect(response.headers.get('access-control-allow-origin')).toBe(page)
    await response.body?.cancel()
    stream.abort()
  })

  it('asks before it posts, and remembers the answer', async () => {
    const { fetch } = await start(kind, { corsOrigins: [page] })
    const ask = (path: string, origin: string) =>
      fetch(path, {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': 'POST',
          'access-control-request-headers': 'idempotency-key',
        },
      })
    for (const path of ['/message/a', '/pub/a', '/ack']) {
      const allowed = await ask(path, page)
      expect(allowed.status).toBe(204)
      expect(Object.fromEntries(allowed.headers)).toMatchObject({
        'access-control-allow-origin': page,
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': expect.stringContaining('idempotency-key'),
        'access-control-max-age': '7200',
        vary: 'Origin',
      })
      const refused = await ask(path, 'https://other.example')
      expect(refused.status).toBeGreaterThanOrEqual(404)
      expect(refused.headers.get('access-control-allow-methods')).toBeNull()
    }
  })

  it('is told nothing of any of it where none is named', async () => {
    const { fetch } = await start(kind)
    const response = await fetch('/history/a', { headers: { origin: page } })
    expect(response.status).toBe(200)
    expect([...response.headers.keys()].filter(name => name.startsWith('access-control'))).toEqual([])
    expect((await fetch('/history/a', { method: 'OPTIONS', headers: { origin: page } })).status).toBe(405)
  })
})

describe.each(hostKinds)('the id of a request on %s', kind => {
  it('is in every answer, and another each time', async () => {
    const { fetch } = await start(kind)
    const ids = []
    for (const path of ['/history/a', '/health/live', '/', '/nowhere', '/message/a'])
      ids.push((await fetch(path)).headers.get('x-request-id'))
    ids.push((await fetch('/message/a', { method: 'POST' })).headers.get('x-request-id'))
    for (const id of ids) expect(id).toMatch(/^[0-9a-z]{6}-[0-9a-z]+$/)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('finds the line of the log, which alone tells what went wrong inside', async () => {
    const { fetch, context } = await start(kind)
    context.backbone.publish = () => Promise.reject(new Error('the secret of /srv/postern'))
    const response = await fetch('/message/a', { method: 'POST' })
    const id = response.headers.get('x-request-id')
    expect(await response.text()).not.toContain('secret')
    expect(response.status).toBe(500)
    expect(context.logged).toEqual([
      { level: 'error', event: 'request failed', fields: expect.objectContaining({ request: id }) },
    ])
    expect(JSON.stringify(context.logged)).toContain('the secret of /srv/postern')
  })

  it('finds the line that says who was refused and why, without the query and the secret', async () => {
    const rules = [{ who: ['user:amy'], publish: ['a'], subscribe: [], history: true }]
    const { fetch, context } = await start(kind, { access: { rules, users: { amy: 'secret' } } })
    const authorization = `Basic ${Buffer.from('amy:wrong-one').toString('base64')}`
    const response = await fetch('/message/a?type=t', { method: 'POST', headers: { authorization } })
    expect(response.status).toBe(401)
    expect(context.logged).toEqual([
      {
        level: 'limited',
        event: 'refused',
        fields: expect.objectContaining({
          request: response.headers.get('x-request-id'),
          method: 'POST',
          path: '/message/a',
          code: 'UNAUTHORIZED',
          reason: 'The name or the password is wrong.',
        }),
      },
    ])
    expect(JSON.stringify(context.logged)).not.toMatch(/wrong-one|type=t/)
  })

  it('is that of a proxy where one is believed, and nobody else’s', async () => {
    const id = 'proxy-17'
    const given = { 'x-request-id': id }
    const alone = await start(kind)
    expect((await alone.fetch('/health/live', { headers: given })).headers.get('x-request-id')).not.toBe(id)
    // A host without sockets does not tell who asks.
    if (kind === 'fetch') return
    const other = await start(kind, { trustProxy: '192.0.2.1' })
    expect((await other.fetch('/health/live', { headers: given })).headers.get('x-request-id')).not.toBe(id)
    const behind = await start(kind, { trustProxy: 'loopback' })
    expect((await behind.fetch('/health/live', { headers: given })).headers.get('x-request-id')).toBe(id)
    const odd = { 'x-request-id': 'a b' }
    expect((await behind.fetch('/health/live', { headers: odd })).headers.get('x-request-id')).not.toBe('a b')
  })
})

it.each(['node', 'listhen'] as const)('what clients have said is taken for no page on %s', async kind => {
  const { fetch } = await start(kind)
  for (const path of ['/history/chat', '/history/%ff'])
    expect((await fetch(path)).headers.get('x-content-type-options')).toBe('nosniff')
})

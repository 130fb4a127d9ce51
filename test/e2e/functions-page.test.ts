import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { pageRoutes } from '../../functions/page.ts'
import {
  hostKinds,
  socketHostKinds,
  startHost,
  type TestHost,
  testContext,
} from '../support/function-hosts.ts'

let host: TestHost
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-site-'))
  await mkdir(join(folder, 'site', 'parts'), { recursive: true })
  await mkdir(join(folder, 'site', 'playground'))
  await writeFile(join(folder, 'secret.ts'), 'secret')
  await writeFile(
    join(folder, 'site', 'index.html'),
    '<meta name="postern-topic" content="{{topic}}"><p>{{topic}}</p>',
  )
  await writeFile(join(folder, 'site', 'chat.ts'), "import { a } from './parts/a.ts'\nconst n: number = a\n")
  await writeFile(join(folder, 'site', 'parts', 'a.ts'), 'export const a: number = 1\n')
  await writeFile(join(folder, 'site', 'style.css'), 'p { color: red }')
  await writeFile(join(folder, 'site', 'notes.md'), 'notes')
  await writeFile(join(folder, 'site', 'playground', 'page.html'), '<p>playground</p>')
  await writeFile(join(folder, 'site', 'playground', 'playground.ts'), 'export {}')
})

afterEach(async () => {
  await host.close()
  await rm(folder, { recursive: true })
})

const start = async (kind: (typeof hostKinds)[number], options = {}) => {
  const context = testContext(options)
  host = await startHost(kind, context, pageRoutes(context, join(folder, 'site')))
}

describe.each(hostKinds)('the page on %s', kind => {
  it('has the default topic in it, as text', async () => {
    await start(kind, { defaultTopic: 'a"&<b>$&' })
    const response = await host.fetch('/')
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(await response.text()).toBe(
      '<meta name="postern-topic" content="a&#34;&#38;&#60;b&#62;$&#38;"><p>{{topic}}</p>',
    )
  })

  it('is the same for every room', async () => {
    await start(kind)
    expect(await (await host.fetch('/?room=x')).text()).toContain('content="chat"')
  })

  it('says, and tries again by itself, while the broker was never reached', async () => {
    await start(kind, { reached: false })
    const response = await host.fetch('/')
    expect(response.status).toBe(503)
    expect(response.headers.get('refresh')).toBe('2')
    expect(await response.text()).toContain('The broker cannot be reached.')
  })

  it.each(['/', '/site/style.css'])(
    '%s allows nothing from elsewhere, no inline script and no frame around it',
    async path => {
      await start(kind)
      const { headers } = await host.fetch(path)
      expect(headers.get('content-security-policy')).toBe(
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; " +
          "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      )
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('referrer-policy')).toBe('no-referrer')
      expect(headers.get('cache-control')).toBe('no-cache')
    },
  )

  it('is made of scripts without types, and of style sheets', async () => {
    await start(kind)
    const script = await host.fetch('/site/chat.ts')
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
    expect(await script.text()).toMatch(/^import \{ a \} from '.\/parts\/a.ts'\nconst n\s+= a\n$/)
    expect((await host.fetch('/site/parts/a.ts')).status).toBe(200)
    const style = await host.fetch('/site/style.css')
    expect(style.headers.get('content-type')).toBe('text/css; charset=utf-8')
    expect(await style.text()).toBe('p { color: red }')
  })

  it.each(['/', '/site/style.css'])('%s is not sent again to whoever has it', async path => {
    await start(kind)
    const etag = (await host.fetch(path)).headers.get('etag') ?? ''
    const again = await host.fetch(path, { headers: { 'if-none-match': etag } })
    expect(again.status).toBe(304)
    expect(await again.text()).toBe('')
    expect(again.headers.get('etag')).toBe(etag)
  })

  it('is read again when it has changed', async () => {
    await start(kind)
    const before = (await host.fetch('/site/style.css')).headers.get('etag')
    await writeFile(join(folder, 'site', 'style.css'), 'p { color: blue }')
    await utimes(join(folder, 'site', 'style.css'), new Date(), new Date(Date.now() + 5000))
    const after = await host.fetch('/site/style.css')
    expect(after.headers.get('etag')).not.toBe(before)
    expect(await after.text()).toContain('blue')
  })

  it.each([
    '/site',
    '/site/',
    '/site/index.html',
    '/site/notes.md',
    '/site/none.css',
    '/site/parts',
    '/site/..%2Fsecret.ts',
    '/site/%2e%2e%2Fsecret.ts',
    '/site/..%5Csecret.ts',
    '/site/parts%2F..%2Fstyle.css',
    '/site//style.css',
    '/site/style.css%00.ts',
    '/site/%ff.css',
    '/site/constructor',
  ])('has nothing at %s', async path => {
    await start(kind)
    const response = await host.fetch(path)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: { code: 'NOT_FOUND' } })
  })

  it('has the playground in development mode, with the same policy and no broker', async () => {
    await start(kind, { mode: 'development', reached: false })
    const response = await host.fetch('/playground')
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'")
    expect(await response.text()).toBe('<p>playground</p>')
    expect((await host.fetch('/site/playground/playground.ts')).status).toBe(200)
    expect((await host.fetch('/site/playground/page.html')).status).toBe(404)
  })

  it.each(['production', 'test'] as const)('has no playground in %s mode', async mode => {
    await start(kind, { mode })
    for (const path of ['/playground', '/site/playground/page.html', '/site/playground/playground.ts']) {
      const response = await host.fetch(path)
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({ error: { code: 'NOT_FOUND' } })
    }
  })

  it('HEAD has the head alone', async () => {
    await start(kind)
    const response = await host.fetch('/', { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe('')
  })
})

it.each(socketHostKinds)('a path that climbs out of the folder by hand gets nothing on %s', async kind => {
  await start(kind)
  const statusOf = (path: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const asked = request(`${host.url}/`, { path }, response => {
        response.resume()
        resolve(response.statusCode)
      })
      asked.on('error', reject).end()
    })
  for (const path of [
    '/site/../secret.ts',
    '/site/./../../secret.ts',
    '/../secret.ts',
    '/site/%2e%2e/secret.ts',
  ])
    expect(await statusOf(path)).toBe(404)
})

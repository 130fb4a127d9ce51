import { afterEach, describe, expect, it } from 'vitest'
import { PosternError, probeTopic } from '#protocol'
import { Readiness } from '../../functions/readiness.ts'
import { statusRoutes } from '../../functions/status.ts'
import {
  hostKinds,
  startHost,
  type TestContext,
  type TestHost,
  testContext,
} from '../support/function-hosts.ts'
import type { MemoryBackbone } from '../support/memory-backbone.ts'

let host: TestHost
let context: TestContext

afterEach(() => host.close())

const start = async (kind: (typeof hostKinds)[number], options = {}) => {
  context = testContext(options)
  host = await startHost(kind, context, statusRoutes(context, { timeoutMs: 50 }))
}

const never = () => new Promise<never>(() => {})

describe.each(hostKinds)('GET /health on %s', kind => {
  it('/live answers as long as the process does', async () => {
    await start(kind, { reached: false })
    const response = await host.fetch('/health/live')
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual({ status: 'ok' })
  })

  it('/ready is 200 when a message goes out and comes back', async () => {
    await start(kind)
    const response = await host.fetch('/health/ready')
    expect(response.status).toBe(200)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toEqual({ status: 'ready' })
    expect(context.backbone.position.offset).toBe(1)
    expect(context.backbone.subscriptions).toBe(0)
  })

  it.each<[string, (backbone: MemoryBackbone) => void]>([
    ['broker', backbone => backbone.goAway()],
    ['broker', backbone => Object.assign(backbone, { ready: never })],
    [
      'broker',
      backbone =>
        Object.assign(backbone, { publish: () => Promise.reject(new PosternError('BROKER_UNAVAILABLE')) }),
    ],
    [
      'receipt',
      backbone =>
        Object.assign(backbone, { publish: () => Promise.reject(new PosternError('RECEIPT_UNKNOWN')) }),
    ],
    [
      'receipt',
      backbone =>
        Object.assign(backbone, { publish: () => Promise.reject(new PosternError('JOURNAL_FAILED')) }),
    ],
    ['receipt', backbone => Object.assign(backbone, { publish: never })],
    ['stream', backbone => Object.assign(backbone, { publish: async () => ({ id: '000000000000-1' }) })],
    ['stream', backbone => Object.assign(backbone, { subscribe: () => ({ close() {} }) })],
  ])('/ready is 503 and says that the %s is missing', async (missing, breakPart) => {
    await start(kind)
    breakPart(context.backbone)
    const response = await host.fetch('/health/ready')
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(await response.json()).toEqual({ status: 'unready', missing })
  })

  it.each(['/health', '/health/', '/health/other'])('%s is nothing', async path => {
    await start(kind)
    expect((await host.fetch(path)).status).toBe(404)
  })
})

describe('readiness', () => {
  it('is asked once for all who ask at a time, and kept for a second', async () => {
    context = testContext()
    host = await startHost('fetch', context)
    let nowMs = 0
    const readiness = new Readiness(context.backbone, { nowMs: () => nowMs })
    const probes = () => context.backbone.position.offset
    expect(await Promise.all([readiness.missing(), readiness.missing(), readiness.missing()])).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    nowMs = 999
    await readiness.missing()
    expect(probes()).toBe(1)
    nowMs = 1000
    await readiness.missing()
    expect(probes()).toBe(2)
  })

  it('leaves nothing in the history of a topic', async () => {
    context = testContext()
    host = await startHost('fetch', context)
    await new Readiness(context.backbone).missing()
    const { messages } = await context.backbone.history({ topics: [probeTopic], exact: true }, 10)
    expect(messages).toEqual([])
  })
})

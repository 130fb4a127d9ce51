import { setImmediate as nextTurn } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { durableRule } from '../support/durable-rule.ts'
import {
  hostKinds,
  startHost,
  type TestContext,
  type TestContextOptions,
  type TestHost,
  testContext,
} from '../support/function-hosts.ts'

let host: TestHost
let context: TestContext

afterEach(() => host.close())

const start = async (kind: (typeof hostKinds)[number], options: TestContextOptions = {}) => {
  const topics = { jobs: durableRule, alone: { ...durableRule, receivers: 1 }, chat: durableRule }
  context = testContext({ topics, ...options })
  host = await startHost(kind, context)
}

const publish = (payload: string | Uint8Array, topic = 'jobs', type = '') =>
  context.backbone.publish({
    topic,
    type,
    binary: typeof payload !== 'string',
    payload: Buffer.from(payload),
  })

interface Received {
  readonly topic: string
  readonly leaseMs: number
  readonly messages: readonly {
    readonly id: string
    readonly data: string
    readonly deliveries: number
    readonly redelivered: boolean
  }[]
}

const receive = async (path = '/receive/jobs', init?: RequestInit) =>
  (await (await host.fetch(path, init)).json()) as Received
const dataOf = ({ messages }: Received) => messages.map(({ data }) => data)
const idsOf = ({ messages }: Received) => messages.map(({ id }) => id)

const ack = (body: unknown) => host.fetch('/ack', { method: 'POST', body: JSON.stringify(body) })
const errorOf = async (response: Response) => (await response.json()).error
const until = async (holds: () => boolean) => {
  while (!holds()) await nextTurn()
}
const kept = async () => (await context.backbone.status()).keptMessages

describe.each(hostKinds)('GET /receive on %s', kind => {
  it('takes what is kept, oldest first, and tells for how long', async () => {
    await start(kind, { leaseMs: 5000 })
    await publish('x\ny', 'jobs', 'note')
    await publish(Uint8Array.of(0xff))
    const response = await host.fetch('/receive/jobs')
    expect([response.status, response.headers.get('cache-control')]).toEqual([200, 'no-store'])
    const time = '1970-01-01T00:00:00.000Z'
    const first = { deliveries: 1, redelivered: false, topic: 'jobs', time }
    expect(await response.json()).toEqual({
      topic: 'jobs',
      leaseMs: 5000,
      messages: [
        { ...first, id: expect.stringMatching(/-1$/), type: 'note', data: 'x\ny' },
        { ...first, id: expect.stringMatching(/-2$/), type: '', data: '/w==', encoding: 'base64' },
      ],
    })
  })

  it('takes no more than ?max=, and 10 without it', async () => {
    await start(kind)
    for (let i = 1; i <= 20; i++) await publish(String(i))
    expect(dataOf(await receive('/receive/jobs?max=2'))).toEqual(['1', '2'])
    expect((await receive()).messages).toHaveLength(10)
  })

  it('waits for the first message, and answers with it at once', async () => {
    await start(kind)
    const received = receive('/receive/jobs?waitMs=60000')
    await until(() => context.leases.size === 1)
    await publish('1')
    expect(dataOf(await received)).toEqual(['1'])
  })

  it('answers with none when none comes in time, and holds nothing then', async () => {
    await start(kind)
    expect(dataOf(await receive('/receive/jobs?waitMs=100'))).toEqual([])
    expect(context.leases.size).toBe(0)
    await publish('1')
    expect(dataOf(await receive())).toEqual(['1'])
  })

  it('answers whoever does not want to wait with what there is', async () => {
    await start(kind)
    expect(dataOf(await receive('/receive/jobs?waitMs=0'))).toEqual([])
    await publish('1')
    expect(dataOf(await receive('/receive/jobs?waitMs=0'))).toEqual(['1'])
  })

  it('takes what others have not, and it goes back when the lease has run out', async () => {
    await start(kind, { leaseMs: 200 })
    await publish('1')
    const [first] = (await receive()).messages
    expect(dataOf(await receive('/receive/jobs?waitMs=100'))).toEqual([])
    const [again] = (await receive()).messages
    expect(again).toEqual({ ...first, deliveries: 2, redelivered: true })
  })

  it('takes from the default topic where none is named', async () => {
    await start(kind)
    await publish('1', 'chat')
    expect(await receive('/receive')).toMatchObject({ topic: 'chat', messages: [{ data: '1' }] })
  })

  it('is refused on a topic that is not durable', async () => {
    await start(kind)
    const response = await host.fetch('/receive/news')
    expect([response.status, (await errorOf(response)).code]).toEqual([400, 'NOT_DURABLE'])
    expect(context.leases.size).toBe(0)
  })

  it.each([
    '/receive/jobs?max=0',
    '/receive/jobs?max=1001',
    '/receive/jobs?max=x',
    '/receive/jobs?waitMs=-1',
    '/receive/jobs?waitMs=60001',
  ])('refuses %s', async path => {
    await start(kind)
    const response = await host.fetch(path)
    expect([response.status, (await errorOf(response)).code]).toEqual([400, 'INVALID_REQUEST'])
  })

  it('takes nothing for whoever asks for the head alone', async () => {
    await start(kind)
    await publish('1')
    expect((await host.fetch('/receive/jobs', { method: 'HEAD' })).status).toBe(200)
    expect(dataOf(await receive())).toEqual(['1'])
  })

  it('takes nothing for whoever has gone before the answer', async () => {
    await start(kind)
    const controller = new AbortController()
    const received = receive('/receive/jobs?waitMs=60000', { signal: controller.signal })
    await until(() => context.leases.size === 1)
    controller.abort()
    await received.catch(() => {})
    await until(() => context.leases.size === 0)
    await publish('1')
    const [message] = (await receive()).messages
    expect(message).toMatchObject({ data: '1', deliveries: 1 })
  })

  it('has a bound for those who wait and those who have not acknowledged', async () => {
    await start(kind, { maxLeases: 1 })
    await publish('1')
    const received = await receive()
    const response = await host.fetch('/receive/jobs')
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
    expect(await errorOf(response)).toMatchObject({
      code: 'BACKLOG_FULL',
      limit: 1,
      setting: 'POSTERN_MAX_LEASES',
    })
    await ack({ topic: 'jobs', ids: idsOf(received) })
    await until(() => context.leases.size === 0)
    expect(dataOf(await receive('/receive/jobs?waitMs=100'))).toEqual([])
  })

  it('counts as a receiver until what it has taken is acknowledged', async () => {
    await start(kind)
    await publish('1', 'alone')
    const first = await receive('/receive/alone')
    await publish('2', 'alone')
    expect(dataOf(await receive('/receive/alone?waitMs=100'))).toEqual([])
    const next = receive('/receive/alone')
    await ack({ topic: 'alone', ids: idsOf(first) })
    expect(dataOf(await next)).toEqual(['2'])
  })

  it('answers whoever waits when the process stops', async () => {
    await start(kind)
    const received = receive('/receive/jobs?waitMs=60000')
    await until(() => context.leases.size === 1)
    context.streams.shutDown()
    expect(dataOf(await received)).toEqual([])
  })

  it('says that nothing was received when the broker is away', async () => {
    await start(kind)
    context.backbone.goAway()
    const response = await host.fetch('/receive/jobs')
    expect(response.status).toBe(503)
    expect(await errorOf(response)).toEqual({
      code: 'BROKER_UNAVAILABLE',
      message: 'The broker cannot be reached. Nothing was received.',
    })
  })
})

describe.each(hostKinds)('POST /ack on %s', kind => {
  it('acknowledges by ids, and as often as it is repeated', async () => {
    await start(kind)
    for (const payload of ['1', '2', '3']) await publish(payload)
    const [first = '', second = ''] = idsOf(await receive())
    for (let i = 0; i < 2; i++) {
      const response = await ack({ topic: 'jobs', ids: [first, second, first] })
      expect(response.status).toBe(200)
      expect(await response.json()).toEqual({ topic: 'jobs', acknowledged: [first, second], unknown: [] })
    }
    expect(await kept()).toBe(1)
  })

  it('tells which ids are not known', async () => {
    await start(kind)
    const ids = ['0123456789ab-1']
    expect(await (await ack({ topic: 'jobs', ids })).json()).toMatchObject({ acknowledged: [], unknown: ids })
  })

  it('counts when the lease has run out and nobody else has acknowledged', async () => {
    await start(kind, { leaseMs: 100 })
    await publish('1')
    const ids = idsOf(await receive())
    await until(() => context.leases.size === 0)
    expect(await (await ack({ topic: 'jobs', ids })).json()).toMatchObject({ acknowledged: ids })
    expect(await kept()).toBe(0)
  })

  it.each([
    ['nothing', ''],
    ['no JSON', '{'],
    ['no ids', '{"topic":"jobs"}'],
    ['ids that are none', '{"topic":"jobs","ids":["x"]}'],
    ['a topic that is none', '{"topic":"/","ids":[]}'],
    ['a topic of the system', '{"topic":"$push/jobs","ids":[]}'],
  ])('refuses %s', async (_, body) => {
    await start(kind)
    expect((await host.fetch('/ack', { method: 'POST', body })).status).toBe(400)
  })

  it('has a bound for what it reads', async () => {
    await start(kind)
    const response = await host.fetch('/ack', { method: 'POST', body: ' '.repeat(70_000) })
    expect([response.status, (await errorOf(response)).code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  })

  it('says what an error means for whoever acknowledges', async () => {
    await start(kind)
    context.backbone.goAway()
    const response = await ack({ topic: 'jobs', ids: ['0123456789ab-1'] })
    expect(response.status).toBe(503)
    expect((await errorOf(response)).message).toBe('The broker cannot be reached. Acknowledge again.')
  })
})

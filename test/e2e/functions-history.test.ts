import { afterEach, describe, expect, it } from 'vitest'
import { formatId } from '#protocol'
import { EventReader } from '../support/event-reader.ts'
import {
  hostKinds,
  startHost,
  type TestContext,
  type TestHost,
  testContext,
} from '../support/function-hosts.ts'

let host: TestHost
let context: TestContext

afterEach(() => host.close())

const start = async (kind: (typeof hostKinds)[number], options = {}) => {
  context = testContext({ nowMs: () => 1000, ...options })
  host = await startHost(kind, context)
}

const publish = (topic: string, payload: string | Uint8Array, type = '') =>
  context.backbone.publish({
    topic,
    type,
    binary: typeof payload !== 'string',
    payload: Buffer.from(payload),
  })

interface History {
  readonly id: string
  readonly messages: readonly { readonly id: string; readonly topic: string; readonly data: string }[]
}

const read = async (path: string) => (await (await host.fetch(path)).json()) as History

describe.each(hostKinds)('GET /history on %s', kind => {
  it('has everything that is known of each message', async () => {
    await start(kind)
    const text = await publish('a', 'x\ny', 'note')
    const bytes = await publish('a/b', Uint8Array.of(0xff))
    const response = await host.fetch('/history/a')
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('cache-control')).toBe('no-store')
    const time = '1970-01-01T00:00:01.000Z'
    expect(await response.json()).toEqual({
      id: bytes.id,
      messages: [
        { id: text.id, topic: 'a', type: 'note', time, data: 'x\ny' },
        { id: bytes.id, topic: 'a/b', type: '', time, data: '/w==', encoding: 'base64' },
      ],
    })
  })

  it.each([
    ['/history/a', ['a', 'a/b', 'a']],
    ['/history/a?exact=1', ['a', 'a']],
    ['/history/a?history=2', ['a/b', 'a']],
    ['/history/a?history=0', []],
    ['/history/a?topic=c', ['a', 'a/b', 'c', 'a']],
    ['/history?topic=c', ['c']],
    ['/history', ['chat']],
    ['/history/none', []],
  ])('%s is of the topics %j', async (path, topics) => {
    await start(kind)
    for (const topic of ['a', 'a/b', 'chat', 'c', 'a']) await publish(topic, topic)
    expect((await read(path)).messages.map(message => message.topic)).toEqual(topics)
  })

  it('has the id from which a stream goes on without a hole', async () => {
    await start(kind)
    await publish('a', '1')
    await publish('other', 'x')
    const { id } = await read('/history/a')
    expect(id).toBe(formatId(context.backbone.position))
    await publish('a', '2')
    const reader = await EventReader.open(init => host.fetch(`/event/a?lastEventId=${id}`, init))
    expect(await reader.take(1)).toMatchObject([{ type: 'message', data: '2' }])
    await reader.close()
  })

  it.each([
    ['/history/%ff', 400, 'INVALID_TOPIC'],
    ['/history/$probe', 400, 'RESERVED_TOPIC'],
    ['/history/a?history=all', 400, 'INVALID_REQUEST'],
  ])('%s is refused with %i %s', async (path, status, code) => {
    await start(kind)
    const response = await host.fetch(path)
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { code } })
  })

  it.each(['/history/a', '/history'])('is 503 when the broker is away: %s', async path => {
    await start(kind, { reached: false })
    const response = await host.fetch(path)
    expect(response.status).toBe(503)
    expect(await response.json()).toMatchObject({ error: { code: 'BROKER_UNAVAILABLE' } })
  })

  it('takes GET alone', async () => {
    await start(kind)
    const response = await host.fetch('/history/a', { method: 'DELETE' })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('GET, HEAD')
  })
})

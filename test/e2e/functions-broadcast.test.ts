import { afterEach, describe, expect, it } from 'vitest'
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
const readers: EventReader[] = []

afterEach(async () => {
  await Promise.all(readers.splice(0).map(reader => reader.close()))
  await host.close()
})

const start = async (kind: (typeof hostKinds)[number], options = {}) => {
  context = testContext(options)
  host = await startHost(kind, context)
}

const say = (body: URLSearchParams | FormData | string, headers: Record<string, string> = {}) =>
  host.fetch('/message/broadcast', { method: 'POST', body, headers })

const formOf = (fields: Record<string, string>) => {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.set(name, value)
  return form
}

const said = async () => {
  const { messages } = await context.backbone.history({ topics: ['chat'], exact: false }, 100)
  return messages.map(({ topic, type, binary, payload }) => ({
    topic,
    type,
    binary,
    payload: Buffer.from(payload).toString(),
  }))
}

const fetchEvents = async (path = '/event/fetch') => {
  const reader = await EventReader.open(init => host.fetch(path, init))
  readers.push(reader)
  await reader.begun()
  return reader
}

describe.each(hostKinds)('POST /message/broadcast on %s', kind => {
  it.each([
    ['an urlencoded form', () => new URLSearchParams({ from: 'amy', text: 'hi ä&=+%' })],
    ['a multipart form', () => formOf({ from: 'amy', text: 'hi ä&=+%' })],
  ])('takes %s, and puts exactly from and text on the default topic', async (_, form) => {
    await start(kind)
    const response = await say(form())
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.text()).toBe('true')
    expect(await said()).toEqual([
      { topic: 'chat', type: 'msg', binary: false, payload: '{"from":"amy","text":"hi ä&=+%"}' },
    ])
  })

  it.each([
    { from: '', text: 'hi' },
    { from: 'amy', text: '' },
    { from: ' \t', text: 'hi' },
    { from: 'amy', text: '\r\n　' },
    { from: 'amy' },
    {},
  ])('%j is blank: answered, and not sent', async fields => {
    await start(kind)
    expect(await (await say(new URLSearchParams(fields))).json()).toBe(true)
    expect(await said()).toEqual([])
  })

  it('0 is not blank, and nothing but the two fields is sent', async () => {
    await start(kind)
    expect(await (await say(new URLSearchParams({ from: '0', text: '0', more: 'x' }))).json()).toBe(true)
    expect(await said()).toMatchObject([{ payload: '{"from":"0","text":"0"}' }])
  })

  it.each([
    ['from=amy&text=%ff', 'application/x-www-form-urlencoded', 400, 'INVALID_UTF8'],
    ['{}', 'application/json', 400, 'INVALID_REQUEST'],
    ['nonsense', 'multipart/form-data; boundary=x', 400, 'INVALID_REQUEST'],
  ])('%j as %s is refused with %i %s', async (body, type, status, code) => {
    await start(kind)
    const response = await say(body, { 'content-type': type })
    expect(response.status).toBe(status)
    expect(await response.json()).toMatchObject({ error: { code } })
    expect(await said()).toEqual([])
  })

  it.each([1000, 100_000])(
    'a text of %i bytes too many is refused with the limit and its setting',
    async tooMany => {
      await start(kind, { maxPayloadBytes: 1000 })
      const response = await say(new URLSearchParams({ from: 'a', text: 'x'.repeat(1000 + tooMany) }))
      expect(response.status).toBe(413)
      expect(await response.json()).toMatchObject({
        error: { code: 'PAYLOAD_TOO_LARGE', limit: 1000, setting: 'maxPayloadBytes' },
      })
    },
  )

  it.each([{ reached: true }, { reached: false }])('is 503 when the broker is away: %j', async options => {
    await start(kind, options)
    context.backbone.goAway()
    const response = await say(new URLSearchParams({ from: 'amy', text: 'hi' }))
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(await response.json()).toMatchObject({ error: { code: 'BROKER_UNAVAILABLE' } })
  })
})

describe.each(hostKinds)('GET /event/fetch on %s', kind => {
  it('has every message of exactly the default topic as an event "msg"', async () => {
    await start(kind)
    const reader = await fetchEvents()
    await context.backbone.publish({
      topic: 'chat/room',
      type: 'msg',
      binary: false,
      payload: Buffer.from('no'),
    })
    await context.backbone.publish({
      topic: 'chat',
      type: 'note',
      binary: false,
      payload: Buffer.from('raw'),
    })
    await say(new URLSearchParams({ from: 'amy', text: 'hi' }))
    await context.backbone.publish({ topic: 'chat', type: '', binary: true, payload: Uint8Array.of(0xff) })
    expect((await reader.take(3)).map(event => [event.type, event.data])).toEqual([
      ['msg', 'raw'],
      ['msg', '{"from":"amy","text":"hi"}'],
      ['msg;base64', '/w=='],
    ])
  })

  it('has the heads of an event stream', async () => {
    await start(kind)
    const { headers } = (await fetchEvents()).response
    expect(headers.get('content-type')).toBe('text/event-stream')
    expect(headers.get('cache-control')).toBe('no-cache')
    expect(headers.get('x-accel-buffering')).toBe('no')
  })

  it('resumes, and has a history, as any stream does', async () => {
    await start(kind)
    await say(new URLSearchParams({ from: 'amy', text: '1' }))
    const { lastEventId } = await fetchEvents()
    await say(new URLSearchParams({ from: 'amy', text: '2' }))
    const resumed = await fetchEvents(`/event/fetch?lastEventId=${lastEventId}`)
    expect(await resumed.take(1)).toMatchObject([{ data: '{"from":"amy","text":"2"}' }])
    const late = await fetchEvents('/event/fetch?history=2')
    expect((await late.take(2)).length).toBe(2)
  })
})

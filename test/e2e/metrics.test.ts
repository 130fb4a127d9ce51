import { once } from 'node:events'
import { get, type RequestOptions } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Push } from 'zeromq'
import { createLogger } from '#logger'
import type { Output } from '../../broker/broker.ts'
import { loadConfig } from '../../broker/config.ts'
import { counterHelp } from '../../broker/metrics/broker-readings.ts'
import { startBroker } from '../../broker/service.ts'
import { createBackbone } from '../../functions/context.ts'
import { exposition, functionsReadings } from '../../functions/readings.ts'
import { readSettings } from '../../functions/settings.ts'
import { Tally } from '../../functions/tally.ts'
import { EventClient } from '../support/event-client.ts'
import { type Figure, readFigures, sampleOf } from '../support/figures.ts'
import { startHost, testContext } from '../support/function-hosts.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'
import { post } from '../support/publish.ts'

const onAnyPort = { POSTERN_METRICS: 'http://127.0.0.1:0' }

async function figuresOf(url: string): Promise<Map<string, Figure>> {
  const answer = await fetch(url)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
  return readFigures(await answer.text())
}

/** Asks until a sample has a value: what is counted elsewhere arrives when it arrives. */
async function until(url: string, name: string, value: number): Promise<Map<string, Figure>> {
  for (;;) {
    const figures = await figuresOf(url)
    if (sampleOf(figures, name) === value) return figures
    await delay(20)
  }
}

describe('the figures of a broker', () => {
  it('count what comes and goes by each door, and what is refused by its code', async () => {
    const broker = await startBrokerProcess(onAnyPort)
    const metrics = String(broker.program.told['metrics'])
    const functions = await startFunctionsProcess(broker.requests)
    const before = await figuresOf(metrics)
    expect(sampleOf(before, 'postern_broker_received_messages_total{door="ingest"}')).toBe(0)

    const push = new Push()
    push.connect(broker.ingest)
    await push.send('one')
    await push.send('two')
    await push.send(['news', Buffer.from([0xff, 0x50, 0x42, 1])])
    for (const text of ['a', 'b', 'c']) await post(`${functions.url}/message/news`, text)
    push.close()

    const after = await until(metrics, 'postern_broker_received_messages_total{door="ingest"}', 2)
    const values = (...names: string[]) => names.map(name => sampleOf(after, `postern_broker_${name}`))
    expect(values('received_messages_total{door="requests"}', 'published_total', 'log_offset')).toEqual([
      3, 5, 5,
    ])
    expect(values('sent_messages_total{door="stream"}', 'sent_messages_total{door="plain"}')).toEqual([5, 2])
    expect(values('sent_bytes_total{door="plain"}')).toEqual([6])
    expect(values('refused_total{code="UNSUPPORTED_VERSION"}', 'refused_total{code="INTERNAL"}')).toEqual([
      1, 0,
    ])
    expect(values('history_messages', 'topics', 'connections{kind="functions"}')).toEqual([5, 2, 1])
    expect(values('queue_bytes{queue="push"}', 'idempotency_keys')).toEqual([0, 0])
  })

  it('have every counter of its status, each with its meaning', async () => {
    const broker = await startBrokerProcess({ ...onAnyPort, POSTERN_TCP: 'tcp://127.0.0.1:0' })
    const figures = await figuresOf(String(broker.program.told['metrics']))
    const known = [...figures].filter(([, { type }]) => type === 'counter').map(([name]) => name)
    // The one that is told by its codes.
    const counters = Object.keys(counterHelp)
    for (const counter of counters) {
      const name = counter.replaceAll(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
      expect(known).toContain(`postern_broker_${name}_total`)
    }
    const { Relay } = await import('#client')
    const relay = new Relay({ broker: broker.requests })
    const { counters: told } = await relay.status()
    await relay.close()
    expect(Object.keys(told).toSorted()).toEqual([...counters, 'refused'].toSorted())
  })

  it('are told on loopback alone, at one address, to whoever only reads', async () => {
    const broker = await startBrokerProcess(onAnyPort)
    const metrics = String(broker.program.told['metrics'])
    expect(metrics).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/)
    expect((await fetch(metrics, { method: 'POST' })).status).toBe(405)
    expect((await fetch(new URL('/', metrics))).status).toBe(404)
    expect((await fetch(metrics, { method: 'HEAD' })).status).toBe(200)
    const taken = startBrokerProcess({ POSTERN_METRICS: metrics.replace('/metrics', '') })
    await expect(taken).rejects.toThrow(/metrics cannot use http:.*Set metrics \(POSTERN_METRICS\)/)
    await broker.stop()
    await expect(fetch(metrics)).rejects.toThrow('fetch failed')
  })
})

describe('the figures of functions', () => {
  it('count connections while they are open, and messages once for each of them', async () => {
    const context = testContext()
    const { url, close } = await startHost('node', context)
    const metrics = `${url}/metrics`
    const clients = [1, 2, 3].map(() => new EventClient(`${url}/event/news`))
    const socket = new WebSocket(`${url}/sub/news`)
    await once(socket, 'open')
    await Promise.all(clients.map(client => client.until(({ lastEventId }) => lastEventId !== '')))
    const heard = once(socket, 'message')
    await post(`${url}/message/news`, 'hello')
    await post(`${url}/message/a//b`, 'hello')
    await Promise.all([heard, ...clients.map(client => client.until(({ events }) => events.length > 0))])

    const open = await figuresOf(metrics)
    const values = (figures: Map<string, Figure>, ...names: string[]) =>
      names.map(name => sampleOf(figures, `postern_functions_${name}`))
    expect(values(open, 'connections{door="event"}', 'connections{door="sub"}')).toEqual([3, 1])
    expect(values(open, 'sent_messages_total{door="event"}', 'sent_messages_total{door="sub"}')).toEqual([
      3, 1,
    ])
    expect(values(open, 'sent_bytes_total{door="sub"}')).toEqual([2 + 'hello'.length])
    expect(
      values(open, 'received_messages_total{door="message"}', 'received_bytes_total{door="message"}'),
    ).toEqual([1, 5])
    expect(values(open, 'refused_total{code="INVALID_TOPIC"}', 'broker_up', 'workers')).toEqual([1, 1, 1])

    socket.close()
    for (const client of clients) client.close()
    await until(metrics, 'postern_functions_connections{door="event"}', 0)
    const closed = await until(metrics, 'postern_functions_connections{door="sub"}', 0)
    expect(
      values(closed, 'opened_connections_total{door="event"}', 'opened_connections_total{door="sub"}'),
    ).toEqual([3, 1])
    await close()
  })

  it('count what came in on a WebSocket, and what was refused there', async () => {
    const context = testContext()
    const { url, close } = await startHost('node', context)
    const socket = new WebSocket(`${url}/pub/news`, 'postern.v1')
    await once(socket, 'open')
    context.backbone.goAway()
    const heard = once(socket, 'message')
    socket.send('hello')
    await heard
    const figures = await figuresOf(`${url}/metrics`)
    expect(sampleOf(figures, 'postern_functions_received_bytes_total{door="pub"}')).toBe(5)
    expect(sampleOf(figures, 'postern_functions_refused_total{code="BROKER_UNAVAILABLE"}')).toBe(1)
    await close()
  })

  it('tell how far the process is behind, and count what it has fetched again', async () => {
    const logger = createLogger({ program: 'broker', write: () => {}, form: 'json', nowMs: Date.now })
    let isDropping = false
    const config = loadConfig({
      POSTERN_DATA: await temporaryFolder(),
      POSTERN_INGEST: 'zmq-bind://PULL@127.0.0.1:0',
      POSTERN_PLAIN: 'zmq-bind://PUB@127.0.0.1:0',
      POSTERN_REQUESTS: 'zmq-bind://ROUTER@127.0.0.1:0',
      POSTERN_STREAM: 'zmq-bind://PUB@127.0.0.1:0',
    })
    const dropping = (output: Output): Output => ({
      plain: payload => output.plain(payload),
      stream: batch => {
        if (!isDropping) output.stream(batch)
      },
    })
    const service = await startBroker(config, { logger, wrap: { output: dropping } })
    onTestFinished(() => service.stop())
    const [requests] = service.endpoints.requests
    const settings = readSettings({ POSTERN_BROKER: `tcp://127.0.0.1:${requests?.port}` })
    const tally = new Tally()
    const backbone = createBackbone(settings, logger, tally)
    onTestFinished(() => backbone.close())
    await backbone.ready()
    isDropping = true
    for (const text of ['a', 'b', 'c'])
      await backbone.publish({ topic: 'news', type: '', binary: false, payload: Buffer.from(text) })
    await expect.poll(() => tally.lagMessages, { timeout: 10_000 }).toBe(3)
    await expect.poll(() => tally.repairedMessages, { timeout: 10_000 }).toBe(3)
    expect(tally.repairs).toBe(1)
    await expect.poll(() => tally.lagMessages, { timeout: 10_000 }).toBe(0)
    const told = await exposition([functionsReadings({ tally, backbone })])
    expect(sampleOf(readFigures(told.text), 'postern_functions_repaired_messages_total')).toBe(3)
  })

  it('are those of all workers, whichever of them answers, and of those that still do', async () => {
    const broker = await startBrokerProcess()
    const functions = await startFunctionsProcess(broker.requests, {}, ['--host', 'node', '--workers', '3'])
    const metrics = `${functions.url}/metrics`
    const clients = Array.from({ length: 12 }, () => new EventClient(`${functions.url}/event/news`))
    await Promise.all(clients.map(client => client.until(({ lastEventId }) => lastEventId !== '')))
    for (let i = 0; i < 6; i++) {
      const figures = await figuresOf(metrics)
      expect(sampleOf(figures, 'postern_functions_connections{door="event"}')).toBe(12)
      expect(sampleOf(figures, 'postern_functions_workers')).toBe(3)
    }
    const [stopped = 0] = await functions.children()
    process.kill(stopped, 'SIGSTOP')
    try {
      // The one that is stopped takes connections from the shared port as well, and answers none of them.
      await expect.poll(() => answerWithin(metrics, 3000), { timeout: 20_000 }).toBe(2)
    } finally {
      process.kill(stopped, 'SIGCONT')
    }
  }, 60_000)
})

/** How many workers the answer is of, when one comes. */
async function answerWithin(url: string, ms: number): Promise<number | undefined> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(ms) }).catch(() => undefined)
  return answer && sampleOf(readFigures(await answer.text()), 'postern_functions_workers')
}

describe('who is told the figures of functions', () => {
  it.each([
    { who: 'this machine', status: 200 },
    { who: 'whoever has come through a proxy', headers: { 'x-forwarded-for': '127.0.0.1' }, status: 403 },
    { who: 'whoever claims to', headers: { forwarded: 'for=127.0.0.1' }, status: 403 },
    { who: 'whom a proxy has passed on without a name', headers: { via: '1.1 proxy' }, status: 403 },
    { who: 'another address', from: '127.0.0.2', metricsFrom: '127.0.0.1', status: 403 },
    { who: 'an address that is set', from: '127.0.0.2', metricsFrom: '127.0.0.2, 10.0.0.0/8', status: 200 },
    { who: 'nobody', metricsFrom: 'off', status: 403 },
    {
      who: 'a stranger behind the trusted proxy',
      trustProxy: 'loopback',
      headers: { 'x-forwarded-for': '203.0.113.7' },
      status: 403,
    },
    {
      who: 'a friend behind the trusted proxy',
      trustProxy: 'loopback',
      metricsFrom: '203.0.113.0/24',
      headers: { 'x-forwarded-for': '203.0.113.7' },
      status: 200,
    },
    {
      who: 'a stranger who claims to be a friend',
      trustProxy: 'loopback',
      metricsFrom: '203.0.113.0/24',
      headers: { 'x-forwarded-for': '203.0.113.7, 198.51.100.1' },
      status: 403,
    },
  ])('$who: $status', async ({ status, headers, from, trustProxy, metricsFrom }) => {
    const context = testContext({ ...(trustProxy && { trustProxy }), ...(metricsFrom && { metricsFrom }) })
    const { url, close } = await startHost('node', context)
    const options: RequestOptions = {
      agent: false,
      ...(headers && { headers }),
      ...(from && { localAddress: from }),
    }
    const [answer] = await once(get(`${url}/metrics`, options), 'response')
    answer.resume()
    expect(answer.statusCode).toBe(status)
    await close()
  })

  it('a host that does not tell who asks: 403', async () => {
    const { fetch } = await startHost('fetch', testContext())
    expect((await fetch('/metrics')).status).toBe(403)
  })
})

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { watch } from '../support/broker-watch.ts'
import { durableRule } from '../support/durable-rule.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'
import { frame, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const topics = {
  sms: durableRule,
  alone: { ...durableRule, receivers: 1 },
  dying: { ...durableRule, maxDeliveries: 1 },
}

/** A broker and two functions processes. */
async function started(env: Record<string, string> = {}) {
  const config = join(await temporaryFolder(), 'broker.config.json')
  await writeFile(config, JSON.stringify({ topics }))
  const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
  const [here, there] = await Promise.all([
    startFunctionsProcess(broker.requests, env),
    startFunctionsProcess(broker.requests, env),
  ])
  return { broker, here, there, ...watch(broker) }
}

interface Message {
  readonly id: string
  readonly data: string
  readonly deliveries: number
}

const publish = async (url: string, payload: string, topic = 'sms') =>
  expect((await fetch(`${url}/message/${topic}`, { method: 'POST', body: payload })).status).toBe(201)

async function receive(url: string, topic = 'sms', query = ''): Promise<readonly Message[]> {
  const response = await fetch(`${url}/receive/${topic}${query}`)
  const { messages } = (await response.json()) as { readonly messages: readonly Message[] }
  return messages
}

async function ack(url: string, ids: readonly string[], topic = 'sms'): Promise<unknown> {
  const response = await fetch(`${url}/ack`, { method: 'POST', body: JSON.stringify({ topic, ids }) })
  return response.json()
}

const dataOf = (messages: readonly Message[]) => messages.map(({ data }) => data)
const idsOf = (messages: readonly Message[]) => messages.map(({ id }) => id)

describe('messages that are received over HTTP', () => {
  it('are acknowledged in any process, and make room there for the next in line', async () => {
    const { here, there, until } = await started()
    for (const payload of ['1', '2']) await publish(here.url, payload, 'alone')
    const first = await receive(here.url, 'alone', '?max=1')
    const next = receive(there.url, 'alone')
    await until(({ receivers }) => receivers === 2)
    expect(await ack(there.url, idsOf(first), 'alone')).toEqual({
      topic: 'alone',
      acknowledged: idsOf(first),
      unknown: [],
    })
    expect([dataOf(first), dataOf(await next)]).toEqual([['1'], ['2']])
  })

  it('come to whoever waits when they are published, in whatever process', async () => {
    const { here, there, until } = await started()
    const received = receive(there.url, 'sms', '?waitMs=60000')
    await until(({ receivers }) => receivers === 1)
    await publish(here.url, '1')
    expect(dataOf(await received)).toEqual(['1'])
  })

  it('go back when the process that has handed them out is killed, and are still acknowledged by who has them', async () => {
    const { here, there, until } = await started()
    for (const payload of ['1', '2']) await publish(there.url, payload)
    const first = await receive(here.url)
    here.program.kill('SIGKILL')
    await here.program.ended
    await until(({ receivers }) => receivers === 0)
    expect(await ack(there.url, idsOf(first.slice(0, 1)))).toMatchObject({ unknown: [] })
    expect((await receive(there.url)).map(({ data, deliveries }) => [data, deliveries])).toEqual([['2', 2]])
  })

  it('are there after the broker was killed, except those that are acknowledged by whoever had them', async () => {
    const { broker, here, there, until } = await started()
    for (const payload of ['1', '2']) await publish(here.url, payload)
    const first = await receive(here.url)
    await broker.stop('SIGKILL')
    await broker.restart()
    await until(({ keptMessages }) => keptMessages === 2)
    for (let times = 0; times < 2; times++)
      expect(await ack(there.url, idsOf(first.slice(0, 1)))).toMatchObject({ unknown: [] })
    const again = await receive(there.url)
    expect(dataOf(again)).toEqual(['2'])
    expect(idsOf(again)).toEqual(idsOf(first.slice(1)))
    expect(await ack(here.url, idsOf(first))).toMatchObject({ unknown: [] })
    await until(({ keptMessages }) => keptMessages === 0)
  })

  it('can be looked into where nobody could receive them', async () => {
    const { here } = await started()
    const response = await fetch(`${here.url}/receive/$dead/sms?waitMs=100`)
    expect(await response.json()).toMatchObject({ topic: '$dead/sms', messages: [] })
  })
})

describe('/pull/<topic>?ack=1', () => {
  const open = (url: string, topic = 'sms', headers = {}) =>
    WebsocketWire.open(`${url}/pull/${topic}?ack=1`, { headers })
  const say = (wire: WebsocketWire, told: unknown) =>
    wire.send(frame(opcodes.text, typeof told === 'string' ? told : JSON.stringify(told)))
  const heard = async (wire: WebsocketWire, count: number) => {
    await wire.until(() => wire.payloads.length >= count, `${count} messages`)
    return wire.payloads.map(payload => JSON.parse(payload.toString()))
  }

  it('brings each message with its id, and confirms its acknowledgement', async () => {
    const { here, until } = await started()
    await publish(here.url, '1')
    const wire = await open(here.url)
    const [message] = await heard(wire, 1)
    expect(message).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{12}-1$/),
      topic: 'sms',
      type: '',
      time: expect.any(String),
      data: '1',
      deliveries: 1,
      redelivered: false,
    })
    say(wire, { ack: message.id })
    expect((await heard(wire, 2))[1]).toEqual({ acknowledged: message.id })
    await until(({ keptMessages }) => keptMessages === 0)
  })

  it('hands on what was not acknowledged when it leaves, and takes an acknowledgement that comes late', async () => {
    const { here, there, until } = await started()
    for (const payload of ['1', '2']) await publish(here.url, payload)
    const wire = await open(here.url)
    const [first] = await heard(wire, 2)
    wire.socket.destroy()
    await until(({ receivers }) => receivers === 0)
    const next = await open(there.url)
    const again = await heard(next, 2)
    expect(again).toMatchObject([
      { data: '1', deliveries: 2, redelivered: true },
      { data: '2', deliveries: 2, redelivered: true },
    ])
    const late = await open(here.url, 'sms')
    say(late, { ack: first.id })
    expect(await heard(late, 1)).toEqual([{ acknowledged: first.id }])
  })

  it('confirms what was acknowledged before a close', async () => {
    const { here } = await started()
    await publish(here.url, '1')
    const wire = await open(here.url)
    const [{ id }] = await heard(wire, 1)
    say(wire, { ack: id })
    wire.send(frame(opcodes.close))
    await wire.until(() => wire.frames.find(({ opcode }) => opcode === opcodes.close), 'the close')
    expect((await heard(wire, 2))[1]).toEqual({ acknowledged: id })
  })

  it('tells what it does not understand, and goes on', async () => {
    const { here } = await started()
    const wire = await open(here.url)
    for (const told of ['', 'null', '{"ack":1}', '{"ack":"x"}', { ack: '0123456789ab-1' }]) say(wire, told)
    const errors = await heard(wire, 5)
    expect(errors.map(({ error, id }) => [error.code, id])).toEqual([
      ...Array.from({ length: 4 }, () => ['INVALID_REQUEST', undefined]),
      ['NOT_FOUND', '0123456789ab-1'],
    ])
    await publish(here.url, '1')
    expect((await heard(wire, 6))[5]).toMatchObject({ data: '1' })
  })

  it('counts for the limit of receivers', async () => {
    const { here, there, until } = await started()
    const first = await open(here.url, 'alone')
    await until(({ receivers }) => receivers === 1)
    const second = await open(there.url, 'alone')
    await until(({ receivers }) => receivers === 2)
    await publish(here.url, '1', 'alone')
    await heard(first, 1)
    first.socket.destroy()
    expect(await heard(second, 1)).toMatchObject([{ data: '1', redelivered: true }])
  })

  it('brings what could not be received from its grave, and without ?ack=1 that is no topic', async () => {
    const { here } = await started()
    await publish(here.url, '1', 'dying')
    const leaving = await open(here.url, 'dying')
    await heard(leaving, 1)
    leaving.socket.destroy()
    const wire = await open(here.url, '$dead/dying')
    const [message] = await heard(wire, 1)
    expect(message).toMatchObject({ topic: '$dead/dying', data: '1' })
    say(wire, { ack: message.id })
    expect((await heard(wire, 2))[1]).toEqual({ acknowledged: message.id })
    await expect(WebsocketWire.open(`${here.url}/pull/$dead/dying`)).rejects.toThrow()
  })

  it('is closed on a topic that is not durable', async () => {
    const { here } = await started()
    const wire = await open(here.url, 'news')
    expect(await wire.closed()).toBe(1008)
    expect(wire.told).toEqual(['close 1008 NOT_DURABLE'])
  })

  it('is the only one of the pullers that a durable topic has', async () => {
    const { here, until } = await started()
    const wire = await WebsocketWire.open(`${here.url}/pull/sms`)
    await until(({ pullers }) => pullers === 1)
    await publish(here.url, 'kept')
    await fetch(`${here.url}/push/sms`, { method: 'POST', body: 'pushed' })
    await wire.until(() => wire.payloads.length > 0, 'a message')
    expect(wire.told).toEqual(['text pushed'])
    expect(dataOf(await receive(here.url))).toEqual(['kept'])
  })
})

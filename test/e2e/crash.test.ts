import { describe, expect, it } from 'vitest'
import { EventClient } from '../support/event-client.ts'
import { startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { type Outcome, post, postUntilReceived, times } from '../support/publish.ts'

const messages = 200

function payloads(): string[] {
  return Array.from({ length: messages }, (_, i) => `message ${i}`)
}

/** Every receipt stands for exactly one delivery, and everybody saw the log's one order. */
function expectReconciled(receipts: readonly Outcome[], clients: readonly EventClient[]): void {
  for (const client of clients) {
    expect(client.events.map(({ id }) => id)).toEqual(clients[0]?.events.map(({ id }) => id))
    const delivered = new Map(client.events.map(({ id, data }) => [id, data]))
    expect(delivered.size).toBe(client.events.length)
    expect(client.events.length).toBe(receipts.length)
    for (const { id, payload } of receipts) expect(delivered.get(id ?? '')).toBe(payload)
    expect(client.events.some(({ type }) => type === 'gap')).toBe(false)
  }
}

describe.each(['before-journal', 'after-journal', 'after-stream'])('a broker that is killed %s', point => {
  it('keeps every receipt, publishes nothing twice, and everybody sees the same order', async () => {
    const broker = await startBrokerProcess({ FAULT: `${point}:40` }, 'test/support/faulty-broker.ts')
    const [publishers, subscribers] = await Promise.all([
      startFunctionsProcess(broker.requests),
      startFunctionsProcess(broker.requests),
    ])
    const clients = [
      new EventClient(`${publishers.url}/event/crash`),
      new EventClient(`${subscribers.url}/event/crash`),
    ]
    await Promise.all(clients.map(client => client.until(({ lastEventId }) => lastEventId !== '')))
    const restarted = broker.program.ended.then(how => {
      expect(how).toBe('SIGKILL')
      return broker.restart({ FAULT: 'none:0' })
    })

    const receipts: Outcome[] = []
    await times(messages, 1, async i => {
      receipts.push(
        await postUntilReceived(() => `${publishers.url}/message/crash`, `message ${i}`, `key-${i}`),
      )
    })
    await restarted
    await Promise.all(clients.map(client => client.until(({ events }) => events.length >= messages)))

    expectReconciled(receipts, clients)
    expect(clients[0]?.payloads).toEqual(payloads())
  })
})

it('loses nothing when the broker is killed again and again under load', async () => {
  const broker = await startBrokerProcess()
  const [publishers, subscribers] = await Promise.all([
    startFunctionsProcess(broker.requests),
    startFunctionsProcess(broker.requests),
  ])
  const client = new EventClient(`${subscribers.url}/event/crash`)
  await client.until(({ lastEventId }) => lastEventId !== '')

  const receipts: Outcome[] = []
  const publishing = times(1000, 8, async i => {
    receipts.push(
      await postUntilReceived(() => `${publishers.url}/message/crash`, `message ${i}`, `key-${i}`),
    )
  })
  for (const killAt of [100, 300, 500, 700, 900]) {
    await client.until(({ events }) => events.length >= killAt)
    await broker.stop('SIGKILL')
    await broker.restart()
  }
  await publishing
  await client.until(({ events }) => events.length >= 1000)

  expectReconciled(receipts, [client])
}, 60_000)

it('publishes nothing that was answered 503, also when a stopped broker goes on', async () => {
  const broker = await startBrokerProcess()
  const functions = await startFunctionsProcess(broker.requests)
  const url = `${functions.url}/message/stopped`
  const client = new EventClient(`${functions.url}/event/stopped`)
  await client.until(({ lastEventId }) => lastEventId !== '')

  const outcomes: Outcome[] = []
  broker.program.kill('SIGSTOP')
  // Until the loss is noticed they wait and are unknown; after it they are refused.
  await times(40, 4, async i => {
    outcomes.push(await post(url, `stopped ${i}`, `key-${i}`))
  })
  broker.program.kill('SIGCONT')
  const last = await postUntilReceived(() => url, 'last', 'last')
  await client.until(({ events }) => events.some(({ id }) => id === last.id))

  const refused = outcomes.filter(({ status }) => status === 503)
  expect(refused.length).toBeGreaterThan(0)
  expect(client.payloads.filter(payload => refused.some(outcome => outcome.payload === payload))).toEqual([])

  // Whatever was unknown is published exactly once after it was repeated.
  const unknown = outcomes.filter(({ status }) => status === 504)
  for (const { payload } of unknown)
    await postUntilReceived(() => url, payload, `key-${payload.slice('stopped '.length)}`)
  await client.until(({ events }) =>
    unknown.every(({ payload }) => events.some(({ data }) => data === payload)),
  )
  expect(new Set(client.payloads).size).toBe(client.payloads.length)
}, 60_000)

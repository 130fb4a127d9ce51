import { expect, it } from 'vitest'
import { EventClient } from '../support/event-client.ts'
import { startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { post, times } from '../support/publish.ts'

const messages = 2000
const cuts = 20

function expected(): string[] {
  return Array.from({ length: messages }, (_, i) => `message ${i}`)
}

it('gives a subscriber that is cut off 20 times at random points each message once, in order', async () => {
  const broker = await startBrokerProcess()
  const [publishers, subscribers] = await Promise.all([
    startFunctionsProcess(broker.requests),
    startFunctionsProcess(broker.requests),
  ])
  const client = new EventClient(`${subscribers.url}/event/flow`)
  await client.until(({ lastEventId }) => lastEventId !== '')

  // Every third cut falls before the first event of its connection, the others anywhere in the flow.
  const nextCut = () => (client.connections % 3 === 0 ? 0 : Math.floor(Math.random() * (messages / cuts)))
  let after = nextCut()
  client.cutWhen = seen => {
    if (client.connections > cuts || seen < after) return false
    after = nextCut()
    return true
  }
  await times(messages, 1, async i => {
    expect((await post(`${publishers.url}/message/flow`, `message ${i}`)).status).toBe(201)
  })
  await client.until(({ events }) => events.length >= messages)

  expect(client.payloads).toEqual(expected())
  expect(client.connections).toBeGreaterThan(cuts)
})

it('gives a subscriber whose functions process is killed 20 times each message once, in order', async () => {
  const broker = await startBrokerProcess()
  const publishers = await startFunctionsProcess(broker.requests)
  let [current, spare] = await Promise.all([
    startFunctionsProcess(broker.requests),
    startFunctionsProcess(broker.requests),
  ])
  const client = new EventClient(() => `${current.url}/event/flow`)
  await client.until(({ lastEventId }) => lastEventId !== '')

  let published = 0
  const publishing = times(messages, 1, async i => {
    // The flow waits for the kills, so that each of them falls into it.
    await client.until(({ events }) => i < events.length + messages / cuts)
    expect((await post(`${publishers.url}/message/flow`, `message ${i}`)).status).toBe(201)
    published++
  })
  for (let kill = 0; kill < cuts; kill++) {
    const at = Math.floor((kill + Math.random()) * (messages / cuts))
    await client.until(({ events }) => events.length >= at)
    const killed = current
    current = spare
    killed.program.kill('SIGKILL')
    spare = await startFunctionsProcess(broker.requests)
  }
  await publishing
  await client.until(({ events }) => events.length >= messages)

  expect(published).toBe(messages)
  expect(client.payloads).toEqual(expected())
}, 60_000)

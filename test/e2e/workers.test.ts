import { expect, it } from 'vitest'
import { EventClient } from '../support/event-client.ts'
import { startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { post, postUntilReceived, times } from '../support/publish.ts'

it('shares one port among workers, each of which serves every topic', async () => {
  const broker = await startBrokerProcess()
  const functions = await startFunctionsProcess(broker.requests, {}, ['--host', 'node', '--workers', '2'])
  expect(await functions.children()).toHaveLength(2)
  const clients = Array.from({ length: 8 }, () => new EventClient(`${functions.url}/event/shared`))
  await Promise.all(clients.map(client => client.until(({ lastEventId }) => lastEventId !== '')))
  for (let i = 0; i < 50; i++)
    expect((await post(`${functions.url}/message/shared`, `${i}`)).status).toBe(201)
  await Promise.all(clients.map(client => client.until(({ events }) => events.length === 50)))
  for (const client of clients) expect(client.payloads).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`))
})

it('replaces a worker that is killed, and its clients resume elsewhere without loss', async () => {
  const broker = await startBrokerProcess()
  const functions = await startFunctionsProcess(broker.requests, {}, ['--host', 'node', '--workers', '2'])
  const clients = Array.from({ length: 8 }, () => new EventClient(`${functions.url}/event/shared`))
  await Promise.all(clients.map(client => client.until(({ lastEventId }) => lastEventId !== '')))

  const workers = await functions.children()
  expect(workers).toHaveLength(2)
  const url = () => `${functions.url}/message/shared`
  const publishing = times(400, 1, async i => void (await postUntilReceived(url, `${i}`, `key-${i}`)))
  await clients[0]?.until(({ events }) => events.length >= 100)
  process.kill(workers[0] ?? 0, 'SIGKILL')
  await publishing
  await Promise.all(clients.map(client => client.until(({ events }) => events.length >= 400)))

  for (const client of clients) expect(client.payloads).toEqual(Array.from({ length: 400 }, (_, i) => `${i}`))
  expect(clients.some(({ connections }) => connections > 1)).toBe(true)
  await expect.poll(async () => (await functions.children()).length).toBe(2)
  functions.program.kill('SIGTERM')
  expect(await functions.program.ended).toBe(0)
}, 60_000)

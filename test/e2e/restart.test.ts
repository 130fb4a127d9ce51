import { readdirSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Relay, type Snapshot } from '../../broker/client/index.ts'
import { EventClient } from '../support/event-client.ts'
import {
  type BrokerProcess,
  startBrokerProcess,
  startFunctionsProcess,
  temporaryFolder,
} from '../support/processes.ts'
import { post, postUntilReceived, times } from '../support/publish.ts'

async function configFile(settings: object): Promise<string> {
  const path = join(await temporaryFolder(), 'broker.config.jsonc')
  writeFileSync(path, JSON.stringify(settings))
  return path
}

function connect(broker: BrokerProcess): Relay {
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  return relay
}

async function historyOf(broker: BrokerProcess, topic: string): Promise<Snapshot> {
  const relay = connect(broker)
  await relay.ready()
  return relay.history({ topics: [topic], exact: false }, 1000)
}

function shown({ messages }: Snapshot): string[] {
  return messages.map(({ id, payload }) => `${id} ${Buffer.from(payload).toString()}`)
}

/** Publishes into a quiet topic, then so much elsewhere that the tail and the journal let go of it. */
async function publishBeyondTheTail(broker: BrokerProcess): Promise<void> {
  const relay = connect(broker)
  await relay.ready()
  const publish = (topic: string, payload: Uint8Array) =>
    relay.publish({ topic, type: '', binary: true, payload })
  await times(20, 1, async i => void (await publish('quiet', Buffer.from(`message ${i}`))))
  await times(64, 8, async () => void (await publish('busy', Buffer.alloc(32 * 1024))))
}

const smallTail = { tailBytes: 256 * 1024 }

describe.each([
  { name: 'files', store: () => undefined },
  {
    name: 'SQLite',
    store: (folder: string) => ({
      driver: 'db0',
      options: { connector: 'node-sqlite', path: join(folder, 'history.db') },
    }),
  },
])('a history kept in $name', ({ store }) => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'is there for late joiners after a restart by %s',
    async signal => {
      const config = await configFile({ ...smallTail, history: { store: store(await temporaryFolder()) } })
      const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
      await publishBeyondTheTail(broker)
      const before = await historyOf(broker, 'quiet')
      expect(before.messages).toHaveLength(20)
      const journal = readdirSync(join(broker.data, 'journal'))
      expect(journal.some(name => name.startsWith('000000000000000'))).toBe(false)

      await broker.stop(signal)
      await broker.restart()

      expect(shown(await historyOf(broker, 'quiet'))).toEqual(shown(before))
    },
  )
})

it('skips a torn segment, and tells whoever resumes across it of a gap', async () => {
  const config = await configFile(smallTail)
  const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
  const publishers = await startFunctionsProcess(broker.requests)
  const first = await post(`${publishers.url}/message/quiet`, 'first')
  await publishBeyondTheTail(broker)
  await broker.stop('SIGTERM')
  const folder = join(broker.data, 'history')
  const [segment] = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => statSync(join(folder, name)).isFile())
    .sort()
  const path = join(folder, segment ?? '')
  truncateSync(path, Math.floor(statSync(path).size / 2))
  await broker.restart()

  expect(broker.program.output()).toContain('history-torn')
  // The other one still has it all in memory.
  const functions = await startFunctionsProcess(broker.requests)
  const client = new EventClient(`${functions.url}/event/quiet?lastEventId=${first.id}`)
  await client.until(({ events }) => events.length > 0)
  expect(client.events[0]?.type).toBe('gap')
})

it('begins a new epoch after a torn tail, tells of the gap, and loses nothing before the tear', async () => {
  const broker = await startBrokerProcess()
  const functions = await startFunctionsProcess(broker.requests)
  const url = `${functions.url}/message/torn`
  const receipts = []
  for (const payload of ['one', 'two', 'three']) receipts.push(await post(url, payload))
  await broker.stop('SIGKILL')
  const folder = join(broker.data, 'journal')
  const path = join(folder, readdirSync(folder).sort().at(-1) ?? '')
  truncateSync(path, statSync(path).size - 5)
  await broker.restart()
  const { id } = await postUntilReceived(() => url, 'four', 'four')

  expect(id?.split('-')[0]).not.toBe(receipts[0]?.id?.split('-')[0])
  const client = new EventClient(`${functions.url}/event/torn?lastEventId=${receipts[0]?.id}`)
  await client.until(({ events }) => events.some(({ data }) => data === 'four'))
  expect(client.events.map(({ type, data }) => (type === 'gap' ? 'gap' : data))).toEqual([
    'gap',
    'two',
    'four',
  ])
})

it('tells a stream that was open across the tear of the gap, once', async () => {
  const broker = await startBrokerProcess()
  const functions = await startFunctionsProcess(broker.requests)
  const client = new EventClient(`${functions.url}/event/torn`)
  await client.until(({ lastEventId }) => lastEventId !== '')
  for (const payload of ['one', 'two', 'three']) await post(`${functions.url}/message/torn`, payload)
  await client.until(({ events }) => events.length === 3)
  await broker.stop('SIGKILL')
  const folder = join(broker.data, 'journal')
  const path = join(folder, readdirSync(folder).sort().at(-1) ?? '')
  truncateSync(path, statSync(path).size - 5)
  await broker.restart()
  await postUntilReceived(() => `${functions.url}/message/torn`, 'four', 'four')
  await client.until(({ events }) => events.some(({ data }) => data === 'four'))
  const told = client.events.map(({ type, data }) => (type === 'gap' ? 'gap' : data))
  expect(told.filter(what => what === 'gap')).toHaveLength(1)
  expect(told.slice(0, 3)).toEqual(['one', 'two', 'three'])
  expect(told.at(-1)).toBe('four')
  expect(client.connections).toBe(1)
})

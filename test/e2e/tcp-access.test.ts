import { expect, it } from 'vitest'
import { loadConfig } from '../../broker/config.ts'
import { loginOf, messageOf, registerOf, sendAsOld, TcpClient } from '../support/tcp-client.ts'
import { type OpenDoor, openDoor } from '../support/tcp-door.ts'
import { userLines } from '../support/users.ts'

const rule = (who: string, publish: string[], subscribe: string[]) => ({
  who: [who],
  publish,
  subscribe,
  history: true,
})

const rules = [
  rule('user:amy', ['sms', 'news'], []),
  rule('user:bob', [], ['sms', 'news', '$dead/sms']),
  rule('anonymous', ['**'], ['**']),
]

async function loggedIn(port: number, name: string): Promise<TcpClient> {
  const client = new TcpClient(port)
  client.send(loginOf(name, 'secret', { ack: true }))
  expect(await client.answer()).toMatchObject({ command: 'welcome' })
  return client
}

async function outcome(client: TcpClient, document: string): Promise<unknown> {
  client.send(document)
  const { command, error } = await client.answer()
  return command === 'error' ? Object(error).message : command
}

/** Reads the settings again, with these rules. */
function reload({ authority }: OpenDoor, access: typeof rules): void {
  authority.reload({ ...loadConfig({}), users: Object.values(userLines), access })
}

it('a user publishes and receives what the rules allow, and is told what they do not', async () => {
  const { port, door } = await openDoor({ access: rules })
  const [amy, bob, eve] = await Promise.all(['amy', 'bob', 'eve'].map(name => loggedIn(port, name)))
  if (!amy || !bob || !eve) throw new Error('nobody is there')
  const tried = async (client: TcpClient) => [
    await outcome(client, messageOf('other', '1')),
    await outcome(client, messageOf('sms', '1')),
    await outcome(client, registerOf('other')),
    await outcome(client, registerOf('news')),
  ]
  expect(await tried(eve)).toEqual([
    'user:eve may not publish on "other".',
    'user:eve may not publish on "sms".',
    'user:eve may not receive from "other".',
    'user:eve may not receive from "news".',
  ])
  expect(await tried(bob)).toEqual([
    'user:bob may not publish on "other".',
    'user:bob may not publish on "sms".',
    'user:bob may not receive from "other".',
    'registered',
  ])
  expect(await tried(amy)).toEqual([
    'user:amy may not publish on "other".',
    'receipt',
    'user:amy may not receive from "other".',
    'user:amy may not receive from "news".',
  ])
  expect(door.counters.tcpRefused).toBe(10)
})

it('nothing of what an old sender may not send is published, and the log tells', async () => {
  const { port, logger, publish } = await openDoor({ access: rules })
  const bob = await loggedIn(port, 'bob')
  expect(await outcome(bob, registerOf('news'))).toBe('registered')
  await sendAsOld(port, 'news', ['"not this"'], ['eve', 'secret'])
  publish('news', '"this"')
  expect(await bob.answer()).toMatchObject({ data: ['this'] })
  expect(logger.lines.filter(({ event }) => event === 'refused')).toMatchObject([
    { fields: { code: 'FORBIDDEN', reason: 'user:eve may not publish on "news".' } },
  ])
})

it('graves are received by a rule that names them alone', async () => {
  const { port } = await openDoor({ access: [...rules, rule('user:*', [], ['**'])] })
  const [bob, eve] = [await loggedIn(port, 'bob'), await loggedIn(port, 'eve')]
  expect(await outcome(eve, registerOf('$dead/sms'))).toBe('user:eve may not receive from "$dead/sms".')
  expect(await outcome(bob, registerOf('$dead/sms'))).not.toContain('may not')
})

it('whoever receives what it may no longer is told so and let go, the others stay', async () => {
  const open = await openDoor({ access: rules })
  const { port, publish } = open
  const [one, other] = [await loggedIn(port, 'bob'), await loggedIn(port, 'bob')]
  expect(await outcome(one, registerOf('sms'))).toBe('registered')
  expect(await outcome(other, registerOf('news'))).toBe('registered')
  reload(open, [rule('user:bob', [], ['news'])])
  expect(await one.answer()).toMatchObject({
    command: 'error',
    error: { code: 'FORBIDDEN', message: 'user:bob may not receive from "sms".' },
  })
  expect(await one.ended).toBe('RST')
  publish('news', '1')
  expect(await other.answer()).toMatchObject({ data: [1] })
})

it('what is sent after a change is decided by the new rules', async () => {
  const open = await openDoor({ access: rules })
  const amy = await loggedIn(open.port, 'amy')
  reload(open, [rule('user:amy', ['other'], [])])
  expect(await outcome(amy, messageOf('sms', '1'))).toBe('user:amy may not publish on "sms".')
  expect(await outcome(amy, messageOf('other', '1'))).toBe('receipt')
  reload(open, [])
  expect(await outcome(amy, messageOf('sms', '1'))).toBe('receipt')
})

it('without rules whoever has logged in may do everything', async () => {
  const { port } = await openDoor()
  const eve = await loggedIn(port, 'eve')
  expect(await outcome(eve, messageOf('other', '1'))).toBe('receipt')
  expect(await outcome(eve, registerOf('other'))).toBe('registered')
})

it('an idempotency key belongs to the user, under the identity that other doors know', async () => {
  const { port, test } = await openDoor()
  const amy = await loggedIn(port, 'amy')
  amy.send(messageOf('news', '1', { key: 'k' }))
  await amy.answer()
  expect([...test.keys.current(test.nowMs)].map(({ identity }) => identity)).toEqual(['user:amy'])
})

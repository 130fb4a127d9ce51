import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { durableRule } from '../support/durable-rule.ts'
import { EventReader } from '../support/event-reader.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'
import { secret, signed } from '../support/token-keys.ts'
import { userLines } from '../support/users.ts'
import { handshake, WebsocketWire } from '../support/websocket-wire.ts'

type Headers = Readonly<Record<string, string>>

const rule = (who: string, subscribe: string[], publish: string[] = []) => ({ who, subscribe, publish })
const amy: Headers = { authorization: `Basic ${btoa('amy:secret')}` }
const bob: Headers = { authorization: `Basic ${btoa('bob:secret')}` }

/** A broker and functions as processes, whose rules and users stand in files. */
async function started(access: readonly object[]) {
  const folder = await temporaryFolder()
  const config = join(folder, 'broker.config.json')
  const usersFile = join(folder, 'users')
  const topics = { sms: durableRule }
  const tokens = [{ algorithm: 'HS256', key: secret }]
  const setRules = (rules: readonly object[]) =>
    writeFile(config, JSON.stringify({ access: rules, topics, tokens, usersFile }))
  const setUsers = (...names: (keyof typeof userLines)[]) =>
    writeFile(usersFile, names.map(name => `${userLines[name]}\n`).join(''))
  await setUsers('amy', 'bob')
  await setRules(access)
  const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
  const { url } = await startFunctionsProcess(broker.requests)
  return {
    url,
    broker,
    setUsers,
    async reload(rules: readonly object[]) {
      await setRules(rules)
      broker.program.kill('SIGHUP')
    },
    follow: (path: string, headers: Headers) =>
      EventReader.open(init => fetch(`${url}${path}`, init), { ...headers }),
    async open(path: string, headers: Headers) {
      const wire = new WebsocketWire(`${url}${path}`)
      wire.send(handshake(`${url}${path}`, { headers }))
      expect((await wire.answer()).status).toBe(101)
      return wire
    },
    status: async (path: string, headers: Headers) => (await fetch(`${url}${path}`, { headers })).status,
    publish: async (topic: string, body: string, headers: Headers) =>
      (await fetch(`${url}/message/${topic}`, { method: 'POST', body, headers })).status,
  }
}

const endOf = async (wire: WebsocketWire) => {
  await wire.closed()
  return wire.told.at(-1)
}

it('whatever a token has opened ends when it expires, and says why', async () => {
  const { url, follow, open, status } = await started([rule('token:*', ['**'], ['**'])])
  // A token tells whole seconds.
  const exp = Math.floor(Date.now() / 1000) + 3
  const bearer = { authorization: `Bearer ${await signed({ sub: 'ed', exp })}` }
  const events = await follow('/event/news', bearer)
  const sockets = await Promise.all(
    ['/sub/news', '/pub/news', '/bus/news', '/push/news', '/pull/news', '/pull/sms?ack=1'].map(path =>
      open(path, bearer),
    ),
  )
  const received = fetch(`${url}/receive/sms?waitMs=60000`, { headers: bearer })
  await events.begun()
  expect(Date.now()).toBeLessThan(exp * 1000)

  await events.ended()
  expect(Date.now()).toBeGreaterThanOrEqual(exp * 1000)
  expect(events.hasBroken).toBe(false)
  expect(events.text).toMatch(/\n: ?UNAUTHORIZED: The token has expired\.\n\n$/)
  expect(await Promise.all(sockets.map(endOf))).toEqual(sockets.map(() => 'close 1008 UNAUTHORIZED'))
  const answer = await received
  expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
    401,
    expect.stringContaining('error_description="The token has expired."'),
  ])
  // What an EventSource does then. This answer stops it.
  expect(await status('/event/news', bearer)).toBe(401)
})

it('a reload ends what the new rules do not allow, and leaves the rest alone', async () => {
  const before = [rule('user:*', ['news', 'sms'], ['news', 'sms'])]
  const { url, reload, follow, open, status, publish } = await started(before)
  const [gone, staying] = [await follow('/event/news?exact=1', amy), await follow('/event/news?exact=1', bob)]
  const wires = [
    await open('/sub/news?exact=1', amy),
    await open('/pub/news', amy),
    await open('/pull/sms?ack=1', amy),
  ]
  const listener = await open('/sub/news?exact=1', bob)
  const received = fetch(`${url}/receive/sms?waitMs=60000`, { headers: amy })
  await Promise.all([gone.begun(), staying.begun()])

  await reload([rule('user:bob', ['news'], ['news'])])
  await gone.ended()
  expect(gone.text).toMatch(/\n: ?FORBIDDEN: user:amy may not subscribe to "news"\.\n\n$/)
  expect(await Promise.all(wires.map(endOf))).toEqual(wires.map(() => 'close 1008 FORBIDDEN'))
  expect((await received).status).toBe(403)
  expect(await status('/event/news?exact=1', amy)).toBe(403)
  expect(await publish('news', 'a', amy)).toBe(403)

  expect(await publish('news', 'still there', bob)).toBe(201)
  expect((await staying.take(1)).map(({ data }) => data)).toEqual(['still there'])
  expect(String(await listener.until(() => listener.payloads[0]))).toBe('still there')
})

it('a body that comes slowly does not outlive the right to send it', async () => {
  const { url, reload, follow } = await started([rule('user:amy', ['**'], ['**'])])
  const rest = Promise.withResolvers<void>()
  const slowly = (path: string, type: string, [first, second]: readonly [string, string]) => {
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(Buffer.from(first))
        await rest.promise
        controller.enqueue(Buffer.from(second))
        controller.close()
      },
    })
    const headers = { ...amy, 'content-type': type }
    const request = { method: 'POST', body, headers, duplex: 'half' }
    return fetch(`${url}${path}`, request)
  }
  const answers = [
    ...['/message/news', '/pub/news', '/push/news', '/bus/news'].map(path =>
      slowly(path, 'text/plain', ['a', 'b']),
    ),
    slowly('/message/broadcast', 'application/x-www-form-urlencoded', ['from=amy', '&text=b']),
    slowly('/ack', 'application/json', ['{"topic": "sms",', ' "ids": []}']),
  ]
  const events = await follow('/event/news', amy)
  await events.begun()
  await reload([rule('user:bob', ['**'], ['**'])])
  await events.ended()
  rest.resolve()
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 403))
  const past = await fetch(`${url}/history?topic=news&topic=chat`, { headers: bob })
  expect((await past.json()).messages).toEqual([])
})

it('whoever leaves the list of users loses what is open', async () => {
  const { setUsers, follow, status } = await started([rule('user:*', ['**'])])
  const [gone, staying] = [await follow('/event/news', bob), await follow('/event/news', amy)]
  await Promise.all([gone.begun(), staying.begun()])
  await setUsers('amy')
  await gone.ended()
  expect(gone.text).toMatch(/\n: ?UNAUTHORIZED: The name or the password is wrong\.\n\n$/)
  expect(await status('/event/news', bob)).toBe(401)
  expect(staying.hasEnded).toBe(false)
})

it('the first rule ends what was open to everybody, who may come again if it allows them', async () => {
  const { reload, follow, open, status } = await started([])
  const events = await follow('/event/news', {})
  const wire = await open('/sub/news', {})
  await events.begun()
  await reload([rule('anonymous', ['chat'])])
  await events.ended()
  await wire.over()
  expect(await status('/event/news', {})).toBe(401)
  const again = await follow('/event/chat?exact=1', {})
  await again.begun()
  expect(again.response.status).toBe(200)
})

it('nothing is told to anybody before the broker has said whether there are rules', async () => {
  const { broker, status, publish } = await started([rule('user:amy', ['**'], ['**'])])
  expect(await publish('news', 'secret', amy)).toBe(201)
  expect(await status('/event/news', {})).toBe(401)
  await broker.stop()
  const { url: early } = await startFunctionsProcess(broker.requests)
  const stranger = await EventReader.open(init => fetch(`${early}/event/news?history=10`, init))
  const member = await EventReader.open(init => fetch(`${early}/event/news?history=10`, init), { ...amy })
  expect([stranger.response.status, member.response.status]).toEqual([200, 200])
  await broker.restart()
  await stranger.ended()
  expect(stranger.text).not.toContain('data:')
  expect((await member.take(1)).map(({ data }) => data)).toEqual(['secret'])
  expect((await fetch(`${early}/event/news`)).status).toBe(401)
  // Those who knew the rules before have gone by them all the time.
  expect(await status('/event/news', {})).toBe(401)
})

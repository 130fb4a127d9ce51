import type { Wish } from './access-model.ts'
import { EventReader } from './event-reader.ts'
import { loginOf, messageOf, registerOf, TcpClient } from './tcp-client.ts'
import { frame, handshake, opcodes, WebsocketWire } from './websocket-wire.ts'

/** Whom a door is tried by. */
export interface Visitor {
  /** How it shows who it is over HTTP. */
  readonly headers: Readonly<Record<string, string>>
  /** How at the TCP door, where it can. */
  readonly login?: readonly [name: string, password: string]
}

/** Where the doors are. */
export interface Building {
  readonly url: string
  readonly tcpPort: number
  /** The id of a message that is in the history. */
  readonly since: string
}

export interface Door {
  readonly name: string
  readonly topics: readonly string[]
  /** What is asked for: the first that is not allowed is told. */
  readonly wishes: (topic: string) => readonly Wish[]
  /** What it asks for beyond that: without it the answer is another one. */
  readonly extra?: (topic: string) => Wish
  /** Gives `allowed`, `allowed without the past`, or the whole refusal. */
  readonly attempt: (visitor: Visitor, topic: string, building: Building) => Promise<string>
}

const publish = (topic: string): Wish => ({ verb: 'publish', topic, isExact: true })
const receive = (topic: string): Wish => ({ verb: 'receive', topic, isExact: true })
const subscribe = (topic: string, isExact = false): Wish => ({ verb: 'subscribe', topic, isExact })
const past = (topic: string, isExact = false): Wish => ({ verb: 'past', topic, isExact })

const plain = ['chat', 'news', 'news/sport', 'sms']
const kept = ['sms', '$dead/sms']

/** An answer over HTTP in words. */
async function told(response: Response, text?: string): Promise<string> {
  const { status, headers } = response
  const body = text ?? (await response.text())
  if (status < 400) return 'allowed'
  const { code, message } = JSON.parse(body).error
  if (status === 401) checkChallenge(headers.get('www-authenticate'))
  return `${status} ${code} ${message}`
}

function checkChallenge(challenge: string | null | undefined): void {
  if (!challenge?.startsWith('Bearer realm="postern"')) throw new Error(`401 with the challenge ${challenge}`)
}

const post =
  (path: (topic: string) => string, body: (topic: string) => BodyInit = () => 'a'): Door['attempt'] =>
  async ({ headers }, topic, { url }) =>
    told(await fetch(`${url}${path(topic)}`, { method: 'POST', body: body(topic), headers }))

const get =
  (path: (topic: string) => string): Door['attempt'] =>
  async ({ headers }, topic, { url }) =>
    told(await fetch(`${url}${path(topic)}`, { headers }))

/** Follows a stream until it has begun. */
const follow =
  (path: (topic: string) => string, isResumed = false): Door['attempt'] =>
  async ({ headers }, topic, { url, since }) => {
    const sent = { ...headers, ...(isResumed && { 'last-event-id': since }) }
    const reader = await EventReader.open(init => fetch(`${url}${path(topic)}`, init), sent)
    const { response } = reader
    await reader.begun()
    if (response.status !== 200) return told(response, reader.text)
    const isCut = reader.waiting.some(({ type }) => type === 'gap')
    await reader.close()
    return isCut ? 'allowed without the past' : 'allowed'
  }

/** Opens a WebSocket, and where a message is given, publishes it and waits for its receipt. */
const socket =
  (path: (topic: string) => string, message?: string, isResumed = false): Door['attempt'] =>
  async ({ headers }, topic, { url, since }) => {
    const ends: (() => void)[] = []
    const address = `${url}${path(topic)}`
    const wire = new WebsocketWire(address, end => ends.push(end))
    const protocol = { 'Sec-WebSocket-Protocol': 'postern.v1' }
    const resumed = isResumed ? { 'Last-Event-ID': since } : {}
    wire.send(handshake(address, { headers: { ...headers, ...protocol, ...resumed } }))
    try {
      const { status, headers: answered } = await wire.answer()
      if (status !== 101) {
        await wire.over()
        const { code, message: said } = JSON.parse(wire.body).error
        if (status === 401) checkChallenge(answered.get('www-authenticate'))
        return `${status} ${code} ${said}`
      }
      if (message === undefined) return 'allowed'
      wire.send(frame(opcodes.text, message))
      const receipt = await wire.until(() => wire.payloads.find(text => /"(id|error)"/.test(`${text}`)))
      return 'error' in JSON.parse(`${receipt}`) ? `${receipt}` : 'allowed'
    } finally {
      for (const end of ends) end()
    }
  }

const statuses: Readonly<Record<string, string>> = { FORBIDDEN: '403', UNAUTHORIZED: '401' }

/** Logs in and asks for something at the TCP door. Who cannot log in there gives nothing. */
const tcp =
  (document: (topic: string) => string): Door['attempt'] =>
  async ({ login }, topic, { tcpPort }) => {
    if (!login) return 'cannot come'
    const client = new TcpClient(tcpPort)
    try {
      client.send(loginOf(...login, { ack: true }))
      const welcome = await client.answer()
      const answer = welcome['command'] === 'welcome' ? await asked(client, document(topic)) : welcome
      const { command, error } = answer
      if (command !== 'error') return 'allowed'
      const { code, message } = Object(error)
      return `${statuses[code] ?? ''} ${code} ${message}`
    } finally {
      client.socket.destroy()
    }
  }

async function asked(client: TcpClient, document: string): Promise<Record<string, unknown>> {
  client.send(document)
  return client.answer()
}

/** Every way to say something, to hear something, and to take something. */
export const doors: readonly Door[] = [
  ...[
    { name: 'POST /message', attempt: post(topic => `/message/${topic}`) },
    { name: 'POST /pub', attempt: post(topic => `/pub/${topic}`) },
    { name: 'POST /push', attempt: post(topic => `/push/${topic}`) },
    { name: 'POST /bus', attempt: post(topic => `/bus/${topic}`) },
    { name: 'WS /pub', attempt: socket(topic => `/pub/${topic}`, 'a') },
    { name: 'WS /push', attempt: socket(topic => `/push/${topic}`, 'a') },
    { name: 'TCP send', attempt: tcp(topic => messageOf(topic, '"a"')) },
  ].map(door => ({ ...door, topics: plain, wishes: (topic: string) => [publish(topic)] })),
  {
    name: 'POST /message, the default topic',
    topics: ['chat'],
    wishes: topic => [publish(topic)],
    attempt: post(() => '/message'),
  },
  {
    name: 'POST /message/broadcast',
    topics: ['chat'],
    wishes: topic => [publish(topic)],
    attempt: post(
      () => '/message/broadcast',
      () => new URLSearchParams({ from: 'amy', text: 'a' }),
    ),
  },
  {
    name: 'WS /bus',
    topics: plain,
    wishes: topic => [publish(topic), receive(topic)],
    attempt: socket(topic => `/bus/${topic}`, 'a'),
  },
  ...[
    { name: 'GET /event', attempt: follow(topic => `/event/${topic}`) },
    { name: 'WS /sub', attempt: socket(topic => `/sub/${topic}`) },
  ].map(door => ({ ...door, topics: plain, wishes: (topic: string) => [subscribe(topic)] })),
  ...[
    { name: 'GET /event?exact=1', attempt: follow(topic => `/event/${topic}?exact=1`) },
    { name: 'WS /sub?exact=1', attempt: socket(topic => `/sub/${topic}?exact=1`) },
  ].map(door => ({ ...door, topics: plain, wishes: (topic: string) => [subscribe(topic, true)] })),
  {
    name: 'GET /event/fetch',
    topics: ['chat'],
    wishes: topic => [subscribe(topic, true)],
    attempt: follow(() => '/event/fetch'),
  },
  {
    name: 'GET /event of two topics',
    topics: ['news', 'news/sport'],
    wishes: topic => [subscribe('chat', true), subscribe(topic, true)],
    attempt: follow(topic => `/event?topic=chat&topic=${topic}&exact=1`),
  },
  ...[
    { name: 'GET /event?history', attempt: follow(topic => `/event/${topic}?history=1`) },
    { name: 'GET /history', attempt: get(topic => `/history/${topic}`) },
    { name: 'WS /sub?history', attempt: socket(topic => `/sub/${topic}?history=1`) },
    { name: 'WS /sub, resumed', attempt: socket(topic => `/sub/${topic}`, undefined, true) },
  ].map(door => ({ ...door, topics: plain, wishes: (topic: string) => [subscribe(topic), past(topic)] })),
  {
    name: 'GET /history?exact=1',
    topics: plain,
    wishes: topic => [subscribe(topic, true), past(topic, true)],
    attempt: get(topic => `/history/${topic}?exact=1`),
  },
  {
    name: 'GET /event, resumed',
    topics: plain,
    wishes: topic => [subscribe(topic)],
    extra: topic => past(topic),
    attempt: follow(topic => `/event/${topic}`, true),
  },
  ...[
    { name: 'GET /receive', attempt: get(topic => `/receive/${topic}?waitMs=100&max=1`) },
    {
      name: 'POST /ack',
      attempt: post(
        () => '/ack',
        topic => JSON.stringify({ topic, ids: [] }),
      ),
    },
    { name: 'TCP register', attempt: tcp(topic => registerOf(topic)) },
  ].map(door => ({ ...door, topics: kept, wishes: (topic: string) => [receive(topic)] })),
  {
    name: 'WS /pull?ack=1',
    topics: ['sms'],
    wishes: topic => [receive(topic)],
    attempt: socket(topic => `/pull/${topic}?ack=1`),
  },
  {
    name: 'WS /pull',
    topics: plain,
    wishes: topic => [receive(topic)],
    attempt: socket(topic => `/pull/${topic}`),
  },
]

import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { Dealer, Subscriber } from 'zeromq'
import { decodeReply, encodeHead, type Message, protocolVersion } from '#protocol'
import { Relay, Sender } from '../../../broker/client/index.ts'
import { EventReader } from '../event-reader.ts'
import { loginOf, messageOf, registerOf, TcpClient } from '../tcp-client.ts'
import { frame, opcodes, WebsocketWire } from '../websocket-wire.ts'
import { defaultTopic, type Target } from './target.ts'

/** How long a client that behaves may wait on a busy machine. A bound for a broken program, not a wait. */
const answeredWithinMs = 15_000

const authorization = `Basic ${Buffer.from('amy:secret').toString('base64')}`
const headers = { authorization }

/** Publishers and subscribers who behave, one of each at every door, on a topic that nobody else can guess. */
export class HealthyClients {
  readonly topic = `healthy/${randomBytes(8).toString('hex')}`
  readonly #target: Target
  readonly #relay: Relay
  readonly #sender: Sender
  readonly #expected: string[] = []
  /** What each subscriber has got so far. */
  readonly #got: Record<string, () => readonly string[]> = {}
  #tcp: TcpClient | undefined
  #publisher: WebsocketWire | undefined
  #plain: Subscriber | undefined
  #receipts = 0
  #count = 0

  private constructor(target: Target) {
    this.#target = target
    const keys = target.curve && { curve: target.curve }
    this.#relay = new Relay({ broker: target.broker.requests, ...keys })
    this.#sender = new Sender({ ingest: target.broker.ingest, ...keys })
    onTestFinished(() => this.#relay.close())
    onTestFinished(() => this.#sender.close())
  }

  static async open(target: Target): Promise<HealthyClients> {
    const clients = new HealthyClients(target)
    await within('a place at every door', clients.#subscribe())
    await clients.exchange()
    return clients
  }

  /**
   * Publishes at every door, and waits until each subscriber has all that was ever sent, once, in order, and nothing
   * else. Comes in anew at every door too.
   */
  async exchange(): Promise<void> {
    const { url } = this.#target.functions
    await this.#say('HTTP', async text => {
      const answer = await fetch(`${url}/message/${this.topic}`, {
        method: 'POST',
        headers: { ...headers, connection: 'close' },
        body: text,
      })
      if (answer.status !== 201) throw new Error(`HTTP: ${answer.status} ${await answer.text()}`)
    })
    await this.#say('WebSocket', async text => {
      this.#publisher?.send(frame(opcodes.text, text))
      const count = ++this.#receipts
      await this.#publisher?.until(() => this.#publisher?.payloads.length === count, 'a receipt by WebSocket')
    })
    await this.#say('requests', async text => {
      await this.#relay.publish({ topic: this.topic, type: '', binary: false, payload: Buffer.from(text) })
    })
    await this.#say('TCP', text => this.#publishByTcp(text))
    await this.#say('ingest', text => this.#sender.send(this.topic, text))
    await within('what was sent, at every subscriber', this.#arrived())
    await within('the plain socket', this.#hearPlain())
    await within('those who come anew', this.#comeAnew())
  }

  async #say(door: string, publish: (text: string) => Promise<unknown>): Promise<void> {
    const text = `${++this.#count}`
    this.#expected.push(text)
    await within(`a publish by ${door}`, publish(text))
  }

  async #subscribe(): Promise<void> {
    const { functions, broker } = this.#target
    const stream = await EventReader.open(
      init => fetch(`${functions.url}/event/${this.topic}`, init),
      headers,
    )
    onTestFinished(() => stream.close())
    await stream.begun()
    this.#got['an event stream'] = () => stream.waiting.map(({ data }) => data)
    const socket = await WebsocketWire.open(`${functions.url}/sub/${this.topic}`, { headers })
    this.#got['a WebSocket'] = () => socket.payloads.map(String)
    this.#publisher = await WebsocketWire.open(`${functions.url}/pub/${this.topic}`, {
      headers: { ...headers, 'Sec-WebSocket-Protocol': 'postern.v1' },
    })
    const heard: string[] = []
    await this.#relay.ready()
    await new Promise<void>(resolve =>
      this.#relay.subscribe(
        { topics: [this.topic], exact: true },
        {},
        {
          start: () => resolve(),
          gap: () => heard.push('gap'),
          deliver: messages => {
            heard.push(...messages.map(textOf))
            return true
          },
          end: reason => heard.push(`end ${reason}`),
        },
      ),
    )
    this.#got['a relay'] = () => heard
    const tcp = await this.#logIn()
    this.#tcp = tcp
    tcp.send(registerOf(this.topic))
    await tcp.answer()
    this.#got['the TCP door'] = () => this.#byTcp
    this.#plain = new Subscriber({ linger: 0, ...this.#target.curveOptions })
    onTestFinished(() => this.#plain?.close())
    this.#plain.subscribe(this.topic)
    const isIn = new Promise(resolve => this.#plain?.events.on('handshake', resolve))
    this.#plain.connect(broker.plain)
    await isIn
  }

  readonly #byTcp: string[] = []

  /** Sends, and takes what comes until the receipt is there. */
  async #publishByTcp(text: string): Promise<void> {
    this.#tcp?.send(messageOf(this.topic, text))
    await this.#takeTcp(({ command }) => command === 'receipt')
  }

  async #takeTcp(isLast: (answer: Record<string, unknown>) => boolean): Promise<void> {
    for (;;) {
      const answer = await this.#tcp?.answer()
      if (!answer) throw new Error('the TCP door is closed')
      if (answer['command'] === 'message') {
        this.#byTcp.push(JSON.stringify(answer['data']).slice(1, -1))
        this.#tcp?.send(JSON.stringify({ command: 'ack', id: answer['id'] }))
      } else if (answer['command'] === 'error') throw new Error(`the TCP door: ${JSON.stringify(answer)}`)
      if (isLast(answer)) return
    }
  }

  async #arrived(): Promise<void> {
    if (this.#byTcp.length < this.#expected.length)
      await this.#takeTcp(() => this.#byTcp.length === this.#expected.length)
    for (;;) {
      const missing = Object.entries(this.#got).filter(([, got]) => got().length < this.#expected.length)
      if (missing.length === 0) break
      await delay(2)
    }
    for (const [name, got] of Object.entries(this.#got)) {
      const at = got().findIndex((text, i) => text !== this.#expected[i])
      if (at >= 0) throw new Error(`${name} got ${got()[at]} in the place of ${this.#expected[at]}`)
    }
  }

  async #hearPlain(): Promise<void> {
    const text = `${this.topic} ${this.#count}`
    await this.#relay.publish({ topic: defaultTopic, type: '', binary: false, payload: Buffer.from(text) })
    const [heard] = (await this.#plain?.receive()) ?? []
    if (String(heard) !== text) throw new Error(`the plain socket brought ${heard} in the place of ${text}`)
  }

  async #comeAnew(): Promise<void> {
    const { functions, broker } = this.#target
    const ready = await fetch(`${functions.url}/health/ready`, { headers: { connection: 'close' } })
    if (!ready.ok) throw new Error(`/health/ready: ${ready.status} ${await ready.text()}`)
    const wire = await WebsocketWire.open(`${functions.url}/sub/${this.topic}`, { headers })
    wire.socket.destroy()
    const tcp = await this.#logIn()
    tcp.socket.destroy()
    const dealer = new Dealer({ linger: 0, ...this.#target.curveOptions })
    try {
      dealer.connect(broker.requests)
      await dealer.send(encodeHead({ op: 'hello', seq: 1, version: protocolVersion }))
      const [head] = await dealer.receive()
      if (!head || decodeReply(head)?.op !== 'hello') throw new Error('hello was not answered')
    } finally {
      dealer.close()
    }
  }

  async #logIn(): Promise<TcpClient> {
    const tcp = new TcpClient(this.#target.ports.tcp)
    tcp.send(loginOf('amy', 'secret', { ack: true }))
    const { command } = await tcp.answer()
    if (command !== 'welcome') throw new Error(`the TCP door answered the login with ${command}`)
    return tcp
  }
}

function textOf({ payload }: Message): string {
  return Buffer.from(payload).toString()
}

async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(
    () => reject(new Error(`A client that behaves has waited in vain: ${what}.`)),
    answeredWithinMs,
  )
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import { Compiler } from '../bench/compiler.ts'
import { Load, type LoadResult, type PublishPlan } from '../bench/load.ts'
import { Stage } from '../bench/program.ts'
import type { FanOut } from '../bench/systems/fan-out.ts'
import { acceptOf, closing, type FrameOptions, frame, opcodes } from '../support/websocket-wire.ts'

/** A subscriber as its server sees it. */
interface Peer {
  /** Sends a message. */
  send(payload: string): void
  /** Sends bytes as they are. */
  write(...bytes: readonly (string | Uint8Array)[]): void
  /** What comes back from a WebSocket next. */
  heard(): Promise<Buffer>
  /** Ends it, and resolves when the subscriber has ended it too. */
  over(): Promise<void>
}

/** What a server does with a message for its second subscriber. */
type Fault = (peer: Peer, payload: string, number: number) => void | Promise<void>

/** How a server takes its subscribers in. */
type Carrier = (server: Server, join: (peer: Peer) => void) => void

/** Server-Sent Events, in chunks. */
const sse: Carrier = (server, join) => {
  let id = 0
  server.on('request', ({ method, socket }, response) => {
    if (method !== 'GET') return
    const write: Peer['write'] = (...parts) => {
      for (const part of parts) response.write(part)
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    join({
      send: payload => write(`id: ${id++}\ndata: ${payload}\n\n`),
      write,
      heard: () => Promise.reject(new Error('an event stream hears nothing')),
      over: () => ended(socket),
    })
  })
}

const websocket: Carrier = (server, join) => {
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    const accept = acceptOf(request.headers['sec-websocket-key'] ?? '')
    const head = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
    const write: Peer['write'] = (...parts) => {
      socket.write(Buffer.concat(parts.map(part => Buffer.from(part))))
    }
    write(head)
    join({
      send: payload => write(sent(opcodes.text, payload)),
      write,
      heard: () => new Promise(resolve => socket.once('data', resolve)),
      over: () => ended(socket),
    })
    // Read all along, so that its end is noticed. How it ends is looked for where it matters.
    socket.resume().on('error', () => {})
  })
}

const carriers = { sse, websocket }
type Protocol = keyof typeof carriers

/** A frame of a server. */
const sent = (opcode: number, payload: string | Uint8Array = '', options: FrameOptions = {}) =>
  frame(opcode, payload, { mask: false, ...options })

/** Says that nothing follows. It is closed when the other end has noticed. */
function ended(socket: Duplex): Promise<void> {
  return new Promise(resolve => socket.once('close', resolve).end())
}

/** Hands each POST to its subscribers, and does wrong by the second of them. It is answered when that is done. */
async function startServer(protocol: Protocol, fault: Fault): Promise<FanOut> {
  const peers: Peer[] = []
  let number = 0
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') return
    let payload = ''
    for await (const chunk of request) payload += chunk
    for (const [index, peer] of peers.entries())
      if (index === 1) await fault(peer, payload, number)
      else peer.send(payload)
    number++
    response.writeHead(201).end()
  })
  carriers[protocol](server, peer => peers.push(peer))
  return listen(server, protocol)
}

async function listen(server: Server, protocol: Protocol): Promise<FanOut> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return {
    name: 'faulty',
    address: `127.0.0.1:${address.port}`,
    publishPath: '/',
    subscribePath: '/',
    protocol,
    begin: 'head',
    pids: [],
    brokerPids: [],
  }
}

const built = new Stage()
const program = await (await Compiler.find(built)).build('load')
afterAll(() => built.close())

/** Both generators. */
function startLoads(): Promise<Load[]> {
  const stage = new Stage()
  onTestFinished(() => stage.close())
  const starters = [Load.starter(undefined), ...(program ? [Load.starter(program)] : [])]
  return Promise.all(starters.map(start => start(stage)))
}

const right: Fault = (peer, payload) => peer.send(payload)

/** What the generators say of ten messages to two subscribers. */
async function judge(
  protocol: Protocol,
  fault: Fault,
  plan: Partial<PublishPlan> = {},
): Promise<LoadResult[]> {
  const results: LoadResult[] = []
  for (const load of await startLoads()) {
    const server = await startServer(protocol, fault)
    await load.open(server, 2)
    results.push(await load.publish(server, { bytes: 100, count: 10, patience: 0.3, ...plan }))
  }
  return results
}

describe.each(['sse', 'websocket'] as const)(
  'the load of the benchmark, in C and in Node, by %s',
  protocol => {
    it('counts what arrives', async () => {
      for (const { messages, deliveries, wrong, wrongs } of await judge(protocol, right))
        expect({ messages, deliveries, wrong, wrongs }).toEqual({
          messages: 10,
          deliveries: 20,
          wrong: 0,
          wrongs: '',
        })
    })

    it('misses what is lost', async () => {
      const lose: Fault = (peer, payload, number) => {
        if (number !== 9) peer.send(payload)
      }
      for (const { deliveries, wrongs } of await judge(protocol, lose))
        expect({ deliveries, wrongs }).toEqual({ deliveries: 19, wrongs: '1 missing' })
    })

    it('tells what comes twice', async () => {
      const double: Fault = (peer, payload, number) => {
        peer.send(payload)
        if (number === 4) peer.send(payload)
      }
      for (const { deliveries, wrongs } of await judge(protocol, double))
        expect({ deliveries, wrongs }).toEqual({ deliveries: 20, wrongs: '1 repeated' })
    })

    it('tells what comes in another order than elsewhere', async () => {
      let held = ''
      const swap: Fault = (peer, payload, number) => {
        if (number === 5) held = payload
        else peer.send(payload)
        if (number === 6) peer.send(held)
      }
      for (const { wrongs } of await judge(protocol, swap)) expect(wrongs).toContain('disordered')
    })

    it('tells what is not whole', async () => {
      const cut: Fault = (peer, payload, number) => peer.send(number === 2 ? payload.slice(0, -2) : payload)
      for (const { wrongs } of await judge(protocol, cut)) expect(wrongs).toContain('1 strange')
    })

    it('tells whom the server has left', async () => {
      const leave: Fault = async (peer, payload, number) => {
        peer.send(payload)
        if (number === 9) await peer.over()
      }
      for (const { wrongs } of await judge(protocol, leave)) expect(wrongs).toBe('1 ended')
    })

    it('fails when a subscriber is refused', async () => {
      for (const load of await startLoads()) {
        const server = await listen(
          createServer((_, response) => response.writeHead(503).end()),
          protocol,
        )
        await expect(load.open(server, 1)).rejects.toThrow('503')
      }
    })
  },
)

describe('an event stream of the load', () => {
  it('tells of gaps', async () => {
    const gap: Fault = (peer, payload, number) => {
      if (number === 3) peer.write('event: gap\ndata: {}\n\n')
      peer.send(payload)
    }
    for (const { deliveries, wrongs } of await judge('sse', gap))
      expect({ deliveries, wrongs }).toEqual({ deliveries: 20, wrongs: '1 gaps' })
  })
})

describe('a WebSocket of the load', () => {
  // Lengths of 7, 16 and 64 bits, at either end of each.
  it.each([16, 125, 126, 65_535, 65_536])('takes frames of %i bytes', async bytes => {
    for (const { deliveries, wrongs } of await judge('websocket', right, { bytes }))
      expect({ deliveries, wrongs }).toEqual({ deliveries: 20, wrongs: '' })
  })

  it('takes several frames at once', async () => {
    let held: Buffer[] = []
    const gather: Fault = (peer, payload, number) => {
      held.push(sent(opcodes.text, payload))
      if (number !== 9) return
      peer.write(...held)
      held = []
    }
    for (const { deliveries, wrongs } of await judge('websocket', gather, { patience: 3 }))
      expect({ deliveries, wrongs }).toEqual({ deliveries: 20, wrongs: '' })
  })

  it.each([100, 1000, 70_000])('takes a frame of %i bytes that comes in two, cut anywhere', async bytes => {
    const cut: Fault = async (peer, payload, number) => {
      const whole = sent(opcodes.text, payload)
      // Whoever answers the ping has read what came with it, and no more was there.
      peer.write(sent(opcodes.ping), whole.subarray(0, 1 + number))
      await peer.heard()
      peer.write(whole.subarray(1 + number))
    }
    for (const { deliveries, wrongs } of await judge('websocket', cut, { bytes, count: 12 }))
      expect({ deliveries, wrongs }).toEqual({ deliveries: 24, wrongs: '' })
  })

  it('answers a ping with its payload, masked', async () => {
    const pongs: string[] = []
    const ping: Fault = async (peer, payload, number) => {
      peer.write(sent(opcodes.ping, `ping ${number}`))
      pongs.push(inWords(await peer.heard()))
      peer.send(payload)
    }
    for (const { wrongs } of await judge('websocket', ping)) expect(wrongs).toBe('')
    expect(new Set(pongs)).toEqual(new Set(Array.from({ length: 10 }, (_, i) => `8a masked ping ${i}`)))
  })

  it('answers a close with its code, masked', async () => {
    const answers: string[] = []
    const close: Fault = async (peer, payload, number) => {
      peer.send(payload)
      if (number < 9) return
      peer.write(sent(opcodes.close, closing(1001, 'bye')))
      answers.push(inWords(await peer.heard()))
      await peer.over()
    }
    for (const { wrongs } of await judge('websocket', close)) {
      expect(wrongs).toBe('1 ended')
      expect(answers).toContain(`88 masked ${closing(1001, 'bye')}`)
    }
  })

  it('tells what a server must not send, and what was not published so', async () => {
    const bad: readonly ((payload: string) => Buffer)[] = [
      payload => sent(opcodes.text, payload, { mask: Buffer.of(1, 2, 3, 4) }),
      payload => sent(opcodes.text, payload, { reserved: 4 }),
      payload => sent(opcodes.text, payload, { fin: false }),
      payload => sent(opcodes.continuation, payload),
      payload => sent(opcodes.text, payload, { lengthForm: 16 }),
      payload => sent(opcodes.text, payload, { lengthForm: 64 }),
      payload => sent(opcodes.binary, payload),
      payload => sent(3, payload),
      () => sent(opcodes.ping, 'x'.repeat(126)),
      () => sent(opcodes.pong, '', { fin: false }),
    ]
    const misbehave: Fault = (peer, payload, number) => {
      peer.write(bad[number]?.(payload) ?? '')
      peer.send(payload)
    }
    for (const { deliveries, wrongs } of await judge('websocket', misbehave))
      expect({ deliveries, wrongs }).toEqual({ deliveries: 20, wrongs: `${bad.length} strange` })
  })

  it('fails when its handshake is answered by a word of another', async () => {
    for (const load of await startLoads()) {
      const other = createServer().on('upgrade', (_, socket) =>
        socket.end(`HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${acceptOf('other')}\r\n\r\n`),
      )
      await expect(load.open(await listen(other, 'websocket'), 1)).rejects.toThrow('not accepted')
    }
  })
})

/** A short frame of a client: its first byte, whether it is masked, and its payload without the mask. */
function inWords(bytes: Buffer): string {
  const [first = 0, second = 0] = bytes
  const mask = bytes.subarray(2, 6)
  const payload = bytes.subarray(6).map((byte, i) => byte ^ (mask[i % 4] ?? 0))
  const isWhole = payload.length === (second & 0x7f)
  return `${first.toString(16)} ${second & 0x80 ? 'masked' : 'bare'} ${isWhole ? payload : 'cut'}`
}

import { createServer, type ServerResponse } from 'node:http'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Compiler } from '../bench/compiler.ts'
import { Load, type LoadResult } from '../bench/load.ts'
import { Stage } from '../bench/program.ts'
import type { FanOut } from '../bench/systems/fan-out.ts'

/** What a server does with the events of one POST for its second stream. */
type Fault = (events: readonly string[], number: number) => readonly string[]

/** Hands each POST to its streams, in chunks, and does wrong by the second of them. */
async function startServer(fault: Fault): Promise<FanOut> {
  const streams: ServerResponse[] = []
  let number = 0
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      streams.push(response)
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      return
    }
    let body = ''
    for await (const chunk of request) body += chunk
    const events = [`id: ${number}\ndata: ${body}\n\n`]
    for (const [index, stream] of streams.entries())
      for (const event of index === 1 ? fault(events, number) : events) stream.write(event)
    number++
    response.writeHead(201).end()
  })
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
    begin: 'head',
    pids: [],
    brokerPids: [],
  }
}

/** What the generators say of ten messages to two streams. */
async function judge(fault: Fault): Promise<LoadResult[]> {
  const stage = new Stage()
  onTestFinished(() => stage.close())
  const program = await (await Compiler.find(stage)).build('load')
  const results: LoadResult[] = []
  for (const start of [Load.starter(undefined), ...(program ? [Load.starter(program)] : [])]) {
    const server = await startServer(fault)
    const load = await start(stage)
    await load.open(server, 2)
    results.push(await load.publish(server, { bytes: 100, count: 10, patience: 0.3 }))
  }
  return results
}

describe('the load of the benchmark, in C and in Node', () => {
  it('counts what arrives', async () => {
    for (const { messages, deliveries, wrong, wrongs } of await judge(events => events))
      expect({ messages, deliveries, wrong, wrongs }).toEqual({
        messages: 10,
        deliveries: 20,
        wrong: 0,
        wrongs: '',
      })
  })

  it('misses what is lost', async () => {
    for (const { deliveries, wrongs } of await judge((events, number) => (number === 9 ? [] : events)))
      expect({ deliveries, wrongs }).toEqual({ deliveries: 19, wrongs: '1 missing' })
  })

  it('tells what comes twice', async () => {
    const twice: Fault = (events, number) => (number === 4 ? [...events, ...events] : events)
    for (const { deliveries, wrongs } of await judge(twice))
      expect({ deliveries, wrongs }).toEqual({ deliveries: 20, wrongs: '1 repeated' })
  })

  it('tells what comes in another order than elsewhere', async () => {
    let held: readonly string[] = []
    const swap: Fault = (events, number) => {
      if (number === 5) held = events
      return number === 5 ? [] : number === 6 ? [...events, ...held] : events
    }
    for (const { wrongs } of await judge(swap)) expect(wrongs).toContain('disordered')
  })

  it('tells what is not whole', async () => {
    const cut: Fault = (events, number) =>
      number === 2 ? events.map(event => event.replace('..\n', '\n')) : events
    for (const { wrongs } of await judge(cut)) expect(wrongs).toContain('1 strange')
  })

  it('tells of gaps', async () => {
    const gap: Fault = (events, number) => (number === 3 ? ['event: gap\ndata: {}\n\n', ...events] : events)
    for (const { deliveries, wrongs } of await judge(gap))
      expect({ deliveries, wrongs }).toEqual({ deliveries: 20, wrongs: '1 gaps' })
  })
})

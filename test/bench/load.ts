import { Agent, get, request } from 'node:http'
import { Push, Subscriber } from 'zeromq'
import { type Run, Stopwatch } from './measure.ts'

/** Payloads are numbered and filled to one size, so that every way carries the same bytes. */
const payloadBytes = 100

export interface HttpTarget {
  /** Where messages are posted. */
  readonly publish: string
  /** Where they come out as Server-Sent Events. */
  readonly subscribe: string
}

export interface ZeromqTarget {
  readonly push: string
  readonly subscribe: string
}

/** Posts messages, so many under way at once, and reads them from one event stream. Only one at a time has an order. */
export async function httpLoad(target: HttpTarget, count: number, underWay: number): Promise<Run> {
  const stopwatch = new Stopwatch(count, underWay === 1)
  const agent = new Agent({ keepAlive: true, maxSockets: underWay })
  const stream = await openEvents(target.subscribe, index => stopwatch.received(index))
  let next = 0
  const publisher = async () => {
    while (next < count) {
      const index = next++
      stopwatch.sent(index)
      await post(target.publish, payload(index), agent)
    }
  }
  await Promise.all(Array.from({ length: underWay }, publisher))
  const run = await stopwatch.result()
  stream.destroy()
  agent.destroy()
  return run
}

/** Pushes frames as fast as they are taken, and reads them from a SUB socket. */
export async function zeromqLoad(target: ZeromqTarget, count: number): Promise<Run> {
  const stopwatch = new Stopwatch(count, true)
  const push = new Push({ linger: 0 })
  const subscriber = new Subscriber({ linger: 0, receiveHighWaterMark: 0 })
  push.connect(target.push)
  subscriber.connect(target.subscribe)
  subscriber.subscribe()
  await join(push, subscriber)
  const reading = (async () => {
    for (let read = 0; read < count; read++) {
      const [frame] = await subscriber.receive()
      stopwatch.received(Number.parseInt(String(frame), 10))
    }
  })()
  for (let index = 0; index < count; index++) {
    stopwatch.sent(index)
    await push.send(payload(index))
  }
  await reading
  const run = await stopwatch.result()
  push.close()
  subscriber.close()
  return run
}

function payload(index: number): string {
  return `${index} `.padEnd(payloadBytes, '.')
}

function post(url: string, body: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const sending = request(url, { method: 'POST', agent }, response => {
      response.resume()
      response.on('end', () => {
        if (response.statusCode === 201) resolve()
        else reject(new Error(`${url} answered ${response.statusCode}`))
      })
    })
    sending.on('error', reject)
    sending.end(body)
  })
}

/** Resolves when the stream has begun: its first bytes are there. */
function openEvents(url: string, onMessage: (index: number) => void): Promise<{ destroy(): void }> {
  return new Promise((resolve, reject) => {
    const asking = get(url, { agent: false }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        resolve(asking)
        text += chunk
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const data = /^data: (\d+) /m.exec(text.slice(0, end))
          text = text.slice(end + 2)
          if (data) onMessage(Number(data[1]))
        }
      })
    })
    asking.on('error', reject)
  })
}

/** Sends markers until one has come through: a subscription takes a moment to reach the publisher. */
async function join(push: Push, subscriber: Subscriber): Promise<void> {
  let isJoined = false
  const first = subscriber.receive().then(() => {
    isJoined = true
  })
  while (!isJoined) {
    await push.send('marker')
    await Promise.race([first, new Promise(resolve => setImmediate(resolve))])
  }
  await push.send('last')
  for (;;) if (String((await subscriber.receive())[0]) === 'last') return
}

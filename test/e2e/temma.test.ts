import { expect, it, onTestFinished } from 'vitest'
import { Publisher, Push, Subscriber } from 'zeromq'
import { startBrokerProcess } from '../support/processes.ts'

/** A subscriber as Temma's clients are: SUB, empty prefix, one frame a message. */
async function plainSubscriber(address: string): Promise<Subscriber> {
  const subscriber = new Subscriber({ linger: 0, receiveHighWaterMark: 10_000 })
  subscriber.connect(address)
  subscriber.subscribe()
  onTestFinished(() => subscriber.close())
  return subscriber
}

function pusher(address: string): Push {
  const push = new Push({ linger: 0 })
  push.connect(address)
  onTestFinished(() => push.close())
  return push
}

/** Sends markers until one has come through: from then on nothing is missed. */
async function joined(push: Push, subscriber: Subscriber): Promise<void> {
  let isThere = false
  const received = subscriber.receive().then(() => {
    isThere = true
  })
  while (!isThere) {
    await push.send('marker')
    await Promise.race([received, new Promise(resolve => setImmediate(resolve))])
  }
  await push.send('last marker')
  for (;;) if (String((await subscriber.receive())[0]) === 'last marker') return
}

it('passes a frame on byte for byte, whatever it holds', async () => {
  const broker = await startBrokerProcess()
  const push = pusher(broker.ingest)
  const subscriber = await plainSubscriber(broker.plain)
  await joined(push, subscriber)
  const frames = [
    Buffer.from('{"from":"amy","text":"h\\u00e9 \\/ {}","n":12345678901234567890,"f":2.0,"o":{}}'),
    Buffer.from([0xff, 0x00, 0x0d, 0x0a, 0x80]),
    Buffer.alloc(0),
    Buffer.from('not json'),
  ]
  for (const frame of frames) await push.send(frame)
  for (const frame of frames) {
    const received = await subscriber.receive()
    expect(received).toHaveLength(1)
    expect(received[0]?.equals(frame)).toBe(true)
  }
})

it('takes each frame of a multipart message as a message', async () => {
  const broker = await startBrokerProcess()
  const push = pusher(broker.ingest)
  const subscriber = await plainSubscriber(broker.plain)
  await joined(push, subscriber)
  await push.send(['one', 'two', 'three'])
  for (const text of ['one', 'two', 'three']) expect(String((await subscriber.receive())[0])).toBe(text)
})

it('brings a burst of 5,000 frames complete and in order to a subscriber that keeps up', async () => {
  const broker = await startBrokerProcess()
  const push = pusher(broker.ingest)
  const subscriber = await plainSubscriber(broker.plain)
  await joined(push, subscriber)
  const sending = (async () => {
    for (let i = 0; i < 5000; i++) await push.send(`{"n":${i}}`)
  })()
  for (let i = 0; i < 5000; i++) expect(String((await subscriber.receive())[0])).toBe(`{"n":${i}}`)
  await sending
})

it('refuses a payload that is too large, tells the limit and its setting, and goes on', async () => {
  const broker = await startBrokerProcess()
  const push = pusher(broker.ingest)
  const subscriber = await plainSubscriber(broker.plain)
  await joined(push, subscriber)
  await push.send(Buffer.alloc(256 * 1024 + 1))
  await push.send(Buffer.alloc(256 * 1024, 'x'))
  const [received] = await subscriber.receive()
  expect(received?.length).toBe(256 * 1024)
  expect(broker.program.output()).toMatch(/PAYLOAD_TOO_LARGE.*262144.*maxPayloadBytes/)
})

it('does not stop at what is no ZeroMQ client, or speaks the wrong way', async () => {
  const broker = await startBrokerProcess()
  const push = pusher(broker.ingest)
  const subscriber = await plainSubscriber(broker.plain)
  const wrong = new Publisher({ linger: 0 })
  for (const address of [broker.ingest, broker.requests, broker.stream, broker.plain]) wrong.connect(address)
  onTestFinished(() => wrong.close())
  for (const address of [broker.ingest, broker.requests, broker.stream, broker.plain]) {
    await fetch(address.replace('tcp:', 'http:')).catch(() => {})
  }
  await joined(push, subscriber)
})

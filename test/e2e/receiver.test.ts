import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  type Backbone,
  ReceivedMessage,
  Receiver,
  type ReceiverOptions,
  Relay,
  Sender,
} from '../../broker/client/index.ts'
import { durableRule } from '../support/durable-rule.ts'
import { MemoryBackbone } from '../support/memory-backbone.ts'
import { type BrokerProcess, startBrokerProcess, temporaryFolder } from '../support/processes.ts'

const topics = { sms: durableRule, dying: { ...durableRule, maxDeliveries: 1 } }

async function startBroker(): Promise<BrokerProcess & { readonly relay: Relay }> {
  const config = join(await temporaryFolder(), 'broker.config.json')
  await writeFile(config, JSON.stringify({ topics }))
  const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  return Object.assign(Object.create(broker), { relay })
}

const publish = (backbone: Pick<Backbone, 'publish'>, payload: string, topic = 'sms') =>
  backbone.publish({ topic, type: '', binary: false, payload: Buffer.from(payload) })

/** Publishes on a connection that may be lost. */
async function publishAtLast(backbone: Backbone, payload: string): Promise<void> {
  const publication = { topic: 'sms', type: '', binary: false, payload: Buffer.from(payload) }
  const publishOnce = () =>
    backbone.publish(publication, { idempotencyKey: payload }).then(
      () => true,
      () => nextTurn(false),
    )
  while (!(await publishOnce()));
}

function receiverOf(options: Omit<ReceiverOptions, 'topic'> & { readonly topic?: string }): Receiver {
  const receiver = new Receiver({ topic: 'sms', ...options })
  onTestFinished(() => receiver.close())
  return receiver
}

/** Takes and acknowledges so many. */
async function take(receiver: Receiver, count: number): Promise<string[]> {
  const got: string[] = []
  for await (const message of receiver) {
    got.push(`${message.text}${message.redelivered ? ' again' : ''}`)
    expect(await message.ack()).toBe(true)
    if (got.length === count) break
  }
  return got
}

describe('a receiver', () => {
  it('gets what was kept, oldest first, then what follows, whoever has sent it', async () => {
    const { requests, ingest, relay } = await startBroker()
    await publish(relay, '1')
    await publish(relay, '2')
    const taken = take(receiverOf({ broker: requests }), 3)
    const sender = new Sender({ ingest })
    await sender.send('sms', '3')
    await sender.close()
    expect(await taken).toEqual(['1', '2', '3'])
  })

  it('knows everything of a message', async () => {
    const backbone = new MemoryBackbone({ topics })
    await backbone.publish({ topic: 'sms', type: 'otp', binary: true, payload: Uint8Array.of(0xff) })
    for await (const message of receiverOf({ backbone })) {
      expect(message).toBeInstanceOf(ReceivedMessage)
      const { id, topic, type, binary, payload, time, deliveries, redelivered } = message
      expect({ topic, type, binary, deliveries, redelivered }).toEqual({
        topic: 'sms',
        type: 'otp',
        binary: true,
        deliveries: 1,
        redelivered: false,
      })
      expect([id, [...payload], time.getTime(), message.text]).toEqual([
        expect.stringMatching(/-1$/),
        [0xff],
        0,
        '\ufffd',
      ])
      break
    }
  })

  it('that leaves the loop gives back what it has not acknowledged', async () => {
    const { requests, relay } = await startBroker()
    for (const payload of ['1', '2']) await publish(relay, payload)
    for await (const message of receiverOf({ broker: requests })) {
      expect(message.text).toBe('1')
      break
    }
    expect(await take(receiverOf({ broker: requests }), 2)).toEqual(['1 again', '2 again'])
  })

  it('that throws in the loop has not acknowledged', async () => {
    const backbone = new MemoryBackbone({ topics })
    await publish(backbone, '1')
    const crash = async () => {
      for await (const message of receiverOf({ backbone })) throw new Error(`cannot send ${message.text}`)
    }
    await expect(crash()).rejects.toThrow('cannot send 1')
    expect(await take(receiverOf({ backbone }), 1)).toEqual(['1 again'])
  })

  it('hands an acknowledgement over before it closes, also one that nobody has waited for', async () => {
    const { requests, relay } = await startBroker()
    for (const payload of ['1', '2']) await publish(relay, payload)
    for await (const message of receiverOf({ broker: requests, window: { messages: 1, bytes: 1000 } })) {
      void message.ack()
      break
    }
    // The second one may have been on its way to the first receiver.
    expect(await take(receiverOf({ broker: requests }), 1)).toEqual([expect.stringMatching(/^2/)])
  })

  it('gets a message again that it gives back', async () => {
    const backbone = new MemoryBackbone({ topics })
    await publish(backbone, '1')
    const got: number[] = []
    for await (const message of receiverOf({ backbone })) {
      got.push(message.deliveries)
      if (message.deliveries === 3) break
      message.giveBack()
    }
    expect(got).toEqual([1, 2, 3])
  })

  it('gets from its grave what could not be received', async () => {
    const { requests, relay } = await startBroker()
    await publish(relay, '1', 'dying')
    for await (const message of receiverOf({ broker: requests, topic: 'dying' })) {
      message.giveBack()
      break
    }
    const [text] = await take(receiverOf({ broker: requests, topic: '$dead/dying' }), 1)
    expect(text).toContain('1')
  })

  it.each(['SIGTERM', 'SIGKILL'] as const)('goes on when the broker is back after %s', async signal => {
    const broker = await startBroker()
    await publish(broker.relay, '1')
    const got: string[] = []
    let heard = () => {}
    const receiver = receiverOf({
      broker: broker.requests,
      async processMessage(message) {
        got.push(message.text)
        heard()
      },
    })
    const has = (count: number) =>
      new Promise<void>(resolve => {
        heard = () => got.length >= count && resolve()
        heard()
      })
    const running = receiver.run()
    await has(1)
    await broker.stop(signal)
    await broker.restart()
    await publishAtLast(broker.relay, '2')
    // The first one may come twice: the broker was lost before it could confirm.
    await has(2)
    while (!got.includes('2')) await has(got.length + 1)
    await receiver.close()
    await running
    expect(got.filter(text => text === '2')).toEqual(['2'])
  })

  it('says where there is nothing to receive', async () => {
    const backbone = new MemoryBackbone({ topics })
    await expect(take(receiverOf({ backbone, topic: 'news' }), 1)).rejects.toMatchObject({
      code: 'NOT_DURABLE',
    })
    for (const [topic, code] of [
      ['$push/sms', 'RESERVED_TOPIC'],
      ['a//b', 'INVALID_TOPIC'],
    ])
      expect(() => new Receiver({ topic: topic ?? '', backbone })).toThrow(expect.objectContaining({ code }))
  })

  it('ends its loop when it is closed', async () => {
    const backbone = new MemoryBackbone({ topics })
    const receiver = receiverOf({ backbone })
    const taken = take(receiver, 1)
    await receiver.close()
    await receiver.close()
    expect(await taken).toEqual([])
    expect(await take(receiver, 1)).toEqual([])
  })

  it('ends its loop when the backbone that it shares is closed', async () => {
    const backbone = new MemoryBackbone({ topics })
    const taken = take(receiverOf({ backbone }), 1)
    await backbone.close()
    expect(await taken).toEqual([])
  })
})

describe('processMessage', () => {
  it('gets one message after the other, each acknowledged when it has returned', async () => {
    const backbone = new MemoryBackbone({ topics })
    for (const payload of ['1', '2', '3']) await publish(backbone, payload)
    const kept: [string, number][] = []
    const receiver = receiverOf({
      backbone,
      async processMessage({ text }) {
        const { keptMessages } = await backbone.status()
        kept.push([text, keptMessages])
        if (text === '3') void receiver.close()
      },
    })
    await receiver.run()
    expect(kept).toEqual([
      ['1', 3],
      ['2', 2],
      ['3', 1],
    ])
  })

  it('that throws ends the receiver with its error, and the message goes to the next', async () => {
    const backbone = new MemoryBackbone({ topics })
    await publish(backbone, '1')
    const receiver = receiverOf({
      backbone,
      processMessage({ text }) {
        throw new Error(`cannot send ${text}`)
      },
    })
    await expect(receiver.run()).rejects.toThrow('cannot send 1')
    expect(await take(receiverOf({ backbone }), 1)).toEqual(['1 again'])
  })

  it('may close the receiver: its message is acknowledged all the same', async () => {
    const { requests, relay } = await startBroker()
    await publish(relay, '1')
    const receiver = receiverOf({ broker: requests, processMessage: () => void receiver.close() })
    await receiver.run()
    expect((await relay.status()).keptMessages).toBe(0)
  })

  it('is needed for a receiver to run', async () => {
    const receiver = receiverOf({ backbone: new MemoryBackbone({ topics }) })
    await expect(receiver.run()).rejects.toThrow(TypeError)
  })
})

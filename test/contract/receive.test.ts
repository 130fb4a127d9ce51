import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Backbone, ReceiveOptions } from '../../broker/client/index.ts'
import type { TopicRule } from '../../broker/topic-rules.ts'
import { backbonePairs } from '../support/backbone-pairs.ts'
import { BackboneReceiver } from '../support/backbone-receiver.ts'
import { textOf } from '../support/publications.ts'

const rule: TopicRule = {
  durable: true,
  receivers: 0,
  delivery: 'one',
  maxKept: 1000,
  maxKeptBytes: 2 ** 30,
  keptAgeS: 0,
  maxDeliveries: 0,
  legacy: false,
}
const topics = {
  jobs: rule,
  small: { ...rule, maxKept: 2 },
  alone: { ...rule, receivers: 1 },
  all: { ...rule, delivery: 'all' },
} satisfies Record<string, TopicRule>

describe.each(backbonePairs({ topics }))('the receivers of a backbone over $name', ({ open }) => {
  async function opened() {
    const [here, there] = await open()
    onTestFinished(async () => {
      await here.close()
      await there.close()
    })
    await Promise.all([here.ready(), there.ready()])
    const publish = (payload: string, topic = 'jobs') =>
      here.publish({ topic, type: '', binary: false, payload: Buffer.from(payload) })
    let receivers = 0
    const until = async (known: number) => {
      while ((await here.status()).receivers !== known) await nextTurn()
    }
    /** Resolves when the receiver takes part. */
    const receive = async (
      backbone: Backbone,
      topic = 'jobs',
      isHolding = true,
      options: ReceiveOptions = {},
    ) => {
      const receiver = new BackboneReceiver()
      receiver.isHolding = isHolding
      const handle = backbone.receive(topic, receiver, options)
      await until(++receivers)
      const close = async () => {
        handle.close()
        handle.close()
        await until(--receivers)
      }
      return { receiver, close }
    }
    const untilKept = async (messages: number) => {
      while ((await here.status()).keptMessages !== messages) await nextTurn()
    }
    return { here, there, publish, receive, untilKept }
  }

  it('get what was kept, oldest first, then what follows, each message once', async () => {
    const { there, publish, receive, untilKept } = await opened()
    for (const payload of ['1', '2']) await publish(payload)
    const { receiver } = await receive(there, 'jobs', false)
    for (const payload of ['3', '4']) await publish(payload)
    await receiver.until(() => receiver.confirmed.length === 4)
    expect(receiver.texts).toEqual(['1', '2', '3', '4'])
    await untilKept(0)
  })

  it('get the bytes, the type and the kind as they were published', async () => {
    const { here, receive } = await opened()
    const { receiver } = await receive(here, 'jobs', false)
    const payloads = [Buffer.from([0xff, 0, 10]), Buffer.alloc(0), Buffer.alloc(256 * 1024, 7)]
    for (const payload of payloads) await here.publish({ topic: 'jobs', type: 't', binary: true, payload })
    await receiver.has(3)
    const messages = receiver.delivered.map(({ message }) => message)
    expect(messages.map(({ payload }) => Buffer.from(payload))).toEqual(payloads)
    expect(messages.every(({ binary, type, topic }) => binary && type === 't' && topic === 'jobs')).toBe(true)
  })

  it('hand on what they have not acknowledged when they leave, marked, before everything newer', async () => {
    const { here, there, publish, receive } = await opened()
    const { receiver, close } = await receive(here)
    for (const payload of ['1', '2', '3']) await publish(payload)
    await receiver.has(3)
    await receiver.delivered[1]?.acknowledge()
    await close()
    await publish('4')
    const { receiver: next } = await receive(there)
    await next.has(3)
    expect(next.texts).toEqual(['1 #2', '3 #2', '4'])
  })

  it('give back what they cannot take, for another try', async () => {
    const { here, publish, receive } = await opened()
    const { receiver } = await receive(here)
    await publish('1')
    await receiver.has(1)
    receiver.delivered[0]?.giveBack()
    receiver.delivered[0]?.giveBack()
    await receiver.has(2)
    expect(receiver.texts).toEqual(['1', '1 #2'])
  })

  it('are limited to the first so many, and the next in line moves up', async () => {
    const { here, there, publish, receive } = await opened()
    const { receiver: first, close } = await receive(here, 'alone')
    const { receiver: second } = await receive(there, 'alone')
    await publish('1', 'alone')
    await first.has(1)
    await close()
    await second.has(1)
    expect([first.texts, second.texts]).toEqual([['1'], ['1 #2']])
  })

  it('all get each message where the topic says so, and the first acknowledgement releases it', async () => {
    const { here, there, publish, receive, untilKept } = await opened()
    const { receiver: first } = await receive(here, 'all')
    const { receiver: second } = await receive(there, 'all')
    await publish('1', 'all')
    await Promise.all([first.has(1), second.has(1)])
    expect([first.texts, second.texts]).toEqual([['1'], ['1']])
    await second.delivered[0]?.acknowledge()
    await untilKept(0)
  })

  it('get no more than their window', async () => {
    const { here, there, publish, receive } = await opened()
    const { receiver: stuck } = await receive(here, 'jobs', true, { window: { messages: 2, bytes: 1000 } })
    const { receiver } = await receive(there, 'jobs', false)
    for (let i = 0; i < 10; i++) await publish(String(i))
    await receiver.has(8)
    expect(stuck.delivered).toHaveLength(2)
  })

  it('are refused on a topic that is not durable', async () => {
    const { here } = await opened()
    const receiver = new BackboneReceiver()
    here.receive('news', receiver)
    await receiver.until(() => receiver.ends.length > 0)
    expect([receiver.ends, receiver.error?.code]).toEqual([['refused'], 'NOT_DURABLE'])
  })

  it('are ended when they throw, and their message goes to the next', async () => {
    const { here, there, publish } = await opened()
    const broken = new BackboneReceiver()
    broken.deliver = () => {
      throw new Error('broken')
    }
    here.receive('jobs', broken)
    await publish('1')
    await broken.until(() => broken.ends.length > 0)
    const receiver = new BackboneReceiver()
    there.receive('jobs', receiver)
    await receiver.has(1)
    expect([broken.ends, receiver.texts]).toEqual([['failed'], ['1 #2']])
  })

  it('leave it to any process to acknowledge by the ids of the messages', async () => {
    const { here, there, publish, receive, untilKept } = await opened()
    const { receiver } = await receive(here)
    await publish('1')
    await receiver.has(1)
    const id = receiver.delivered[0]?.message.id ?? ''
    expect(await there.acknowledge('jobs', [id, '0123456789ab-1'])).toEqual(['0123456789ab-1'])
    await untilKept(0)
    expect(await there.acknowledge('jobs', [id])).toEqual([])
    for (const topic of ['jobs', 'all', 'news'])
      expect(await there.acknowledge(topic, ['0123456789ab-1'])).toEqual(['0123456789ab-1'])
  })

  it('get nothing more when they are stopped, keep what they have, and make room when they have acknowledged it', async () => {
    const { there, publish } = await opened()
    const receiver = new BackboneReceiver()
    receiver.isHolding = true
    const handle = there.receive('alone', receiver)
    for (const payload of ['1', '2']) await publish(payload, 'alone')
    await receiver.has(2)
    await handle.stop()
    await publish('3', 'alone')
    const next = new BackboneReceiver()
    there.receive('alone', next)
    await receiver.delivered[0]?.acknowledge()
    expect([receiver.texts, next.texts]).toEqual([['1', '2'], []])
    await receiver.delivered[1]?.acknowledge()
    await Promise.all([next.has(1), receiver.until(() => receiver.ends.length > 0)])
    expect([receiver.ends, next.texts]).toEqual([['done'], ['3']])
  })

  it('that are stopped make room as well when another process acknowledges what they have', async () => {
    const { here, there, publish } = await opened()
    const receiver = new BackboneReceiver()
    receiver.isHolding = true
    const handle = there.receive('alone', receiver)
    await publish('1', 'alone')
    await receiver.has(1)
    await handle.stop()
    const ids = receiver.delivered.map(({ message }) => message.id)
    expect(await here.acknowledge('alone', ids)).toEqual([])
    await receiver.until(() => receiver.ends.length > 0)
    expect(receiver.ends).toEqual(['done'])
  })

  it('that are stopped and leave hand on what they have', async () => {
    const { here, there, publish, receive } = await opened()
    const { receiver, close } = await receive(here)
    await publish('1')
    await receiver.has(1)
    receiver.delivered[0]?.giveBack()
    await receiver.has(2)
    await close()
    const stopped = new BackboneReceiver()
    stopped.isHolding = true
    const handle = there.receive('jobs', stopped)
    await stopped.has(1)
    void handle.stop()
    handle.close()
    const { receiver: next } = await receive(here, 'jobs', false)
    await next.has(1)
    expect(next.texts).toEqual(['1 #4'])
  })

  it('that are stopped with nothing are over', async () => {
    const { there } = await opened()
    const receiver = new BackboneReceiver()
    await there.receive('jobs', receiver).stop()
    await receiver.until(() => receiver.ends.length > 0)
    expect(receiver.ends).toEqual(['done'])
  })

  it('leave publishers with a bound for what is kept', async () => {
    const { publish } = await opened()
    await publish('1', 'small')
    await publish('2', 'small')
    await expect(publish('3', 'small')).rejects.toMatchObject({
      code: 'TOPIC_FULL',
      bound: { limit: 2, setting: 'topics.small.maxKept' },
    })
  })

  it('see messages that subscribers see too', async () => {
    const { here, publish } = await opened()
    const { id } = await publish('1')
    const { messages } = await here.history({ topics: ['jobs'], exact: true }, 10)
    expect(messages.map(message => [message.id, textOf(message)])).toEqual([[id, '1']])
  })

  it('are ended when it is closed, and so is whoever comes later', async () => {
    const { here, receive } = await opened()
    const { receiver } = await receive(here)
    await here.close()
    const late = new BackboneReceiver()
    here.receive('jobs', late)
    expect([receiver.ends, late.ends]).toEqual([['shutdown'], ['shutdown']])
  })
})

import { describe, expect, it, onTestFinished } from 'vitest'
import type { PublishOptions } from '../../broker/client/backbone.ts'
import type { Backbone } from '../../broker/client/index.ts'
import { spaceTopic } from '../../broker/protocol/index.ts'
import { backbonePairs } from '../support/backbone-pairs.ts'
import { TestPuller, untilPullers } from '../support/test-puller.ts'

const maxUnpulledBytes = 128 * 1024
const jobs = spaceTopic('push', 'jobs')

describe.each(backbonePairs({ maxUnpulledBytes }))('the pullers of a backbone over $name', ({ open }) => {
  async function opened() {
    const [here, there] = await open()
    onTestFinished(async () => {
      await here.close()
      await there.close()
    })
    await Promise.all([here.ready(), there.ready()])
    const publish = (payload: string, topic = jobs, options: PublishOptions = {}) =>
      here.publish({ topic, type: '', binary: false, payload: Buffer.from(payload) }, options)
    const publishAll = (payloads: readonly string[]) => Promise.all(payloads.map(one => publish(one)))
    let pullers = 0
    /** Resolves when the puller takes part. */
    const pull = async (backbone: Backbone, { topic = jobs, holding = false } = {}) => {
      const puller = new TestPuller()
      puller.isHolding = holding
      const handle = backbone.pull(topic, puller)
      await untilPullers(here, ++pullers)
      const close = async () => {
        handle.close()
        handle.close()
        await untilPullers(here, --pullers)
      }
      return { puller, close }
    }
    return { here, there, publish, publishAll, pull }
  }

  it('get each message once, in turns, in the order of the log', async () => {
    const { here, there, publishAll, pull } = await opened()
    const { puller: first } = await pull(here)
    const { puller: second } = await pull(there)
    await publishAll(['1', '2', '3', '4', '5', '6'])
    await Promise.all([first.has(3), second.has(3)])
    expect([first.told, second.told]).toEqual([
      ['1', '3', '5'],
      ['2', '4', '6'],
    ])
  })

  it('get what was published before any of them came, in order', async () => {
    const { there, publish, pull } = await opened()
    for (const payload of ['one', 'two', 'three']) await publish(payload)
    const { puller } = await pull(there)
    await puller.has(3)
    expect(puller.told).toEqual(['one', 'two', 'three'])
  })

  it('get the bytes, the type and the kind as they were published', async () => {
    const { here, pull } = await opened()
    const { puller } = await pull(here)
    const payloads = [Buffer.from([0xff, 0, 10]), Buffer.alloc(0), Buffer.alloc(256 * 1024, 7)]
    const receipts = await Promise.all(
      payloads.map(payload => here.publish({ topic: jobs, type: 't', binary: true, payload })),
    )
    await puller.has(3)
    expect(puller.messages.map(({ payload }) => Buffer.from(payload))).toEqual(payloads)
    expect(puller.messages.map(({ id }) => id)).toEqual(receipts.map(({ id }) => id))
    expect(puller.messages.every(({ binary, type, topic }) => binary && type === 't' && topic === jobs)).toBe(
      true,
    )
  })

  it('get their own topic alone, and nobody else gets any of it', async () => {
    const { here, publish, pull } = await opened()
    const { puller: below } = await pull(here, { topic: spaceTopic('push', 'jobs/below') })
    const { puller } = await pull(here)
    for (const topic of ['jobs', '$bus/jobs', '$push/jobs/below', '$push/Jobs', jobs])
      await publish(topic, topic)
    await Promise.all([puller.has(1), below.has(1)])
    expect([puller.told, below.told]).toEqual([['$push/jobs'], ['$push/jobs/below']])
    const { messages } = await here.history({ topics: ['jobs', '$push'], exact: false }, 10)
    expect(messages.map(({ topic }) => topic)).toEqual(['jobs'])
  })

  it('get no more than their window when they do not flush, and the others get the rest', async () => {
    const { here, there, publishAll, pull } = await opened()
    const { puller: stuck } = await pull(here, { holding: true })
    const { puller } = await pull(there)
    await publishAll(Array.from({ length: 200 }, (_, i) => String(i)))
    await puller.has(200 - 64)
    expect(stuck.told).toHaveLength(64)
    stuck.flush()
    await publishAll(['a', 'b'])
    await Promise.all([puller.has(200 - 64 + 1), stuck.has(65)])
  })

  it('hand on what they have not flushed when they leave: to the next, before everything newer', async () => {
    const { here, there, publishAll, pull } = await opened()
    const { puller: leaving, close } = await pull(here, { holding: true })
    await publishAll(Array.from({ length: 70 }, (_, i) => String(i)))
    await leaving.has(64)
    await close()
    const { puller } = await pull(there)
    await puller.has(70)
    expect(puller.told).toEqual(Array.from({ length: 70 }, (_, i) => String(i)))
  })

  it('go on when one of them has left', async () => {
    const { here, there, publish, pull } = await opened()
    const { puller: first } = await pull(here)
    const { close, puller: leaving } = await pull(there)
    const { puller: last } = await pull(there)
    await close()
    for (const payload of ['1', '2', '3', '4']) await publish(payload)
    await Promise.all([first.has(2), last.has(2)])
    expect([...first.told, ...last.told].toSorted()).toEqual(['1', '2', '3', '4'])
    expect(leaving.told).toEqual([])
  })

  it('are ended when they throw, and their message goes to the next', async () => {
    const { here, there, publish, pull } = await opened()
    const { puller: broken } = await pull(here)
    broken.deliver = () => {
      throw new Error('broken')
    }
    await publish('one')
    await broken.has(1)
    const puller = new TestPuller()
    there.pull(jobs, puller)
    await puller.has(1)
    expect([broken.told, puller.told]).toEqual([['end failed'], ['one']])
  })

  it('leave publishers with a bound for what waits, which stops no topic that is pulled from', async () => {
    const { here, publish, pull } = await opened()
    const { puller } = await pull(here, { topic: spaceTopic('push', 'pulled') })
    const payload = 'x'.repeat(32 * 1024)
    const first = await publish(payload, jobs, { idempotencyKey: 'first' })
    await publish(payload)
    await expect(publish('more')).rejects.toMatchObject({
      code: 'BACKLOG_FULL',
      bound: { limit: maxUnpulledBytes, setting: 'maxUnpulledBytes' },
    })
    expect(await publish(payload, jobs, { idempotencyKey: 'first' })).toEqual(first)
    await publish('one', spaceTopic('push', 'pulled'))
    await puller.has(1)
    const { puller: late } = await pull(here)
    await late.has(2)
    await publish('more')
    await late.has(3)
    expect(late.told).toEqual([payload, payload, 'more'])
  })

  it('are ended when it is closed, and so is whoever comes later', async () => {
    const { here, pull } = await opened()
    const { puller } = await pull(here)
    await here.close()
    const late = new TestPuller()
    here.pull(jobs, late)
    expect([puller.told, late.told]).toEqual([['end shutdown'], ['end shutdown']])
  })
})

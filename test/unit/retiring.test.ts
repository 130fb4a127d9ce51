import { describe, expect, it } from 'vitest'
import { KeptBroker, TestReceiver } from '../support/kept-broker.ts'

/** A receiver that can be told to take nothing more. */
function receive(broker: KeptBroker) {
  const receiver = new TestReceiver()
  const registration = broker.receivers.register('sms', receiver)
  receiver.registration = registration
  return { receiver, retire: () => registration.retire() }
}

describe.each(['one', 'all'] as const)('a receiver that retires, where each message goes to %s', delivery => {
  async function begun() {
    const broker = await new KeptBroker({ sms: { receivers: 1, delivery } }).open()
    const { receiver, retire } = receive(broker)
    await broker.publishAll('1', '2')
    retire()
    const next = broker.receive()
    await broker.publishAll('3')
    return { broker, receiver, next }
  }

  it('gets nothing more, and stays in its place while it has something', async () => {
    const { broker, receiver, next } = await begun()
    receiver.acknowledge('1')
    await broker.settle()
    expect([receiver.texts, next.texts, receiver.ends]).toEqual([['1', '2'], [], []])
  })

  it('is done with the last of what it had, and the next in line moves up', async () => {
    const { broker, receiver, next } = await begun()
    receiver.acknowledge('1')
    receiver.acknowledge('2')
    await broker.settle()
    expect([receiver.ends, next.texts]).toEqual([['done'], ['3']])
  })

  it('is done as well when somebody else acknowledges for it', async () => {
    const { broker, receiver, next } = await begun()
    const ids = receiver.handouts.map(({ message }) => message.id)
    expect(broker.receivers.acknowledge('sms', ids, () => {})).toEqual([])
    await broker.settle()
    expect([receiver.ends, next.texts, broker.receivers.count]).toEqual([['done'], ['3'], 1])
  })

  it('gives back what it has when it leaves', async () => {
    const { broker, receiver, next } = await begun()
    receiver.leave()
    await broker.settle()
    expect(next.texts).toEqual(['1 #2', '2 #2', '3'])
  })
})

describe('where each message goes to all', () => {
  it('what stands in line for one that retires goes to the others, who go on without it', async () => {
    const broker = await new KeptBroker({ sms: { delivery: 'all' } }).open()
    const { receiver, retire } = receive(broker)
    const slow = new TestReceiver()
    const registration = broker.receivers.register('sms', slow, { window: { messages: 1, bytes: 1000 } })
    slow.registration = registration
    await broker.publishAll('1', '2', '3')
    registration.retire()
    await broker.publishAll('4')
    receiver.acknowledgeAll()
    slow.acknowledge('1')
    await broker.settle()
    expect([receiver.texts, slow.texts, slow.ends]).toEqual([['1', '2', '3', '4'], ['1'], ['done']])
    retire()
    await broker.settle()
    expect(receiver.ends).toEqual(['done'])
  })
})

it('a receiver that retires before the store is there is done when it is', async () => {
  const broker = new KeptBroker()
  const { receiver, retire } = receive(broker)
  retire()
  await broker.open()
  expect(receiver.ends).toEqual(['done'])
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ReceiptEntry } from '../../broker/protocol/index.ts'
import { codeOf, KeptBroker, type TestReceiver } from '../support/kept-broker.ts'
import { readAll } from '../support/kept-rows.ts'
import { textOf } from '../support/publications.ts'

const texts = (from: number, through: number) =>
  Array.from({ length: through - from + 1 }, (_, i) => String(from + i))

describe('a receiver', () => {
  it('gets what was kept, oldest first, then what follows, without a gap', async () => {
    const broker = await new KeptBroker().open()
    for (const from of [1, 101, 201, 301, 401, 501]) await broker.publishAll(...texts(from, from + 99))
    const receiver = broker.receive('sms', { messages: 10_000, bytes: 2 ** 30 })
    broker.publish('601')
    await broker.settle()
    await broker.publishAll(...texts(602, 650))
    expect(receiver.texts).toEqual(texts(1, 650))
  })

  it('gets messages with the name of the store and a number of their own, which go on over a restart', async () => {
    const broker = await new KeptBroker().open()
    await broker.publishAll('one', 'two')
    const receiver = broker.receive()
    await broker.settle()
    const ids = receiver.handouts.map(({ message }) => message.id)
    expect(ids).toEqual(['6d656d6f7279-1', '6d656d6f7279-2'])
    receiver.acknowledge('two')
    await broker.settle()
    const after = await broker.restarted()
    const again = after.receive()
    await after.settle()
    expect(again.handouts.map(({ message }) => message.id)).toEqual(['6d656d6f7279-1'])
    await after.publishAll('three')
    expect(again.handouts.at(-1)?.message.id).toBe('6d656d6f7279-3')
  })

  it('gets messages of exactly its topic', async () => {
    const broker = await new KeptBroker({ '**': {} }).open()
    const receivers = ['a', 'a/b', 'A'].map(topic => broker.receive(topic))
    broker.publish('below', 'a/b')
    await broker.settle()
    expect(receivers.map(receiver => receiver.texts)).toEqual([[], ['below'], []])
  })

  it('cannot be one of a topic that is not durable', async () => {
    const broker = await new KeptBroker({ sms: {}, other: { durable: false } }).open()
    for (const topic of ['other', 'unknown', '$push/sms', '$dead/other'])
      expect(() => broker.receive(topic)).toThrow(expect.objectContaining({ code: 'NOT_DURABLE' }))
  })

  it('has no more unacknowledged than its window, but one message whatever its size', async () => {
    const broker = await new KeptBroker().open()
    const [few, small] = [
      broker.receive('sms', { messages: 2, bytes: 2 ** 30 }),
      broker.receive('sms', { messages: 100, bytes: 1 }),
    ]
    await broker.publishAll(...texts(1, 6))
    expect([few.held.length, small.held.length]).toEqual([2, 1])
    few.acknowledgeAll()
    small.acknowledgeAll()
    await broker.settle()
    expect([few.texts.length, small.texts.length]).toEqual([4, 2])
  })

  it('gets nothing while it is paused, and keeps what it has', async () => {
    const broker = await new KeptBroker().open()
    const receiver = broker.receive()
    await broker.publishAll('one')
    receiver.registration?.pause(true)
    await broker.publishAll('two')
    expect(receiver.texts).toEqual(['one'])
    receiver.registration?.pause(false)
    await broker.settle()
    expect(receiver.texts).toEqual(['one', 'two'])
  })

  it('that comes while a message is being written gets that message, however often the store has to be asked', async () => {
    for (const outcome of ['ok', 'refused', 'lost', 'unconfirmed'] as const) {
      const broker = await new KeptBroker().open()
      await broker.publishAll('one')
      broker.store.hold()
      broker.store.outcomes.push(outcome)
      broker.publish('two')
      await broker.settle()
      const receiver = broker.receive()
      await broker.settle()
      broker.store.release()
      await broker.pass(500)
      expect(receiver.texts, outcome).toEqual(['one', 'two'])
    }
  })

  it('is never called from within a call that it makes', async () => {
    const broker = await new KeptBroker().open()
    await broker.publishAll('one', 'two')
    const receiver = broker.receive('sms', { messages: 1, bytes: 1000 })
    expect(receiver.texts).toEqual([])
    await broker.settle()
    receiver.acknowledge('one')
    expect(receiver.texts).toEqual(['one'])
  })

  it('is ended when it fails, and what it had goes to the next', async () => {
    const broker = await new KeptBroker().open()
    const broken = broker.receive()
    broken.isBroken = true
    await broker.publishAll('one')
    const next = broker.receive()
    await broker.settle()
    expect([broken.ends, next.texts]).toEqual([['failed'], ['one #2']])
  })
})

describe('an acknowledgement', () => {
  it('is confirmed when the message has left the disk, not before, and as often as it is repeated', async () => {
    const broker = await new KeptBroker().open()
    const receiver = broker.receive()
    await broker.publishAll('one')
    const [number = 0] = receiver.handouts.map(({ message }) => message.offset)
    broker.store.hold()
    receiver.acknowledge('one')
    await broker.settle()
    receiver.registration?.acknowledge([number], () => receiver.removed.push('again'))
    await broker.settle()
    expect(receiver.removed).toEqual([])
    broker.store.release()
    await broker.settle()
    expect(await readAll(broker.store)).toEqual([])
    receiver.registration?.acknowledge([number], () => receiver.removed.push('and again'))
    expect(receiver.removed).toEqual(['one', 'again', 'and again'])
    expect(broker.keeper.room.messages).toBe(0)
  })

  it('goes on without the store, and is confirmed when the store is back', async () => {
    const broker = await new KeptBroker().open()
    const receiver = broker.receive('sms', { messages: 1, bytes: 1000 })
    await broker.publishAll('one', 'two')
    broker.store.isAway = true
    receiver.acknowledge('one')
    await broker.pass(10_000)
    expect([receiver.texts, receiver.removed]).toEqual([['one', 'two'], []])
    broker.store.isAway = false
    await broker.pass(10_000)
    expect(receiver.removed).toEqual(['one'])
    expect((await readAll(broker.store)).map(textOf)).toEqual(['two'])
  })

  it('counts after a restart too, whether the message was read again or not, and as often as it is repeated', async () => {
    const broker = await new KeptBroker().open()
    const before = broker.receive()
    await broker.publishAll('one', 'two')
    const [one = 0, two = 0] = before.handouts.map(({ message }) => message.offset)
    const after = await broker.restarted()
    const [id] = before.handouts.map(({ message }) => message.id)
    const removed: string[] = []
    for (let i = 0; i < 2; i++) {
      expect(after.receivers.acknowledge('sms', [id ?? ''], () => removed.push('one'))).toEqual([])
      await after.settle()
    }
    expect(removed).toEqual(['one', 'one'])
    const receiver = after.receive()
    await after.settle()
    expect(receiver.texts).toEqual(['two #2'])
    receiver.registration?.acknowledge([one, two], () => removed.push('both'))
    await after.settle()
    expect(removed).toEqual(['one', 'one', 'both'])
    expect([await readAll(after.store), after.keeper.room.messages]).toEqual([[], 0])
  })

  it('of a message that is just being read for a receiver keeps it from coming again', async () => {
    const broker = await new KeptBroker().open()
    const before = broker.receive()
    await broker.publishAll('one', 'two')
    const ids = before.handouts.map(({ message }) => message.id)
    const after = await broker.restarted()
    const receiver = after.receive()
    // It has been read, and is handed out when that is noted.
    after.store.hold()
    await after.settle()
    expect(after.receivers.acknowledge('sms', ids.slice(0, 1), () => receiver.removed.push('one'))).toEqual(
      [],
    )
    await after.settle()
    expect([receiver.texts, receiver.removed]).toEqual([[], []])
    after.store.release()
    await after.settle()
    expect([receiver.texts, receiver.removed]).toEqual([['two #2'], ['one']])
  })

  it('of an id that no message of the topic has had is not confirmed', async () => {
    const broker = await new KeptBroker().open()
    await broker.publishAll('one')
    const receiver = broker.receive()
    expect(receiver.registration?.acknowledge([2], () => receiver.removed.push('2'))).toEqual([2])
    const ids = ['0123456789ab-1', '6d656d6f7279-2']
    expect(broker.receivers.acknowledge('sms', ids, () => receiver.removed.push('2'))).toEqual(ids)
    await broker.settle()
    expect(receiver.removed).toEqual([])
  })

  it('counts for a message that has gone back meanwhile', async () => {
    const broker = await new KeptBroker().open()
    const receiver = broker.receive()
    await broker.publishAll('one')
    const [number = 0] = receiver.handouts.map(({ message }) => message.offset)
    receiver.leave()
    const next = broker.receive('sms', { messages: 1, bytes: 1 })
    next.registration?.pause(true)
    await broker.settle()
    next.registration?.acknowledge([number])
    next.registration?.pause(false)
    await broker.settle()
    expect(next.texts).toEqual([])
    expect(await readAll(broker.store)).toEqual([])
  })
})

describe('a message that comes back', () => {
  it('goes to the next receiver before everything newer, marked with how often it was handed out', async () => {
    const broker = await new KeptBroker().open()
    const leaving = broker.receive('sms', { messages: 2, bytes: 2 ** 30 })
    await broker.publishAll('one', 'two', 'three')
    leaving.leave()
    const next = broker.receive()
    await broker.settle()
    expect(next.texts).toEqual(['one #2', 'two #2', 'three'])
    next.giveBack('two')
    await broker.settle()
    expect(next.texts.at(-1)).toBe('two #3')
    expect(broker.receivers.counters.givenBack).toBe(3)
  })

  it('goes to its grave after so many deliveries, where it can be received', async () => {
    const broker = await new KeptBroker({ sms: { maxDeliveries: 2 } }).open()
    const receiver = broker.receive()
    await broker.publishAll('bad', 'good')
    receiver.giveBack('bad')
    await broker.settle()
    receiver.giveBack('bad')
    await broker.settle()
    expect(receiver.texts).toEqual(['bad', 'good', 'bad #2'])
    expect(broker.dead).toEqual(['bad 2 maxDeliveries'])
    expect((await readAll(broker.store, '$dead/sms')).map(textOf)).toEqual(['bad'])
    expect([...broker.keeper.room.sizes]).toEqual([
      ['sms', { messages: 1, bytes: 4 }],
      ['$dead/sms', { messages: 1, bytes: 3 }],
    ])
    const digger = broker.receive('$dead/sms')
    await broker.settle()
    expect(digger.texts).toEqual(['bad'])
    digger.acknowledgeAll()
    receiver.acknowledgeAll()
    await broker.settle()
    expect(await readAll(broker.store)).toEqual([])
    expect(broker.keeper.room.messages).toBe(0)
  })

  it('takes the room of its topic in the grave too', async () => {
    const broker = await new KeptBroker({ sms: { maxDeliveries: 1, maxKept: 1 } }).open()
    const receiver = broker.receive()
    await broker.publishAll('bad')
    receiver.giveBack('bad')
    await broker.settle()
    expect(() => broker.publish('one more')).toThrow('topics.sms.maxKept')
  })

  it('goes to its grave at once when its receiver can never take it, and the next one there gets it', async () => {
    const broker = await new KeptBroker().open()
    const receiver = broker.receive()
    const digger = broker.receive('$dead/sms')
    await broker.publishAll('large', 'small')
    receiver.reject('too large for it', 'large')
    await broker.settle()
    expect([broker.dead, digger.texts]).toEqual([['large 1 too large for it'], ['large']])
    digger.reject('what of it', 'large')
    await broker.settle()
    expect((await readAll(broker.store, '$dead/sms')).map(textOf)).toEqual(['large'])
  })

  it('still takes the place that its topic has when it is dead', async () => {
    const broker = await new KeptBroker({ sms: { maxKept: 1 } }).open()
    const receiver = broker.receive()
    await broker.publishAll('one')
    receiver.reject('so', 'one')
    await broker.settle()
    expect(() => broker.publish('two')).toThrow(expect.objectContaining({ code: 'TOPIC_FULL' }))
  })
})

describe('the limit of receivers', () => {
  it('lets the first so many have messages, and the next in line moves up when one leaves', async () => {
    const broker = await new KeptBroker({ sms: { receivers: 1 } }).open()
    const [first, second, third] = [broker.receive(), broker.receive(), broker.receive()]
    await broker.publishAll('one', 'two')
    first.acknowledge('one')
    first.leave()
    await broker.publishAll('three')
    expect([first.texts, second.texts, third.texts]).toEqual([['one', 'two'], ['two #2', 'three'], []])
    expect([second, third].map(({ registration }) => registration?.isCounted)).toEqual([true, false])
    third.leave()
    second.leave()
    const late = broker.receive()
    await broker.settle()
    expect(late.texts).toEqual(['two #3', 'three #2'])
  })

  it('holds where each message goes to all of them', async () => {
    const broker = await new KeptBroker({ sms: { receivers: 2, delivery: 'all' } }).open()
    const receivers = [broker.receive(), broker.receive(), broker.receive()]
    await broker.publishAll('one')
    expect(receivers.map(receiver => receiver.texts)).toEqual([['one'], ['one'], []])
    receivers[0]?.leave()
    await broker.settle()
    expect(receivers[2]?.texts).toEqual(['one'])
  })
})

describe('where each message goes to one', () => {
  it('receivers take turns, and who has no room is passed over', async () => {
    const broker = await new KeptBroker().open()
    const [first, second, full] = [
      broker.receive(),
      broker.receive(),
      broker.receive('sms', { messages: 1, bytes: 1000 }),
    ]
    await broker.publishAll(...texts(1, 7))
    expect([first.texts, second.texts, full.texts]).toEqual([['1', '4', '6'], ['2', '5', '7'], ['3']])
  })
})

describe('where each message goes to all', () => {
  it('the first acknowledgement releases it, and it goes back only while nobody has acknowledged', async () => {
    const broker = await new KeptBroker({ sms: { delivery: 'all' } }).open()
    const [first, second] = [broker.receive(), broker.receive()]
    await broker.publishAll('one', 'two')
    first.acknowledge('one')
    await broker.settle()
    expect((await readAll(broker.store)).map(textOf)).toEqual(['two'])
    second.leave()
    first.leave()
    const late = broker.receive()
    await broker.settle()
    expect(late.texts).toEqual(['two #2'])
  })

  it('a message is not marked for the second one who gets it', async () => {
    const broker = await new KeptBroker({ sms: { delivery: 'all' } }).open()
    const first = broker.receive()
    await broker.publishAll('one')
    const second = broker.receive()
    await broker.settle()
    expect([first.texts, second.texts]).toEqual([['one'], ['one']])
  })

  it('a slow one gets each message as well, also when others have acknowledged it', async () => {
    const broker = await new KeptBroker({ sms: { delivery: 'all' } }).open()
    const fast = broker.receive()
    const slow = broker.receive('sms', { messages: 1, bytes: 1000 })
    for (const text of texts(1, 20)) {
      await broker.publishAll(text)
      fast.acknowledgeAll()
    }
    expect([fast.texts, slow.texts]).toEqual([texts(1, 20), ['1']])
    for (let i = 0; i < 20; i++) {
      slow.acknowledgeAll()
      await broker.settle()
    }
    expect(slow.texts).toEqual(texts(1, 20))
    expect(await readAll(broker.store)).toEqual([])
  })

  it('one that is too slow is ended, and the others go on', async () => {
    const bounds = { messages: 64, bytes: 64 * 1024, backlog: 4000 }
    const broker = await new KeptBroker({ sms: { delivery: 'all' } }, undefined, [], undefined, bounds).open()
    const fast = broker.receive()
    const slow = broker.receive('sms', { messages: 1, bytes: 1000 })
    for (const text of texts(1, 50)) {
      await broker.publishAll(text)
      fast.acknowledgeAll()
    }
    expect([fast.texts, slow.ends]).toEqual([texts(1, 50), ['slow']])
  })

  it('what one gives back that another one stands in line for goes to that one', async () => {
    const broker = await new KeptBroker({ sms: { delivery: 'all' } }).open()
    const first = broker.receive()
    const second = broker.receive('sms', { messages: 1, bytes: 1000 })
    await broker.publishAll('one', 'two')
    first.giveBack('two')
    await broker.settle()
    expect(first.texts).toEqual(['one', 'two'])
    second.leave()
    await broker.settle()
    expect(first.texts).toEqual(['one', 'two', 'two #2'])
  })

  it('nobody gets it any more who has not stood in line when it was acknowledged', async () => {
    const broker = await new KeptBroker({ sms: { delivery: 'all' } }).open()
    const first = broker.receive()
    await broker.publishAll('one', 'two')
    first.acknowledge('one')
    const late = broker.receive()
    await broker.settle()
    expect(late.texts).toEqual(['two'])
  })
})

describe('after a restart', () => {
  it('what may have been handed out is marked, and what nobody could have had is not', async () => {
    const broker = await new KeptBroker().open()
    await broker.publishAll('early')
    const receiver = broker.receive('sms', { messages: 2, bytes: 2 ** 30 })
    await broker.publishAll('live')
    receiver.leave()
    await broker.publishAll('late')
    const after = await broker.restarted()
    const next = after.receive()
    await after.publishAll('new')
    expect(next.texts).toEqual(['early #2', 'live #2', 'late', 'new'])
  })

  it('what nobody had is not marked where the broker has stopped in order', async () => {
    const broker = await new KeptBroker().open()
    await broker.publishAll('one', 'two', 'three')
    broker.receive('sms', { messages: 1, bytes: 1 })
    await broker.settle()
    broker.receivers.close()
    await broker.ledger.close()
    const after = await broker.restarted()
    const next = after.receive()
    await after.settle()
    expect(next.texts).toEqual(['one #2', 'two', 'three'])
  })

  it('the deliveries go on counting', async () => {
    const broker = await new KeptBroker({ sms: { maxDeliveries: 3 } }).open()
    const receiver = broker.receive()
    await broker.publishAll('bad')
    receiver.giveBack('bad')
    await broker.settle()
    const after = await broker.restarted()
    const next = after.receive()
    await after.settle()
    expect(next.texts).toEqual(['bad #3'])
    const last = await after.restarted()
    const nobody = last.receive()
    await last.settle()
    expect([nobody.texts, last.dead]).toEqual([[], ['bad 3 maxDeliveries']])
  })
})

describe('what is older than its topic keeps', () => {
  it('goes, from the grave too; what somebody has stays', async () => {
    const broker = await new KeptBroker({ sms: { keptAgeS: 60 } }).open()
    const receiver = broker.receive('sms', { messages: 2, bytes: 2 ** 30 })
    await broker.publishAll('dead', 'held', 'old', 'older')
    receiver.reject('so', 'dead')
    await broker.pass(50_000)
    await broker.publishAll('new')
    await broker.pass(20_000)
    broker.receivers.expire(broker.keeper.room.topics, broker.nowMs)
    await broker.pass(1000)
    expect((await readAll(broker.store)).map(textOf)).toEqual(['held', 'old', 'new'])
    expect(broker.receivers.counters.expired).toBe(2)
    expect(broker.keeper.room.messages).toBe(3)
    receiver.acknowledge('held', 'old')
    await broker.settle()
    expect(receiver.texts).toEqual(['dead', 'held', 'old', 'new'])
  })

  it('stays when somebody is about to get it, and comes once', async () => {
    const broker = await new KeptBroker({ sms: { keptAgeS: 60 } }).open()
    await broker.publishAll('old')
    await broker.pass(61_000)
    await broker.publishAll('new')
    const receiver = broker.receive()
    // Both have been read, and are handed out when that is noted.
    broker.store.hold()
    await broker.settle()
    broker.receivers.expire(broker.keeper.room.topics, broker.nowMs)
    await broker.settle()
    broker.store.release()
    await broker.settle()
    expect(receiver.texts).toEqual(['old', 'new'])
    receiver.acknowledgeAll()
    await broker.settle()
    expect([broker.receivers.counters.expired, broker.keeper.room.messages]).toEqual([0, 0])
  })

  it('goes page by page where nobody receives', async () => {
    const broker = await new KeptBroker({ sms: { keptAgeS: 60 } }).open()
    for (let i = 0; i < 10; i++) await broker.publishAll(...texts(1, 100))
    await broker.pass(61_000)
    await broker.publishAll('new')
    broker.receivers.expire(broker.keeper.room.topics, broker.nowMs)
    await broker.pass(1000)
    expect((await readAll(broker.store)).map(textOf)).toEqual(['new'])
  })
})

describe('topics that nobody receives any more', () => {
  it('are read again from the store when they are many, and only what somebody had is marked, also after a crash', async () => {
    const broker = await new KeptBroker({ '**': {} }).open()
    const large = 'x'.repeat(90_000)
    const topics = texts(1, 60)
    for (const topic of topics)
      for (const number of [1, 2, 3]) {
        broker.publish(`${number}${large}`, topic)
        await broker.settle()
      }
    for (const topic of topics) {
      const receiver = broker.receive(topic, { messages: 1, bytes: 1 })
      await broker.settle()
      expect(receiver.texts).toEqual([`1${large}`])
      receiver.leave()
      await broker.settle()
    }
    const heads = async (from: KeptBroker, topic: string) => {
      const receiver = from.receive(topic, { messages: 3, bytes: 2 ** 30 })
      await from.settle()
      return receiver.texts.map(text => text.replace(large, ''))
    }
    expect(await heads(broker, '1')).toEqual(['1 #2', '2', '3'])
    const after = await broker.restarted({ '**': {} })
    expect(await heads(after, '1')).toEqual(['1 #3', '2 #2', '3 #2'])
    expect(await heads(after, '2')).toEqual(['1 #2', '2', '3'])
  })
})

describe('at the end', () => {
  it('receivers are told, and what they had is there after it', async () => {
    const broker = await new KeptBroker().open()
    const receiver = broker.receive()
    await broker.publishAll('one')
    broker.receivers.close()
    expect(receiver.ends).toEqual(['shutdown'])
    const after = await broker.restarted()
    const next = after.receive()
    await after.settle()
    expect(next.texts).toEqual(['one #2'])
  })
})

/** What may happen, with numbers that choose among what there is. */
const happening = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ what: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 5 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ what: fc.constant('join' as const), room: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      what: fc.constantFrom('acknowledge' as const, 'giveBack' as const),
      who: fc.nat(9),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('leave' as const), who: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('restart' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      what: fc.constant('fault' as const),
      outcomes: fc.array(fc.constantFrom('refused' as const, 'lost' as const, 'unconfirmed' as const), {
        maxLength: 3,
      }),
    }),
  },
)

describe.each(['one', 'all'] as const)('whatever happens, where each message goes to %s', delivery => {
  it('every receipt is a delivery, nothing confirmed comes back, and what may come twice is marked', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(happening, { minLength: 5, maxLength: 60 }),
        fc.nat(3),
        async (happenings, receivers) => {
          let broker = await new KeptBroker({ sms: { delivery, receivers } }).open()
          let members: TestReceiver[] = []
          const everybody: TestReceiver[] = []
          const outcomes: { entry: ReceiptEntry | undefined }[] = []
          const join = (room: number) => {
            const receiver = broker.receive('sms', { messages: room, bytes: 2 ** 20 })
            members.push(receiver)
            everybody.push(receiver)
          }
          for (const happening of happenings) {
            const member = 'who' in happening ? members[happening.who % (members.length || 1)] : undefined
            const texts = 'count' in happening ? (member?.held.slice(0, happening.count) ?? []) : []
            if (happening.what === 'publish') {
              for (let i = 0; i < happening.count; i++) outcomes.push(broker.publish(String(outcomes.length)))
            } else if (happening.what === 'join') join(happening.room)
            else if (happening.what === 'acknowledge') member?.acknowledge(...texts)
            else if (happening.what === 'giveBack') member?.giveBack(...texts)
            else if (happening.what === 'leave') {
              member?.leave()
              members = members.filter(other => other !== member)
            } else if (happening.what === 'fault') broker.store.outcomes.push(...happening.outcomes)
            else {
              await broker.pass(5000)
              broker = await broker.restarted()
              members = []
            }
            const confirmed = new Set(everybody.flatMap(({ removed }) => removed))
            const before = everybody.map(({ handouts }) => handouts.length)
            await broker.pass(50)
            if (delivery === 'one') {
              const fresh = everybody.flatMap(({ handouts }, i) => handouts.slice(before[i]))
              for (const { message } of fresh) expect(confirmed).not.toContain(textOf(message))
              const held = members.flatMap(receiver => receiver.held)
              expect(new Set(held).size).toBe(held.length)
            }
          }
          broker.store.outcomes.length = 0
          await broker.pass(5000)
          if (members.length === 0) join(4)
          for (let i = 0; i < outcomes.length + 10; i++) {
            for (const receiver of members) receiver.acknowledgeAll()
            await broker.pass(10)
          }
          expect(await readAll(broker.store)).toEqual([])
          expect(broker.keeper.room).toMatchObject({ messages: 0, bytes: 0 })
          const inOrder = broker.logged.map(Number)
          expect(inOrder).toEqual([...new Set(inOrder)].sort((a, b) => a - b))
          const received = outcomes.flatMap(({ entry }, i) => (entry && 'id' in entry ? i : []))
          const refused = outcomes.flatMap((outcome, i) => (codeOf(outcome) === 'STORE_UNAVAILABLE' ? i : []))
          expect(inOrder).toEqual(expect.arrayContaining(received))
          for (const i of refused) expect(inOrder).not.toContain(i)
          const seen = everybody.flatMap(({ handouts }) => handouts.map(({ message }) => textOf(message)))
          expect(new Set(seen)).toEqual(new Set(broker.logged))
          const unmarked = everybody.flatMap(({ handouts }) => handouts.filter(one => !one.redelivered))
          if (delivery === 'one') {
            expect(new Set(unmarked.map(({ message }) => textOf(message))).size).toBe(unmarked.length)
          }
          for (const { handouts } of everybody) {
            const fresh = handouts.filter(({ redelivered }) => !redelivered)
            const numbers = fresh.map(({ message }) => message.offset)
            expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
            expect(new Set(numbers).size).toBe(numbers.length)
          }
        },
      ),
      { numRuns: 150 },
    )
  })
})

import { describe, expect, it } from 'vitest'
import { PosternError } from '../../broker/protocol/index.ts'
import { codeOf, KeptBroker } from '../support/kept-broker.ts'
import { numbersOf, readAll } from '../support/kept-rows.ts'
import { publication, textOf } from '../support/publications.ts'

describe('a message of a durable topic', () => {
  it('has its place in the log and its receipt when it is on disk, not before', async () => {
    const broker = await new KeptBroker().open()
    broker.store.hold()
    const outcome = broker.publish('one')
    await broker.settle()
    expect([outcome.entry, broker.logged]).toEqual([undefined, []])
    broker.store.release()
    await broker.settle()
    expect(outcome.entry).toEqual({ id: 'aaaaaaaaaaaa-1' })
    expect(broker.logged).toEqual(['one'])
  })

  it('goes into one transaction with all that came while another one was under way', async () => {
    const broker = await new KeptBroker().open()
    broker.store.hold()
    broker.publish('one')
    await broker.settle()
    for (const text of ['two', 'three', 'four']) broker.publish(text)
    broker.store.release()
    await broker.settle()
    expect(broker.store.applied.map(({ add }) => add.map(textOf))).toEqual([
      ['one'],
      ['two', 'three', 'four'],
    ])
    expect(broker.logged).toEqual(['one', 'two', 'three', 'four'])
  })

  it('keeps nothing of the batch that it came in', async () => {
    const broker = await new KeptBroker().open()
    const batch = Buffer.from('before one after')
    const rule = broker.rules.durable('sms')
    if (!rule) return
    broker.keeper.keepOrDrop({ topic: 'sms', type: '', binary: false, payload: batch.subarray(7, 10) }, rule)
    batch.fill(0)
    await broker.settle()
    const [row] = await readAll(broker.store)
    expect(row && textOf(row)).toBe('one')
  })

  it('is refused when its topic is full, with the limit and its setting; nothing older goes', async () => {
    const broker = await new KeptBroker({ sms: { maxKept: 2 }, other: { maxKeptBytes: 8 } }).open()
    await broker.publishAll('one', 'two')
    const full = refusalOf(() => broker.publish('three'))
    expect(full).toMatchObject({ code: 'TOPIC_FULL', bound: { limit: 2, setting: 'topics.sms.maxKept' } })
    broker.publish('12345', 'other')
    expect(refusalOf(() => broker.publish('1234', 'other'))).toMatchObject({
      bound: { limit: 8, setting: 'topics.other.maxKeptBytes' },
    })
    broker.publish('123', 'other')
    const receiver = broker.receive()
    await broker.settle()
    receiver.acknowledge('one')
    await broker.settle()
    await broker.publishAll('three')
    expect(receiver.texts).toEqual(['one', 'two', 'three'])
  })

  it('is dropped, counted and told when its topic is full and nobody waits for a receipt', async () => {
    const broker = await new KeptBroker({ sms: { maxKept: 1 } }).open()
    await broker.publishAll('one')
    const rule = broker.rules.durable('sms')
    if (rule) broker.keeper.keepOrDrop(publication({ topic: 'sms', payload: 'two' }), rule)
    expect(broker.dropped).toEqual(['sms TOPIC_FULL'])
    expect(broker.keeper.counters.keptDropped).toBe(1)
  })

  it('is refused when its topic leaves no room for the name of its grave', async () => {
    const broker = await new KeptBroker({ '**': {} }).open()
    expect(refusalOf(() => broker.publish('one', 'x'.repeat(250)))).toMatchObject({ code: 'INVALID_TOPIC' })
    broker.publish('one', 'x'.repeat(249))
  })

  it('is refused when clients of the old protocol could not take it', async () => {
    const broker = await new KeptBroker({ sms: { legacy: true } }).open()
    expect(refusalOf(() => broker.publish('x'.repeat(9000)))).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  })
})

describe('an idempotency key on a durable topic', () => {
  it('gives a repeat the outcome of the first one that is still under way', async () => {
    const broker = await new KeptBroker().open()
    broker.store.hold()
    const [first, repeat] = [broker.publish('one', 'sms', 'k'), broker.publish('one', 'sms', 'k')]
    expect(refusalOf(() => broker.publish('two', 'sms', 'k'))).toMatchObject({ code: 'KEY_CONFLICT' })
    broker.store.release()
    await broker.settle()
    expect(repeat.entry).toEqual({ id: 'aaaaaaaaaaaa-1' })
    expect([repeat.entry, broker.logged]).toEqual([first.entry, ['one']])
  })

  it('gives a repeat the outcome of one that was in doubt, when that is known', async () => {
    const broker = await new KeptBroker().open()
    broker.store.hold()
    const first = broker.publish('one', 'sms', 'k')
    await broker.pass(1000)
    expect(codeOf(first)).toBe('RECEIPT_UNKNOWN')
    const repeat = broker.publish('one', 'sms', 'k')
    broker.store.release()
    await broker.settle()
    expect(repeat.entry).toEqual({ id: 'aaaaaaaaaaaa-1' })
    expect(broker.logged).toEqual(['one'])
  })

  it('stands in the store, for the log that does not have its message yet', async () => {
    const broker = await new KeptBroker().open()
    broker.publish('one', 'sms', 'k')
    await broker.settle()
    const [row] = await readAll(broker.store)
    expect(row?.idempotency).toEqual({ key: 'k', identity: '', fingerprint: 'one' })
  })
})

describe('a store that fails', () => {
  it('is not noticed by publishers when it is back soon', async () => {
    const broker = await new KeptBroker().open()
    broker.store.outcomes.push('refused', 'lost', 'unconfirmed')
    const outcomes = ['one', 'two'].map(text => broker.publish(text))
    await broker.pass(900)
    expect(outcomes.map(({ entry }) => entry)).toEqual([{ id: 'aaaaaaaaaaaa-1' }, { id: 'aaaaaaaaaaaa-2' }])
    expect((await readAll(broker.store)).map(textOf)).toEqual(['one', 'two'])
  })

  it('leaves publishers without an answer no longer than they wait: it is certain that nothing is kept', async () => {
    const broker = await new KeptBroker().open()
    broker.store.isAway = true
    const outcome = broker.publish('one')
    await broker.pass(999)
    expect(outcome.entry).toBeUndefined()
    await broker.pass(1)
    expect(codeOf(outcome)).toBe('STORE_UNAVAILABLE')
    broker.store.isAway = false
    await broker.pass(10_000)
    const late = broker.publish('two')
    await broker.settle()
    expect(late.entry).toEqual({ id: 'aaaaaaaaaaaa-1' })
    expect((await readAll(broker.store)).map(textOf)).toEqual(['two'])
    expect(broker.keeper.room.messages).toBe(1)
  })

  it('leaves in doubt what it may have kept, finds out later, and keeps it once', async () => {
    const broker = await new KeptBroker().open()
    broker.store.outcomes.push('unconfirmed', 'lost', 'refused', 'lost', 'lost', 'refused')
    const outcome = broker.publish('one')
    await broker.pass(1000)
    expect(codeOf(outcome)).toBe('RECEIPT_UNKNOWN')
    await broker.pass(10_000)
    expect(broker.logged).toEqual(['one'])
    expect(numbersOf(await readAll(broker.store))).toEqual([1])
  })

  it('does not keep behind its back what it has not kept for a publisher who was told that it is unknown', async () => {
    const broker = await new KeptBroker().open()
    broker.store.hold()
    broker.store.outcomes.push('refused')
    const outcome = broker.publish('one', 'sms', 'k')
    await broker.pass(1000)
    expect(codeOf(outcome)).toBe('RECEIPT_UNKNOWN')
    broker.store.release()
    await broker.pass(10_000)
    expect(broker.logged).toEqual([])
    expect(broker.keeper.room.messages).toBe(0)
    expect((await publishedNow(broker, 'one', 'k')).entry).toEqual({ id: 'aaaaaaaaaaaa-1' })
  })

  it('refuses beyond a bound what waits for it', async () => {
    const broker = await new KeptBroker().open()
    broker.store.hold()
    broker.publish('x'.repeat(99_000))
    expect(refusalOf(() => broker.publish('x'.repeat(2000)))).toMatchObject({
      code: 'BACKLOG_FULL',
      bound: { limit: 100_000, setting: 'kept.maxWaitingBytes' },
    })
  })

  it('is opened when it comes, and publishers are refused until then', async () => {
    const broker = new KeptBroker()
    broker.store.isAway = true
    await broker.open()
    expect(refusalOf(() => broker.publish('one'))).toMatchObject({ code: 'STORE_UNAVAILABLE' })
    const early = broker.receive()
    broker.store.isAway = false
    await broker.pass(5000)
    await broker.publishAll('two')
    expect(early.texts).toEqual(['two'])
  })
})

describe('after a restart', () => {
  it('what was on disk and not in the log takes its place there, once, with its key', async () => {
    const broker = await new KeptBroker().open()
    await broker.publishAll('one')
    broker.isJournalFull = true
    const outcome = broker.publish('two', 'sms', 'k')
    await broker.settle()
    expect([outcome.entry, broker.logged]).toEqual([undefined, ['one']])
    const after = await broker.restarted()
    expect(after.logged).toEqual(['one', 'two'])
    const again = await after.restarted()
    expect(again.logged).toEqual(['one', 'two'])
    const receiver = again.receive()
    await again.settle()
    expect(receiver.texts).toEqual(['one', 'two'])
  })

  it('nothing is in the log twice, though the journal is gone', async () => {
    const broker = await new KeptBroker().open()
    for (const text of ['one', 'two', 'three']) await broker.publishAll(text)
    // Only the last transaction has not told the store yet how far the log has come.
    const after = new KeptBroker(undefined, broker.store, broker.logged)
    await after.open()
    expect(after.logged).toEqual(['one', 'two', 'three', 'three'])
  })

  it('the topics are as full as they were', async () => {
    const broker = await new KeptBroker({ sms: { maxKept: 2 } }).open()
    await broker.publishAll('one', 'two')
    const after = await broker.restarted()
    expect(refusalOf(() => after.publish('three'))).toMatchObject({ code: 'TOPIC_FULL' })
    expect(after.keeper.room).toMatchObject({ messages: 2, bytes: 6 })
  })
})

describe('a journal that cannot be written', () => {
  it('holds up what is on disk, in order, until it can', async () => {
    const broker = await new KeptBroker().open()
    broker.isJournalFull = true
    const first = broker.publish('one')
    const receiver = broker.receive()
    await broker.settle()
    expect(refusalOf(() => broker.publish('two'))).toMatchObject({ code: 'JOURNAL_FAILED' })
    expect([first.entry, receiver.texts]).toEqual([undefined, []])
    broker.isJournalFull = false
    await broker.pass(1000)
    expect(first.entry).toEqual({ id: 'aaaaaaaaaaaa-1' })
    await broker.publishAll('two')
    expect([broker.logged, receiver.texts]).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ])
  })
})

async function publishedNow(broker: KeptBroker, text: string, key: string) {
  const outcome = broker.publish(text, 'sms', key)
  await broker.settle()
  return outcome
}

function refusalOf(publish: () => unknown): PosternError | undefined {
  try {
    publish()
    return undefined
  } catch (error) {
    if (error instanceof PosternError) return error
    throw error
  }
}

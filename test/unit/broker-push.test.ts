import { describe, expect, it } from 'vitest'
import { publication } from '../support/publications.ts'
import { TestBroker, withKey } from '../support/test-broker.ts'

const pushed = (payload: string, topic = '$push/jobs') => publication({ topic, payload })
const opening = { open: [{ pull: 1, topic: '$push/jobs' }], flushed: [], returned: [], close: [] }

describe('a message of a push topic', () => {
  it('has its place in the log and its receipt as any other, and then goes to a puller', () => {
    const test = new TestBroker()
    test.delivery.take('peer', opening, 0)
    const answer = test.request(publication(), pushed('one'), pushed('two'))
    expect([test.handed, answer.receipts]).toEqual([[], undefined])
    test.turn()
    expect(test.handed).toEqual(['peer 1 one', 'peer 1 two'])
    expect(answer.receipts?.map(entry => 'id' in entry && entry.id)).toEqual([
      'aaaaaaaaaaaa-1',
      'aaaaaaaaaaaa-2',
      'aaaaaaaaaaaa-3',
    ])
    expect(test.texts).toEqual(['hi', 'one', 'two'])
    expect(test.history.size.messages).toBe(1)
  })

  it('goes to a puller also when a full batch was put into the log in between', () => {
    const test = new TestBroker({ pullWindowMessages: 1000, pullWindowBytes: 1024 * 1024 })
    test.delivery.take('peer', opening, 0)
    test.request(...Array.from({ length: 300 }, (_, i) => (i % 2 ? pushed(String(i)) : publication())))
    test.turn()
    expect(test.handed).toHaveLength(150)
    expect(test.streamed.length).toBeGreaterThan(1)
  })

  it('goes to no puller when the journal could not be written', () => {
    const test = new TestBroker()
    test.delivery.take('peer', opening, 0)
    test.isDiskFull = true
    expect(test.publish(pushed('one'))).toMatchObject([{ error: { code: 'JOURNAL_FAILED' } }])
    test.isDiskFull = false
    test.publish(pushed('two'))
    expect(test.handed).toEqual(['peer 1 two'])
  })

  it('is refused at once, and has no place, when too much is waiting for pullers', () => {
    const test = new TestBroker({ maxPushBytes: 100, maxLagBytes: 1 })
    const [first] = test.publish(withKey('key', { topic: '$push/jobs', payload: 'one' }))
    expect(test.publish(pushed('two'))).toMatchObject([
      { error: { code: 'BACKLOG_FULL', limit: 100, setting: 'maxPushBytes' } },
    ])
    expect(test.publish(publication())).toHaveLength(1)
    expect(test.publish(withKey('key', { topic: '$push/jobs', payload: 'one' }))).toEqual([first])
    expect(test.texts).toEqual(['one', 'hi'])
  })

  it('does not wait over a restart', () => {
    const test = new TestBroker()
    test.publish(pushed('one'))
    const again = test.restarted()
    again.delivery.take('peer', opening, 0)
    again.publish(pushed('two'))
    expect(again.handed).toEqual(['peer 1 two'])
  })
})

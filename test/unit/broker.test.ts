import { describe, expect, it } from 'vitest'
import {
  encodePublications,
  formatId,
  maxBatchBytes,
  parseId,
  probeTopic,
  type ReceiptEntry,
} from '#protocol'
import { publication, readBatch, textOf } from '../support/publications.ts'
import { TestBroker, withKey } from '../support/test-broker.ts'

const say = (payload: string, topic = 'chat') => publication({ topic, payload })
const idOf = (entry: ReceiptEntry | undefined) => (entry && 'id' in entry ? entry.id : undefined)
const codeOf = (entry: ReceiptEntry | undefined) => (entry && 'error' in entry ? entry.error.code : undefined)
const offsetOf = (entry: ReceiptEntry | undefined) => parseId(idOf(entry) ?? '')?.offset
const repeat = <T>(count: number, make: (i: number) => T) => Array.from({ length: count }, (_, i) => make(i))

describe('the log', () => {
  it('gives each message the next offset, in the order of their arrival, and its id to its publisher', () => {
    const test = new TestBroker()
    test.broker.accept(say('a'))
    const second = test.request(say('b'), say('c', 'other'))
    test.broker.accept(say('d'))
    test.turn()

    const [batch] = test.streamed
    expect(batch?.messages.map(message => [textOf(message), message.id])).toEqual(
      ['a', 'b', 'c', 'd'].map((text, i) => [text, formatId({ epoch: test.epoch, offset: i + 1 })]),
    )
    expect(second.receipts).toEqual([{ id: 'aaaaaaaaaaaa-2' }, { id: 'aaaaaaaaaaaa-3' }])
    expect(test.broker.position).toEqual({ epoch: test.epoch, offset: 4 })
  })

  it('puts whatever comes within one turn into one batch, and waits for nobody else', () => {
    const test = new TestBroker()
    for (const turn of [3, 1, 0, 2]) {
      for (let i = 0; i < turn; i++) test.broker.accept(say('x'))
      test.turn()
    }
    expect(test.streamed.map(({ first, last }) => [first, last])).toEqual([
      [1, 3],
      [4, 4],
      [5, 6],
    ])
  })

  it('streams and receipts nothing before the end of the turn', () => {
    const test = new TestBroker()
    const answer = test.request(say('a'))
    expect([test.streamed, answer.receipts]).toEqual([[], undefined])
    test.turn()
    expect([test.streamed.length, answer.receipts?.length]).toEqual([1, 1])
  })

  it('ends a gathering at 64 KiB and at 256 messages', () => {
    const test = new TestBroker()
    for (let i = 0; i < 600; i++) test.broker.accept(say('x'))
    expect(test.streamed.map(({ messages }) => messages.length)).toEqual([256, 256])
    test.turn()
    expect(test.streamed.map(({ messages }) => messages.length)).toEqual([256, 256, 88])

    const large = publication({ payload: new Uint8Array(10_000) })
    for (let i = 0; i < 20; i++) test.broker.accept(large)
    test.turn()
    for (const { bytes } of test.streamed) expect(bytes.length).toBeLessThanOrEqual(maxBatchBytes)
    expect(test.broker.position.offset).toBe(620)
  })

  it('never goes back in time, although the clock does', () => {
    const test = new TestBroker()
    for (const nowMs of [5000, 4000, 6000]) {
      test.nowMs = nowMs
      test.broker.accept(say('x'))
      test.turn()
    }
    expect(test.streamed.map(({ messages }) => messages[0]?.timeMs)).toEqual([5000, 5000, 6000])
  })

  it('goes on after a restart where it stood', () => {
    const test = new TestBroker()
    test.publish(say('a'), say('b'))
    const next = test.restarted()
    expect(next.broker.position).toEqual(test.broker.position)
    expect(offsetOf(next.publish(say('c'))[0])).toBe(3)
  })

  it('tells by an empty batch how far it reaches', () => {
    const test = new TestBroker()
    test.publish(say('a'))
    expect(readBatch(test.broker.beacon())).toMatchObject({
      epoch: test.epoch,
      first: 2,
      last: 1,
      messages: [],
    })
    expect(test.streamed).toHaveLength(1)
  })

  it('never looks into a payload', () => {
    const test = new TestBroker()
    const payloads = [new Uint8Array(), new Uint8Array([0, 0xff, 0x0a]), new TextEncoder().encode('{"a":{}}')]
    test.publish(...payloads.map(payload => publication({ payload, binary: true })))
    expect(test.streamed[0]?.messages.map(({ payload }) => Buffer.from(payload))).toEqual(
      payloads.map(p => Buffer.from(p)),
    )
  })
})

describe('a batch that is taken as it is', () => {
  const sent = (...payloads: string[]) => readBatch(encodePublications(payloads.map(payload => say(payload))))

  it('keeps its place between what came before and after it, small or large', () => {
    const test = new TestBroker()
    const large = 'x'.repeat(10_000)
    test.broker.accept(say('a'))
    test.broker.acceptBatch(sent('b', 'c'))
    test.broker.acceptBatch(sent(large, 'd'))
    test.broker.acceptBatch(sent('e'))
    const request = test.request(say('f'))
    test.turn()
    expect(test.texts).toEqual(['a', 'b', 'c', large, 'd', 'e', 'f'])
    expect(test.streamed.map(({ first, last }) => [first, last])).toEqual([
      [1, 3],
      [4, 5],
      [6, 7],
    ])
    expect(offsetOf(request.receipts?.[0])).toBe(7)
    expect(test.plain).toEqual(test.texts)
    expect(test.broker.counters.published).toBe(7)
    expect(test.history.last({ topics: ['chat'], exact: true }, 9).map(textOf)).toEqual(test.texts)
  })

  it('goes on with the very bytes that came when it is large, and into a common batch when it is not', () => {
    const test = new TestBroker()
    const large = sent('x'.repeat(10_000))
    test.broker.acceptBatch(large)
    expect(test.streamed[0]?.bytes).toBe(large.bytes)
    for (let i = 0; i < 300; i++) test.broker.acceptBatch(sent(`${i}`))
    expect(test.streamed.map(({ count }) => count)).toEqual([1, 256])
  })

  it('is not in the log when the journal cannot be written', () => {
    const test = new TestBroker()
    test.isDiskFull = true
    test.broker.acceptBatch(sent('x'.repeat(10_000)))
    test.broker.acceptBatch(sent('a', 'b'))
    test.turn()
    expect(test.streamed).toEqual([])
    expect(test.broker.counters).toMatchObject({ published: 0, refused: 3 })
    test.isDiskFull = false
    test.broker.acceptBatch(sent('c'))
    test.turn()
    expect(test.streamed.map(({ first }) => first)).toEqual([1])
  })
})

describe('the plain output', () => {
  it('gets the payloads of exactly the default topic', () => {
    const test = new TestBroker({ defaultTopic: 'chat' })
    test.publish(say('a'), say('b', 'chat/below'), say('c', 'other'), say('d'))
    expect(test.plain).toEqual(['a', 'd'])
  })
})

describe('a message that is refused', () => {
  it('gets no place, and its neighbours do', () => {
    const test = new TestBroker({ maxPayloadBytes: 3 })
    const receipts = test.publish(say('a'), say('long'), say('b', 'a//b'), say('c'))
    expect(receipts.map(offsetOf)).toEqual([1, undefined, undefined, 2])
    expect(receipts.map(codeOf)).toEqual([undefined, 'PAYLOAD_TOO_LARGE', 'INVALID_TOPIC', undefined])
    expect(test.texts).toEqual(['a', 'c'])
    expect(test.broker.counters).toMatchObject({ published: 2, refused: 2 })
  })

  it('for its size is told the limit and the setting', () => {
    const test = new TestBroker({ maxPayloadBytes: 3 })
    expect(test.publish(say('abc'), say('abcd'))).toMatchObject([
      { id: 'aaaaaaaaaaaa-1' },
      { error: { code: 'PAYLOAD_TOO_LARGE', limit: 3, setting: 'maxPayloadBytes' } },
    ])
    expect(() => test.broker.accept(say('abcd'))).toThrow('The limit is 3 (maxPayloadBytes).')
  })

  it.each([
    [{ topic: '' }, 'INVALID_TOPIC'],
    [{ topic: 'a/' }, 'INVALID_TOPIC'],
    [{ topic: 'a/../b' }, 'INVALID_TOPIC'],
    [{ topic: 'x'.repeat(256) }, 'INVALID_TOPIC'],
    [{ topic: '$system' }, 'RESERVED_TOPIC'],
    [{ topic: '$probe/below' }, 'RESERVED_TOPIC'],
    [{ type: 'a;b' }, 'INVALID_TYPE'],
    [{ type: 'gap' }, 'INVALID_TYPE'],
    [{ type: 'a\nb' }, 'INVALID_TYPE'],
  ])('for %j is told why', (fields, code) => {
    const test = new TestBroker()
    expect(codeOf(test.publish(publication(fields))[0])).toBe(code)
    expect(() => test.broker.accept(publication(fields))).toThrow(expect.objectContaining({ code }))
    test.turn()
    expect(test.streamed).toEqual([])
    expect(test.broker.counters.refused).toBe(2)
  })

  it('is refused again after a valid one of the same topic', () => {
    const test = new TestBroker()
    expect(test.publish(say('a', 'x'), say('a', 'x/'), say('a', 'x'), say('a', 'x/')).map(codeOf)).toEqual([
      undefined,
      'INVALID_TOPIC',
      undefined,
      'INVALID_TOPIC',
    ])
  })
})

describe('the probe of readiness', () => {
  it('travels the whole way, and is kept in no history', () => {
    const test = new TestBroker()
    test.publish(say('', probeTopic))
    expect(test.streamed[0]?.messages[0]?.topic).toBe(probeTopic)
    expect(test.history.size.messages).toBe(0)
  })
})

describe('a request', () => {
  it('that spans several batches gets all its receipts at once, in their order', () => {
    const test = new TestBroker()
    const answer = test.request(...repeat(600, i => say(String(i))))
    expect(test.streamed).toHaveLength(2)
    expect(answer.receipts).toBeUndefined()
    test.turn()
    expect(answer.receipts?.map(offsetOf)).toEqual(repeat(600, i => i + 1))
  })

  it('of nothing is answered at once', () => {
    expect(new TestBroker().request().receipts).toEqual([])
  })

  it('of which all is refused is answered at once', () => {
    expect(new TestBroker().request(say('a', '')).receipts?.map(codeOf)).toEqual(['INVALID_TOPIC'])
  })

  it('that cannot be served any more gets one refusal for each message', () => {
    const test = new TestBroker()
    expect(test.broker.refuse('BROKER_UNAVAILABLE', 2).map(codeOf)).toEqual([
      'BROKER_UNAVAILABLE',
      'BROKER_UNAVAILABLE',
    ])
    expect(test.broker.counters.refused).toBe(2)
  })
})

describe('a repeat under an idempotency key', () => {
  it('gets the first id, and nothing is published again', () => {
    const test = new TestBroker()
    const first = test.publish(withKey('k', { payload: 'a' }))
    test.publish(say('between'))
    expect(test.publish(withKey('k', { payload: 'a' }))).toEqual(first)
    expect(test.texts).toEqual(['a', 'between'])
    expect(test.broker.counters).toMatchObject({ published: 2, repeated: 1 })
  })

  it('gets the first id also while the first is under way, in the same turn or the same request', () => {
    const test = new TestBroker()
    const [first, second] = [test.request(withKey('k'), withKey('k')), test.request(withKey('k'))]
    expect(second.receipts).toBeUndefined()
    test.turn()
    expect([first.receipts, second.receipts].flat().map(entry => entry && offsetOf(entry))).toEqual([1, 1, 1])
    expect(test.texts).toHaveLength(1)
  })

  it('gets the first id when the first has filled the batch before', () => {
    const test = new TestBroker()
    const answer = test.request(withKey('k'), ...repeat(300, () => say('x')), withKey('k'))
    test.turn()
    expect([offsetOf(answer.receipts?.[0]), offsetOf(answer.receipts?.at(-1))]).toEqual([1, 1])
    expect(test.texts).toHaveLength(301)
  })

  it.each([
    ['payload', { payload: 'b' }],
    ['type', { payload: 'a', type: 't' }],
    ['kind of payload', { payload: 'a', binary: true }],
  ])('with another %s is a conflict', (_, fields) => {
    const test = new TestBroker()
    const underWay = test.request(withKey('k', { payload: 'a' }), withKey('k', fields))
    test.turn()
    expect(underWay.receipts?.map(codeOf)).toEqual([undefined, 'KEY_CONFLICT'])
    expect(test.publish(withKey('k', fields)).map(codeOf)).toEqual(['KEY_CONFLICT'])
    expect(test.texts).toEqual(['a'])
  })

  it('is none for another identity or another topic', () => {
    const test = new TestBroker()
    const receipts = test.publish(
      withKey('k', { topic: 'a' }, 'amy'),
      withKey('k', { topic: 'a' }, 'bob'),
      withKey('k', { topic: 'b' }, 'amy'),
      withKey('k', { topic: 'a' }, 'amy'),
    )
    expect(receipts.map(offsetOf)).toEqual([1, 2, 3, 1])
  })

  it('is a new message when the time of the key is over', () => {
    const test = new TestBroker({ idempotencyMs: 1000 })
    const receipts = [0, 1000, 1001].flatMap(sinceMs => {
      test.nowMs = 10_000 + sinceMs
      return test.publish(withKey('k'))
    })
    expect(receipts.map(offsetOf)).toEqual([1, 1, 2])
  })

  it('is a new message when too many keys have come since', () => {
    const test = new TestBroker({ maxIdempotencyKeys: 2 })
    const receipts = test.publish(...['a', 'b', 'c', 'a', 'c'].map(key => withKey(key)))
    expect(receipts.map(offsetOf)).toEqual([1, 2, 3, 4, 3])
  })

  it('gets the first id across a restart', () => {
    const test = new TestBroker()
    const first = test.publish(withKey('k', { payload: 'a' }), withKey('l', { payload: 'a' }))
    const next = test.restarted()
    expect(next.publish(withKey('k', { payload: 'a' }), withKey('l', { payload: 'b' }))).toMatchObject([
      first[0],
      { error: { code: 'KEY_CONFLICT' } },
    ])
    expect(next.streamed).toEqual([])
  })

  it.each([
    ['empty', ''],
    ['not ASCII', 'ü'],
    ['more than a line', 'a\nb'],
    ['with a NUL', 'a\0'],
    ['too long', 'x'.repeat(256)],
  ])('has no key that is %s', (_, key) => {
    const test = new TestBroker()
    expect(test.publish(withKey(key)).map(codeOf)).toEqual(['INVALID_KEY'])
    expect(test.streamed).toEqual([])
  })

  it('has a key of up to 255 printable characters, spaces included', () => {
    const test = new TestBroker()
    expect(test.publish(withKey('x'.repeat(255)), withKey(' ~')).map(codeOf)).toEqual([undefined, undefined])
  })
})

describe('a journal that cannot be written', () => {
  it('makes every message of the batch fail: no receipt, nothing streamed, nothing in the history', () => {
    const test = new TestBroker()
    test.isDiskFull = true
    const [one, other] = [test.request(withKey('k'), say('b')), test.request(withKey('k'))]
    test.broker.accept(say('c'))
    test.turn()

    expect([one.receipts, other.receipts].flat().map(entry => entry && codeOf(entry))).toEqual(
      repeat(3, () => 'JOURNAL_FAILED'),
    )
    expect([test.streamed, test.plain, test.history.size.messages]).toEqual([[], [], 0])
    expect(test.journalFailures).toHaveLength(1)
    expect(test.broker.counters).toMatchObject({ published: 0, refused: 3 })
    expect(test.broker.position.offset).toBe(0)
  })

  it('leaves no key behind', () => {
    const test = new TestBroker()
    test.isDiskFull = true
    test.publish(withKey('k', { payload: 'a' }))
    test.isDiskFull = false
    expect(offsetOf(test.publish(withKey('k', { payload: 'b' }))[0])).toBe(1)
    expect(test.texts).toEqual(['b'])
  })

  it('gives no id twice once it can be written again', () => {
    const test = new TestBroker()
    const given = [...test.publish(say('a')), ...test.publish(say('b'))]
    test.isDiskFull = true
    expect(test.publish(say('lost')).map(codeOf)).toEqual(['JOURNAL_FAILED'])
    test.isDiskFull = false
    given.push(...test.publish(say('c')))
    expect(given.map(offsetOf)).toEqual([1, 2, 3])
    expect(test.texts).toEqual(['a', 'b', 'c'])
    expect(test.restarted().broker.position.offset).toBe(3)
  })

  it('fails a part of a request, and the rest of it gets its place', () => {
    const test = new TestBroker()
    const answer = test.request(...repeat(256, () => say('x')), withKey('k'))
    test.isDiskFull = true
    test.turn()
    test.isDiskFull = false
    expect(answer.receipts?.map(codeOf)).toEqual([...repeat(256, () => undefined), 'JOURNAL_FAILED'])

    const next = test.request(...repeat(300, () => say('y')))
    test.turn()
    expect(next.receipts?.map(offsetOf)).toEqual(repeat(300, i => 257 + i))
  })

  it('fails the batch that a long request has filled, and the rest of it gets its place', () => {
    const test = new TestBroker()
    test.isDiskFull = true
    const answer = test.request(...repeat(257, () => say('x')))
    test.isDiskFull = false
    test.turn()
    expect(answer.receipts?.map(codeOf)).toEqual([...repeat(256, () => 'JOURNAL_FAILED'), undefined])
    expect(offsetOf(answer.receipts?.at(-1))).toBe(1)
  })
})

describe('receipts while the functions cannot follow', () => {
  const lagging = { maxLagBytes: 500, maxWithheldBytes: 5000 }

  function begin() {
    const test = new TestBroker(lagging)
    test.flow.report('p', 0, 0)
    test.publish(publication({ payload: '' }))
    const answer = test.request(say('x'.repeat(200)))
    test.turn()
    return { test, answer }
  }

  it('are withheld, although the messages are in the log and streamed', () => {
    const { test, answer } = begin()
    expect(answer.receipts).toBeUndefined()
    expect(test.texts).toHaveLength(2)
    test.flow.report('p', 2, 0)
    expect(answer.receipts?.map(offsetOf)).toEqual([2])
  })

  it('are given in the order of their requests', () => {
    const { test, answer } = begin()
    const order: number[] = []
    for (const name of [1, 2, 3]) test.broker.publish([{ publication: say('y') }], () => order.push(name))
    test.turn()
    expect(order).toEqual([])
    test.flow.report('p', test.broker.position.offset, 0)
    expect(answer.receipts).toBeDefined()
    expect(order).toEqual([1, 2, 3])
  })

  it('are withheld up to a bound; beyond it publishers are told at once, with the limit and its setting', () => {
    const { test } = begin()
    let taken = 0
    let told: ReceiptEntry | undefined
    while (!told && taken < 1000) {
      const { receipts } = test.request(say(''))
      test.turn()
      taken++
      told = receipts?.[0]
    }
    expect(told).toMatchObject({ error: { code: 'BACKLOG_FULL', limit: 5000, setting: 'maxWithheldBytes' } })
    expect(taken).toBeLessThan(100)

    test.flow.report('p', test.broker.position.offset, 0)
    expect(test.publish(say('again')).map(codeOf)).toEqual([undefined])
  })

  it('of repeats are bounded too', () => {
    const { test } = begin()
    test.request(withKey('k'))
    test.turn()
    const answers = repeat(100, () => test.request(withKey('k')))
    expect(answers.some(({ receipts }) => codeOf(receipts?.[0]) === 'BACKLOG_FULL')).toBe(true)
    expect(test.texts).toHaveLength(3)
  })

  it('are given when the functions have fallen silent', () => {
    const { test, answer } = begin()
    test.flow.expire(2000)
    expect(answer.receipts).toBeDefined()
  })

  it('hold back no message that expects none', () => {
    const { test } = begin()
    test.broker.accept(say('without'))
    test.turn()
    expect(test.texts.at(-1)).toBe('without')
  })
})

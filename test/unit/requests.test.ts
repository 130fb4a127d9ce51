import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type BrokerStatus,
  decodeReply,
  encodePublications,
  type PosternError,
  protocolVersion,
  type Reply,
} from '#protocol'
import { Audience } from '../../broker/audience.ts'
import { openAuthority } from '../../broker/auth/authority.ts'
import { Requests } from '../../broker/listeners/requests.ts'
import { publication, textOf } from '../support/publications.ts'
import { messagesOf, TestBroker } from '../support/test-broker.ts'

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

const figures: BrokerStatus = {
  version: '1',
  epoch: 'aaaaaaaaaaaa',
  last: 0,
  uptimeMs: 1,
  residentBytes: 0,
  peers: 0,
  subscribers: 0,
  delivered: 0,
  tcpConnections: 0,
  publishedPerS: 0,
  deliveredPerS: 0,
  topics: 0,
  historyMessages: 0,
  historyBytes: 0,
  tailBytes: 0,
  withheldReceipts: 0,
  pullers: 0,
  pushMessages: 0,
  pushBytes: 0,
  unflushedMessages: 0,
  unflushedBytes: 0,
  receivers: 0,
  keptMessages: 0,
  keptBytes: 0,
  counters: { published: 0 },
}

interface Received {
  readonly head: Reply
  readonly batches: readonly Uint8Array[]
}

function begin() {
  const test = new TestBroker()
  const malformed: PosternError[] = []
  const audience = new Audience()
  const requests = new Requests({
    broker: test.broker,
    flow: test.flow,
    audience,
    delivery: test.delivery,
    remoteReceivers: { take: () => {} },
    session: 'this-session',
    monotonicMs: () => test.nowMs,
    stream: () => ['tcp://127.0.0.1:6001'],
    status: () => figures,
    topics: after => ({ topics: [], more: after === undefined }),
    authority: openAuthority,
    onMalformed: error => malformed.push(error),
  })
  /** Hands over frames; the replies come into the list that is given back. */
  const send = (frames: readonly Uint8Array[]) => {
    const received: Received[] = []
    requests.handle('peer', frames, ([first = new Uint8Array(), ...batches]) => {
      const head = decodeReply(first)
      if (!head) throw new Error('the reply cannot be read')
      received.push({ head, batches })
    })
    return received
  }
  /** One reply, after the end of the turn. */
  const ask = (head: unknown, ...more: readonly Uint8Array[]) => {
    const received = send([bytesOf(head), ...more])
    test.turn()
    expect(received).toHaveLength(1)
    return received[0]
  }
  return { test, audience, malformed, send, ask }
}

const publish = (fields: Record<string, unknown> = {}) => ({
  op: 'publish',
  seq: 5,
  session: 'this-session',
  deadlineMs: 10_000,
  ...fields,
})
const oneMessage = encodePublications([publication({ payload: 'a' })])

describe('hello', () => {
  it('tells where the log stands, and all that a functions process needs', () => {
    const { test, ask } = begin()
    test.publish(publication())
    test.nowMs = 777
    expect(ask({ op: 'hello', seq: 3, version: protocolVersion })?.head).toEqual({
      op: 'hello',
      seq: 3,
      version: protocolVersion,
      session: 'this-session',
      epoch: 'aaaaaaaaaaaa',
      last: 1,
      clockMs: 777,
      stream: ['tcp://127.0.0.1:6001'],
      defaultTopic: 'chat',
      maxPayloadBytes: 256 * 1024,
      access: { isOpen: true, version: 'open' },
    })
  })

  it.each([0, 1, 99])('refuses version %i', version => {
    expect(begin().ask({ op: 'hello', seq: 3, version })?.head).toMatchObject({
      op: 'error',
      seq: 3,
      error: { code: 'UNSUPPORTED_VERSION' },
    })
  })
})

describe('a position with figures', () => {
  it('may tell who is connected to the functions', () => {
    const { test, audience, ask } = begin()
    const position = { op: 'position', seq: 4, session: 'this-session', offset: 0 }
    ask({ ...position, subscribers: 3, delivered: 0 })
    ask({ ...position, subscribers: 2, delivered: 9 })
    ask(position)
    expect([audience.subscribers, audience.delivered, test.flow.peers]).toEqual([2, 9, 1])
  })

  it.each([{ subscribers: 1 }, { delivered: 1 }, { subscribers: -1, delivered: 1 }])('refuses %o', part => {
    const { audience, ask } = begin()
    const reply = ask({ op: 'position', seq: 4, session: 'this-session', offset: 0, ...part })
    expect(reply?.head).toMatchObject({ op: 'error', error: { code: 'INVALID_REQUEST' } })
    expect(audience.subscribers).toBe(0)
  })
})

describe('topics', () => {
  it('begin after a name, or with the first', () => {
    const { ask } = begin()
    expect(ask({ op: 'topics', seq: 6 })?.head).toEqual({ op: 'topics', seq: 6, topics: [], more: true })
    expect(ask({ op: 'topics', seq: 6, after: 'a' })?.head).toMatchObject({ more: false })
    expect(ask({ op: 'topics', seq: 6, after: 7 })?.head).toMatchObject({ op: 'error' })
  })
})

describe('a publish', () => {
  it('gets a receipt or an error for each record, in their order', () => {
    const { test, ask } = begin()
    const batch = encodePublications([
      publication({ payload: 'a' }),
      publication({ topic: 'a//b' }),
      publication({ payload: 'c' }),
    ])
    expect(ask(publish(), batch)?.head).toMatchObject({
      op: 'receipts',
      seq: 5,
      receipts: [{ id: 'aaaaaaaaaaaa-1' }, { error: { code: 'INVALID_TOPIC' } }, { id: 'aaaaaaaaaaaa-2' }],
    })
    expect(test.texts).toEqual(['a', 'c'])
  })

  it('is answered when its messages are in the log, and not before', () => {
    const { test, send } = begin()
    const received = send([bytesOf(publish()), oneMessage])
    expect([received.length, test.texts]).toEqual([0, []])
    test.turn()
    expect([received.length, test.texts]).toEqual([1, ['a']])
  })

  it('after its deadline is refused, and nothing of it is ever in the log', () => {
    const { test, ask } = begin()
    test.nowMs = 10_001
    const keys = [{ at: 0, key: 'k', identity: '' }]
    expect(ask(publish({ keys }), oneMessage)?.head).toMatchObject({
      op: 'receipts',
      receipts: [{ error: { code: 'BROKER_UNAVAILABLE' } }],
    })
    test.turn()
    expect(test.texts).toEqual([])
    expect(ask(publish({ keys, deadlineMs: 10_001 }), oneMessage)?.head).toMatchObject({
      receipts: [{ id: 'aaaaaaaaaaaa-1' }],
    })
  })

  it('that was meant for another process of the broker is refused', () => {
    const { test, ask } = begin()
    const two = encodePublications([publication(), publication()])
    expect(ask(publish({ session: 'an-earlier-one' }), two)?.head).toMatchObject({
      op: 'receipts',
      receipts: [{ error: { code: 'UNKNOWN_SESSION' } }, { error: { code: 'UNKNOWN_SESSION' } }],
    })
    expect(test.texts).toEqual([])
  })

  it('has its keys belong to its records', () => {
    const { ask } = begin()
    const batch = encodePublications([publication(), publication(), publication()])
    const keys = [0, 2].map(at => ({ at, key: 'k', identity: 'amy' }))
    expect(ask(publish({ keys }), batch)?.head).toMatchObject({
      receipts: [{ id: 'aaaaaaaaaaaa-1' }, { id: 'aaaaaaaaaaaa-2' }, { id: 'aaaaaaaaaaaa-1' }],
    })
  })

  it('of bytes that claim to be a text is published as bytes', () => {
    const { test, ask } = begin()
    ask(
      publish(),
      encodePublications([publication({ payload: new Uint8Array([0xff]) }), publication({ payload: 'ü' })]),
    )
    expect(test.streamed[0]?.messages.map(({ binary }) => binary)).toEqual([true, false])
  })

  it.each([
    ['no batch', []],
    ['something else than a batch', [bytesOf('a')]],
    ['a batch that was cut', [oneMessage.subarray(0, -1)]],
    ['a frame too many', [oneMessage, oneMessage]],
  ])('with %s is refused', (_, frames) => {
    const { test, ask, malformed } = begin()
    expect(ask(publish(), ...frames)?.head).toMatchObject({
      op: 'error',
      seq: 5,
      error: { code: 'INVALID_REQUEST' },
    })
    expect([test.texts, malformed.length]).toEqual([[], 1])
  })

  it('with a key for a record that is not there is refused whole', () => {
    const { test, ask } = begin()
    const keys = [{ at: 1, key: 'k', identity: '' }]
    expect(ask(publish({ keys }), oneMessage)?.head).toMatchObject({ error: { code: 'INVALID_REQUEST' } })
    expect(test.texts).toEqual([])
  })

  it('of nothing gets no receipts', () => {
    expect(begin().ask(publish(), encodePublications([]))?.head).toMatchObject({
      op: 'receipts',
      receipts: [],
    })
  })
})

describe('a replay', () => {
  it('comes as a head and batches', () => {
    const { test, ask } = begin()
    test.publish(
      publication({ topic: 'a', payload: '1' }),
      publication({ topic: 'b' }),
      publication({ topic: 'a/c', payload: '3' }),
    )
    const reply = ask({ op: 'replay', seq: 9, topics: ['a'], since: 'aaaaaaaaaaaa-0' })
    expect(reply?.head).toEqual({
      op: 'replay',
      seq: 9,
      gap: false,
      from: 'aaaaaaaaaaaa-0',
      through: 'aaaaaaaaaaaa-3',
      more: false,
    })
    expect(messagesOf(reply?.batches ?? []).map(textOf)).toEqual(['1', '3'])
    expect(
      messagesOf(ask({ op: 'replay', seq: 9, topics: ['a'], exact: true, last: 5 })?.batches ?? []).map(
        textOf,
      ),
    ).toEqual(['1'])
    expect(
      messagesOf(ask({ op: 'replay', seq: 9, topics: null, since: 'aaaaaaaaaaaa-1' })?.batches ?? []),
    ).toHaveLength(3)
  })

  it('of a topic that is not valid is refused', () => {
    expect(begin().ask({ op: 'replay', seq: 9, topics: ['a', 'b//c'] })?.head).toMatchObject({
      op: 'error',
      seq: 9,
      error: { code: 'INVALID_TOPIC' },
    })
  })
})

describe('a position', () => {
  it('is noted for its peer and answered with where the log stands', () => {
    const { test, ask } = begin()
    test.publish(publication(), publication())
    expect(ask({ op: 'position', seq: 1, session: 'this-session', offset: 1 })?.head).toEqual({
      op: 'position',
      seq: 1,
      epoch: 'aaaaaaaaaaaa',
      last: 2,
      access: { isOpen: true, version: 'open' },
    })
    expect(test.flow.peers).toBe(1)
  })

  it('that was meant for another process of the broker is refused, and not noted', () => {
    const { test, ask } = begin()
    expect(ask({ op: 'position', seq: 1, session: 'another', offset: 1 })?.head).toMatchObject({
      op: 'error',
      seq: 1,
      error: { code: 'UNKNOWN_SESSION' },
    })
    expect(test.flow.peers).toBe(0)
  })
})

describe('a pull', () => {
  const pull = (steps: Record<string, unknown> = {}) => ({
    op: 'pull',
    seq: 8,
    session: 'this-session',
    ...steps,
  })
  const pushed = encodePublications([publication({ topic: '$push/jobs', payload: 'a' })])

  it('tells of the pullers of its peer, and is answered with how many there are', () => {
    const { test, ask } = begin()
    const open = [1, 2].map(pull => ({ pull, topic: '$push/jobs' }))
    expect(ask(pull({ open }))?.head).toEqual({ op: 'pull', seq: 8, pullers: 2 })
    ask(publish(), pushed)
    expect(test.handed).toEqual(['peer 1 a'])
    expect(ask(pull({ close: [1] }))?.head).toEqual({ op: 'pull', seq: 8, pullers: 1 })
    expect(test.handed).toEqual(['peer 1 a', 'peer 2 a'])
    ask(pull({ flushed: [{ pull: 2, offsets: [1] }] }))
    expect(test.delivery.counters).toEqual({ flushed: 1, returned: 1, pushExpired: 0 })
  })

  it('that was meant for another process of the broker is refused, and changes nothing', () => {
    const { test, ask } = begin()
    const open = [{ pull: 1, topic: '$push/jobs' }]
    expect(ask({ ...pull({ open }), session: 'another' })?.head).toMatchObject({
      op: 'error',
      seq: 8,
      error: { code: 'UNKNOWN_SESSION' },
    })
    expect(test.delivery.pullers).toBe(0)
  })

  it.each(['jobs', '$bus/jobs', '$push/', '$push/a//b', '$push/a/', ''])(
    'from %j is refused whole',
    topic => {
      const { test, ask } = begin()
      const open = [
        { pull: 1, topic: '$push/jobs' },
        { pull: 2, topic },
      ]
      expect(ask(pull({ open }))?.head).toMatchObject({ op: 'error', error: { code: 'INVALID_TOPIC' } })
      expect(test.delivery.pullers).toBe(0)
    },
  )

  it.each([
    { open: [{ pull: 1 }] },
    { open: [{ pull: -1, topic: '$push/a' }] },
    { flushed: [{ pull: 1, offsets: ['1'] }] },
    { returned: [{ offsets: [1] }] },
    { close: ['1'] },
    { close: 1 },
  ])('with %j cannot be understood', steps => {
    expect(begin().ask(pull(steps))?.head).toMatchObject({ op: 'error', error: { code: 'INVALID_REQUEST' } })
  })
})

describe('status', () => {
  it('tells the figures', () => {
    expect(begin().ask({ op: 'status', seq: 1 })?.head).toEqual({ op: 'status', seq: 1, status: figures })
  })
})

describe('a malformed request', () => {
  it.each([
    ['no frame at all', [], null],
    ['an empty frame', [new Uint8Array()], null],
    ['a frame that is no JSON', [new Uint8Array([0xff])], null],
    ['a batch in front', [oneMessage], null],
    ['JSON without an op', [bytesOf({ seq: 4 })], 4],
    ['JSON without a seq', [bytesOf({ op: 'status' })], null],
  ])('with %s is answered with an error and counted', (_, frames, seq) => {
    const { send, malformed } = begin()
    expect(send(frames)).toMatchObject([{ head: { op: 'error', seq, error: { code: 'INVALID_REQUEST' } } }])
    expect(malformed).toHaveLength(1)
  })

  it('of any frames gets one answer and never throws', () => {
    const frame = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.constant(oneMessage),
      fc.constant(oneMessage.subarray(3)),
      fc.jsonValue().map(bytesOf),
      fc
        .record(
          {
            op: fc.constantFrom('hello', 'publish', 'replay', 'position', 'pull', 'status', 'other'),
            seq: fc.constantFrom(0, 1, -1, 'x'),
            version: fc.constantFrom(0, 1, null),
            session: fc.constantFrom('this-session', 'other', 5),
            deadlineMs: fc.constantFrom(0, 1e9, 'x'),
            keys: fc.constantFrom(
              [],
              [{ at: 0, key: 'k', identity: '' }],
              [{ at: 7, key: '', identity: '' }],
              'x',
            ),
            topics: fc.constantFrom(null, [], ['a'], ['', 'a//b'], ['$probe'], 'a'),
            exact: fc.constantFrom(true, 1),
            since: fc.constantFrom('', 'x', 'aaaaaaaaaaaa-0', 'aaaaaaaaaaaa-99', 0),
            last: fc.constantFrom(0, 5, Number.MAX_SAFE_INTEGER, -1),
            open: fc.constantFrom([], [{ pull: 1, topic: '$push/a' }], [{ pull: 1, topic: '' }], 'x'),
            flushed: fc.constantFrom([], [{ pull: 1, offsets: [1] }], [1]),
            returned: fc.constantFrom([], [{ pull: 1, offsets: [1] }], null),
            close: fc.constantFrom([], [1], [-1]),
            offset: fc.constantFrom(0, Number.MAX_SAFE_INTEGER, -1),
          },
          { requiredKeys: ['op', 'seq'] },
        )
        .map(bytesOf),
    )
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 3 }), frames => {
        const { test, send } = begin()
        const received = send(frames)
        test.turn()
        expect(received).toHaveLength(1)
      }),
      { numRuns: 500 },
    )
  })
})

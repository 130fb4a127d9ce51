import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeReply, decodeRequest, encodeHead, type Reply, type Request } from '#protocol'

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))

const requests: Request[] = [
  { op: 'hello', seq: 1, version: 1 },
  {
    op: 'publish',
    seq: 2,
    session: 's',
    deadlineMs: 1.5,
    keys: [{ at: 0, key: 'k', identity: '' }],
  },
  { op: 'replay', seq: 3, topics: ['a', 'b/c'], exact: true, since: 'aaaaaaaaaaaa-1' },
  { op: 'replay', seq: 3, topics: null, exact: false, last: 5 },
  { op: 'position', seq: 4, session: 's', offset: 0 },
  {
    op: 'pull',
    seq: 5,
    session: 's',
    open: [{ pull: 1, topic: '$push/a' }],
    flushed: [{ pull: 1, offsets: [7, 8] }],
    returned: [{ pull: 1, offsets: [] }],
    close: [2],
  },
  { op: 'pull', seq: 5, session: 's', open: [], flushed: [], returned: [], close: [] },
  { op: 'authorize', seq: 6, credential: { kind: 'none' }, address: '192.0.2.1' },
  {
    op: 'authorize',
    seq: 6,
    credential: { kind: 'password', name: 'amy', password: 'secret' },
    address: '192.0.2.1',
  },
  {
    op: 'authorize',
    seq: 6,
    credential: { kind: 'password', name: 'amy', password: 'secret' },
    address: '',
    login: true,
  },
  { op: 'authorize', seq: 6, credential: { kind: 'token', token: 'a.b.c' }, address: '192.0.2.1' },
  { op: 'status', seq: Number.MAX_SAFE_INTEGER },
]

const error = { code: 'INTERNAL', message: 'no' } as const
const replies: Reply[] = [
  {
    op: 'hello',
    seq: 1,
    version: 1,
    session: 's',
    epoch: 'aaaaaaaaaaaa',
    last: 0,
    clockMs: 1.5,
    stream: ['tcp://127.0.0.1:1'],
    defaultTopic: 'chat',
    maxPayloadBytes: 1,
    access: { isOpen: true, version: 'open' },
  },
  { op: 'receipts', seq: 2, receipts: [{ id: 'aaaaaaaaaaaa-1' }, { error }] },
  { op: 'replay', seq: 3, gap: false, from: 'aaaaaaaaaaaa-1', through: 'aaaaaaaaaaaa-2', more: true },
  { op: 'position', seq: 4, epoch: 'aaaaaaaaaaaa', last: 3, access: { isOpen: false, version: '1' } },
  {
    op: 'authorize',
    seq: 6,
    access: { isOpen: false, version: '1' },
    rights: {
      identity: 'token:amy',
      isOpen: false,
      grants: [{ publish: ['a/*'], subscribe: ['a/**'], history: false }],
      scope: { publish: [], subscribe: ['a/b'] },
      expiresMs: 1,
    },
  },
  { op: 'pull', seq: 5, pullers: 0 },
  { op: 'hand', seq: null, to: [1, 1], untilMs: 1.5 },
  { op: 'error', seq: 5, error },
  { op: 'error', seq: null, error },
]

/** JSON that looks like a head, with something wrong in most of its fields. */
const heads = fc.dictionary(
  fc.constantFrom(
    ...[
      'op',
      'seq',
      'version',
      'session',
      'deadlineMs',
      'keys',
      'topics',
      'exact',
      'since',
      'last',
      'offset',
      'open',
      'flushed',
      'returned',
      'close',
    ],
    ...['epoch', 'clockMs', 'stream', 'receipts', 'gap', 'from', 'through', 'more', 'status', 'error'],
    ...['pullers', 'to', 'untilMs', 'access', 'rights', 'credential', 'address'],
  ),
  fc.oneof(
    fc.constantFrom(
      'hello',
      'publish',
      'replay',
      'position',
      'pull',
      'hand',
      'status',
      'receipts',
      'error',
      0,
      1,
      -1,
      0.5,
      null,
    ),
    fc.jsonValue({ maxDepth: 2 }),
  ),
  { minKeys: 1 },
)

describe('a request', () => {
  it.each(requests.map(request => [request.op, request]))('%s is read as it was written', (_, request) =>
    expect(decodeRequest(encodeHead(request))).toEqual(request),
  )

  it('may leave out what has a default, and hold what is not known', () => {
    expect(decodeRequest(bytesOf({ op: 'publish', seq: 0, session: '', deadlineMs: -1, later: {} }))).toEqual(
      {
        op: 'publish',
        seq: 0,
        session: '',
        deadlineMs: -1,
        keys: [],
      },
    )
    expect(decodeRequest(bytesOf({ op: 'replay', seq: 0, topics: [] }))).toEqual({
      op: 'replay',
      seq: 0,
      topics: [],
      exact: false,
    })
  })

  it.each([
    ['nothing', new Uint8Array(), null, 'JSON object'],
    ['bytes that are not UTF-8', new Uint8Array([0x22, 0xff, 0x22]), null, 'JSON object'],
    ['another JSON value', bytesOf([1]), null, 'JSON object'],
    ['half of one', new TextEncoder().encode('{"op":"status"'), null, 'JSON object'],
    ['no seq', bytesOf({ op: 'status' }), null, '"seq"'],
    ['a seq that is no count', bytesOf({ op: 'status', seq: -1 }), null, '"seq"'],
    ['no op', bytesOf({ seq: 7 }), 7, '"op"'],
    ['an unknown op', bytesOf({ op: 'toString', seq: 7 }), 7, '"op"'],
    ['a hello without a version', bytesOf({ op: 'hello', seq: 7 }), 7, '"version"'],
    ['a publish without a session', bytesOf({ op: 'publish', seq: 7, deadlineMs: 1 }), 7, '"session"'],
    [
      'a deadline that is a text',
      bytesOf({ op: 'publish', seq: 7, session: '', deadlineMs: '1' }),
      7,
      '"deadlineMs"',
    ],
    [
      'a deadline past all numbers',
      new TextEncoder().encode('{"op":"publish","seq":7,"session":"","deadlineMs":1e999}'),
      7,
      '"deadlineMs"',
    ],
    [
      'keys of another form',
      bytesOf({ op: 'publish', seq: 7, session: '', deadlineMs: 1, keys: [{ at: 0 }] }),
      7,
      '"keys"',
    ],
    ['topics that are a text', bytesOf({ op: 'replay', seq: 7, topics: 'a' }), 7, '"topics"'],
    ['topics that are left out', bytesOf({ op: 'replay', seq: 7 }), 7, '"topics"'],
    ['an "exact" that is a number', bytesOf({ op: 'replay', seq: 7, topics: [], exact: 1 }), 7, '"exact"'],
    ['a "since" that is a number', bytesOf({ op: 'replay', seq: 7, topics: [], since: 1 }), 7, '"since"'],
    ['a "last" below zero', bytesOf({ op: 'replay', seq: 7, topics: [], last: -1 }), 7, '"last"'],
    [
      'a credential of another kind',
      bytesOf({ op: 'authorize', seq: 7, address: '', credential: { kind: 'key' } }),
      7,
      '"credential"',
    ],
    [
      'a login without a password',
      bytesOf({ op: 'authorize', seq: 7, address: '', credential: { kind: 'none' }, login: true }),
      7,
      '"login"',
    ],
    [
      'a password that is a number',
      bytesOf({
        op: 'authorize',
        seq: 7,
        address: '',
        credential: { kind: 'password', name: '', password: 1 },
      }),
      7,
      '"credential"',
    ],
    [
      'a credential without an address',
      bytesOf({ op: 'authorize', seq: 7, credential: { kind: 'none' } }),
      7,
      '"address"',
    ],
    ['a position without an offset', bytesOf({ op: 'position', seq: 7, session: '' }), 7, '"offset"'],
  ])('with %s is told what is wrong, under its seq where there is one', (_, frame, seq, what) => {
    const broken = expect.stringContaining(what)
    expect(decodeRequest(frame)).toEqual({ broken, seq })
  })

  it('of any JSON is read or told what is wrong with it, and never throws', () => {
    fc.assert(
      fc.property(fc.oneof(heads, fc.jsonValue()), value => {
        const request = decodeRequest(bytesOf(value))
        if ('broken' in request) expect(request.broken).not.toBe('')
        else expect(decodeRequest(encodeHead(request))).toEqual(request)
      }),
      { numRuns: 2000 },
    )
  })

  it('of any bytes never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array(), bytes => {
        expect(decodeRequest(bytes)).toMatchObject({ seq: null })
      }),
    )
  })
})

describe('a reply', () => {
  it.each(replies.map(reply => [reply.op, reply]))('%s is read as it was written', (_, reply) =>
    expect(decodeReply(encodeHead(reply))).toEqual(reply),
  )

  it.each([
    [
      'an error of a code that nobody knows',
      { op: 'error', seq: 1, error: { code: 'toString', message: '' } },
    ],
    ['an error without a text', { op: 'error', seq: 1, error: { code: 'INTERNAL' } }],
    ['anything but an error without a seq', { op: 'position', seq: null, epoch: 'aaaaaaaaaaaa', last: 1 }],
    ['a receipt that is neither', { op: 'receipts', seq: 1, receipts: [{}] }],
    ['no op', { seq: 1 }],
  ])('that is %s is not taken for one', (_, head) => expect(decodeReply(bytesOf(head))).toBeUndefined())

  it('of any JSON never throws', () => {
    fc.assert(
      fc.property(fc.oneof(heads, fc.jsonValue()), value => {
        expect(() => decodeReply(bytesOf(value))).not.toThrow()
      }),
      { numRuns: 1000 },
    )
  })
})

import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Dealer, Push } from 'zeromq'
import { decodeReply, encodeHead, encodePublications, protocolVersion } from '#protocol'
import {
  captureHttp,
  captureIngest,
  captureRequests,
  captureSubscriber,
  captureTcp,
  captureWebsocket,
} from '../support/fuzz/captures.ts'
import { HealthyClients } from '../support/fuzz/healthy.ts'
import { LogWatch } from '../support/fuzz/log-watch.ts'
import { type Capture, mutated, mutatedBytes, mutatedValue } from '../support/fuzz/mutation.ts'
import { Random } from '../support/fuzz/random.ts'
import { intrude } from '../support/fuzz/stranger.ts'
import { defaultTopic, names, strangersPlace, Target } from '../support/fuzz/target.ts'

/** How long each door is tried: shortly with all other tests, longer by `npm run test:fuzz`. */
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 2)

/** Another one each time; the failure tells which. */
const seed = Number(process.env['FUZZ_SEED'] ?? Date.now() % 1_000_000)

const testTimeoutMs = 2 * seconds * 1000 + 60_000

/** Connections at once. */
const crowd = 48

/** What must never be answered, whatever comes. The last is a WebSocket's close with 1011. */
const disgraces = ['HTTP/1.1 500', '"code":"INTERNAL"', '\x88\x02\x03\xf3']

const disgraceIn = (text: string) => disgraces.find(disgrace => text.includes(disgrace))

const isStrangers = (topic: string) => topic === strangersPlace || topic.startsWith(`${strangersPlace}/`)

/**
 * Sends what one round brings, again and again. After each of them both programs run, clients that behave get what is
 * theirs, and at the end nothing is left behind.
 */
async function fuzz(
  target: Target,
  mayBe: (topic: string) => boolean,
  round: (random: Random) => Promise<unknown>,
) {
  const healthy = await HealthyClients.open(target)
  const log = await LogWatch.of(target, topic => topic === healthy.topic || mayBe(topic))
  let isSettled = false
  const random = new Random(seed)
  let count = 0
  const until = performance.now() + seconds * 1000
  try {
    while (performance.now() < until) {
      count++
      await round(random)
      target.assertWell()
      await healthy.exchange()
      expect(log.wrong).toEqual([])
      // The first ones fill caches and pools.
      if (!isSettled && count === 3) {
        isSettled = true
        await target.settled()
      }
    }
    if (isSettled) await target.assertNothingLeft()
    expect(count).toBeGreaterThan(1)
  } catch (error) {
    throw new Error(`FUZZ_SEED=${seed}, round ${count}: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    })
  }
}

/** A crowd of connections, each of which sends a capture with something wrong in it. */
function crowdAt(target: Target, port: number, captures: readonly Capture[]) {
  return async (random: Random) => {
    const sent = Array.from({ length: crowd }, () => mutated(random.pick(captures), random, captures))
    writeFileSync(
      lastRound,
      JSON.stringify(sent.map(pieces => pieces.map(piece => piece.toString('base64')))),
    )
    const answers = await Promise.all(
      sent.map(pieces => intrude(port, pieces, new Random(random.below(2 ** 31)))),
    )
    target.assertWell()
    for (const [at, { text }] of answers.entries())
      expect(
        disgraceIn(text),
        `to ${String(Buffer.concat(sent[at] ?? []).toString('latin1')).slice(0, 3000)}: ${text.slice(0, 2000)}`,
      ).toBeUndefined()
  }
}

/** What was sent last, for whoever looks into a failure: captures hold what differs from run to run. */
const lastRound = join(tmpdir(), 'postern-fuzz-last.json')

describe('bytes that are wrong somewhere', () => {
  it.each([
    ['HTTP', 'http', captureHttp],
    ['WebSockets', 'http', captureWebsocket],
    ['the TCP door', 'tcp', captureTcp],
  ] as const)(
    'at %s end no program, keep nobody waiting, publish nothing elsewhere and leave nothing behind',
    async (_, port, capture) => {
      const target = await Target.start()
      const captures = await capture(target)
      expect(captures.length).toBeGreaterThan(0)
      await fuzz(target, isStrangers, crowdAt(target, target.ports[port], captures))
    },
    testTimeoutMs,
  )

  it.each([
    ['requests', captureRequests],
    ['ingest', captureIngest],
    ['plain', (target: Target) => captureSubscriber(target.ports.plain)],
    ['stream', (target: Target) => captureSubscriber(target.ports.stream)],
  ] as const)(
    'at the %s socket do the same',
    async (socket, capture) => {
      const target = await Target.start()
      const captures = await capture(target)
      expect(captures.length).toBeGreaterThan(0)
      // Who has got as far as this socket may name any topic that there can be.
      await fuzz(target, () => true, crowdAt(target, target.ports[socket], captures))
    },
    testTimeoutMs,
  )
})

describe('bytes that are wrong somewhere, where the sockets ask for keys,', () => {
  it.each([
    ['requests', captureRequests],
    ['ingest', captureIngest],
  ] as const)(
    'at the %s socket let nobody in',
    async (socket, capture) => {
      const target = await Target.start({ isKeyed: true })
      const captures = await capture(target)
      await fuzz(
        target,
        topic => topic === defaultTopic,
        crowdAt(target, target.ports[socket], captures.slice()),
      )
    },
    testTimeoutMs,
  )
})

describe('messages that are wrong somewhere', () => {
  it(
    'are each answered at the requests socket, and change nothing for anybody else',
    async () => {
      const target = await Target.start()
      const dealers = await Asker.of(target)
      await fuzz(
        target,
        () => true,
        random => dealers.round(random),
      )
    },
    testTimeoutMs,
  )

  it(
    'at the ingest socket are messages of a topic that there can be, or refused',
    async () => {
      const target = await Target.start()
      const push = new Push({ linger: 0 })
      push.connect(target.broker.ingest)
      const batch = Buffer.from(encodePublications(publications))
      await fuzz(
        target,
        () => true,
        async random => {
          for (let i = 0; i < crowd; i++)
            await push.send(
              random.oneIn(2)
                ? [Buffer.from(names.plain), mutatedBytes(batch, random)]
                : Array.from({ length: 1 + random.below(4) }, () =>
                    mutatedBytes(random.pick([batch, Buffer.from(names.plain)]), random),
                  ),
            )
        },
      )
      push.close()
    },
    testTimeoutMs,
  )
})

const publications = [
  { topic: names.plain, type: 'news', binary: false, payload: Buffer.from('Hello') },
  { topic: names.durable, type: '', binary: true, payload: Buffer.from([0xff, 0]) },
  { topic: `$push/${names.plain}`, type: '', binary: false, payload: Buffer.from('x'.repeat(300)) },
]

/** Asks what functions ask, each request with something wrong in it. */
class Asker {
  readonly #broker: string
  readonly #session: string
  #seq = 0

  private constructor(broker: string, session: string) {
    this.#broker = broker
    this.#session = session
  }

  static async of({ broker }: Target): Promise<Asker> {
    const dealer = new Dealer({ linger: 0 })
    dealer.connect(broker.requests)
    await dealer.send(encodeHead({ op: 'hello', seq: 0, version: protocolVersion }))
    const [head] = await dealer.receive()
    dealer.close()
    const reply = head && decodeReply(head)
    if (reply?.op !== 'hello') throw new Error('hello was not answered')
    return new Asker(broker.requests, reply.session)
  }

  async round(random: Random): Promise<void> {
    const dealer = new Dealer({ linger: 0 })
    dealer.connect(this.#broker)
    try {
      const count = crowd
      for (let i = 0; i < count; i++) await dealer.send(this.#request(random))
      for (let answered = 0; answered < count; ) {
        // Where the head of a request is empty its answer begins as one to a REQ.
        const head = (await dealer.receive()).find(({ length }) => length > 0) ?? Buffer.alloc(0)
        expect(disgraceIn(head.toString())).toBeUndefined()
        const { op } = JSON.parse(head.toString())
        if (op !== 'hand' && op !== 'deliver') answered++
      }
    } finally {
      dealer.close()
    }
  }

  #request(random: Random): Uint8Array[] {
    const request = random.pick(this.#templates(++this.#seq))
    const head = random.oneIn(5) ? request : mutatedValue(request, random)
    const text = Buffer.from(JSON.stringify(head) ?? '')
    const bytes = random.oneIn(8) ? mutatedBytes(text, random) : text
    const batch = Buffer.from(encodePublications(publications))
    const more = random.oneIn(3) ? [] : [random.oneIn(3) ? batch : mutatedBytes(batch, random)]
    return [bytes, ...more]
  }

  #templates(seq: number): object[] {
    const session = this.#session
    const offsets = [1, 2]
    return [
      { op: 'hello', seq, version: protocolVersion },
      {
        op: 'publish',
        seq,
        session,
        deadlineMs: 1e12,
        keys: [{ at: 0, key: `k${seq}`, identity: 'user:bob' }],
      },
      { op: 'publish', seq, session, deadlineMs: 1e12 },
      { op: 'replay', seq, topics: [names.plain, names.durable], exact: false, last: 3 },
      { op: 'replay', seq, topics: null, exact: true, since: 'aaaaaaaaaaaa-1' },
      { op: 'position', seq, session, offset: seq, subscribers: 1, delivered: 2 },
      {
        op: 'pull',
        seq,
        session,
        open: [{ pull: seq, topic: `$push/${names.plain}` }],
        flushed: [{ pull: seq - 1, offsets }],
        returned: [{ pull: 1, offsets }],
        close: [seq - 3],
      },
      {
        op: 'receive',
        seq,
        session,
        open: [
          { receiver: seq, topic: names.durable, messages: 2, bytes: 100 },
          { receiver: seq - 2, topic: names.durable, stopped: true },
        ],
        acknowledged: [{ receiver: seq - 1, offsets }],
        released: [{ topic: names.durable, ids: ['aaaaaaaaaaaa-1'] }],
        returned: [{ receiver: seq - 1, offsets }],
        close: [seq - 3],
      },
      {
        op: 'authorize',
        seq,
        credential: { kind: 'password', name: 'bob', password: 'wrong' },
        address: `10.0.0.${seq % 250}`,
      },
      { op: 'authorize', seq, credential: { kind: 'token', token: 'a.b.c' }, address: '10.0.0.1' },
      { op: 'status', seq },
      { op: 'topics', seq, after: 'a' },
    ]
  }
}

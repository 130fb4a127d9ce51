import { describe, expect, it } from 'vitest'
import { PosternError, type Publication, type ReceiptEntry } from '#protocol'
import type { Answer, Ask } from '../../broker/client/link.ts'
import { Outbox, type OutboxLink } from '../../broker/client/outbox.ts'
import { settled } from '../support/model-log.ts'
import { publication, readBatch, textOf } from '../support/publications.ts'

interface Asked {
  readonly ask: Ask
  readonly texts: string[]
  readonly reply: (receipts: readonly ReceiptEntry[]) => Promise<void>
  readonly fail: (error: PosternError) => Promise<void>
}

/** An outbox, and the requests that it has made. */
function begin({ ready = () => Promise.resolve() } = {}) {
  const asked: Asked[] = []
  const link: OutboxLink = {
    ready,
    hello: {
      op: 'hello',
      seq: 1,
      version: 1,
      session: 'this-session',
      epoch: 'aaaaaaaaaaaa',
      last: 0,
      clockMs: 0,
      stream: [],
      defaultTopic: 'chat',
      maxPayloadBytes: 16 * 1024 * 1024,
      access: { isOpen: true, version: 'open' },
    },
    brokerMs: fromNowMs => 5000 + fromNowMs,
    request: (ask, _timeoutMs, batch) =>
      new Promise<Answer>((resolve, reject) => {
        const { messages } = readBatch(batch)
        asked.push({
          ask,
          texts: messages.map(textOf),
          reply: receipts => {
            resolve({ head: { op: 'receipts', seq: 1, receipts }, batches: [] })
            return settled()
          },
          fail: error => {
            reject(error)
            return settled()
          },
        })
      }),
  }
  const outbox = new Outbox(link)
  /** Publishes, and notes the outcome when there is one. */
  const publish = (item: Publication, options = {}) => {
    const outcome: { id?: string; code?: string } = {}
    outbox.publish(item, options).then(
      ({ id }) => {
        outcome.id = id
      },
      (error: unknown) => {
        outcome.code = error instanceof PosternError ? error.code : String(error)
      },
    )
    return outcome
  }
  return { asked, publish }
}

const say = (payload: string) => publication({ payload })
const refused = (code: ConstructorParameters<typeof PosternError>[0]) => ({
  error: new PosternError(code).toBody(),
})

describe('what is published within one turn', () => {
  it('travels as one request, and each gets its own receipt', async () => {
    const { asked, publish } = begin()
    const outcomes = ['a', 'b', 'c'].map(text => publish(say(text)))
    await settled()
    await settled()
    expect(asked.map(({ texts }) => texts)).toEqual([['a', 'b', 'c']])
    expect(asked[0]?.ask).toEqual({ op: 'publish', session: 'this-session', deadlineMs: 7000, keys: [] })
    await asked[0]?.reply([{ id: 'x-1' }, refused('INVALID_TOPIC'), { id: 'x-2' }])
    expect(outcomes).toEqual([{ id: 'x-1' }, { code: 'INVALID_TOPIC' }, { id: 'x-2' }])
  })

  it('has its keys belong to its records', async () => {
    const { asked, publish } = begin()
    publish(say('a'))
    publish(say('b'), { idempotencyKey: 'k' })
    publish(say('c'), { idempotencyKey: 'l', identity: 'amy' })
    await settled()
    await settled()
    expect(asked[0]?.ask).toMatchObject({
      keys: [
        { at: 1, key: 'k', identity: '' },
        { at: 2, key: 'l', identity: 'amy' },
      ],
    })
  })

  it('travels as several when it is too much for one', async () => {
    const { asked, publish } = begin()
    const outcomes = Array.from({ length: 300 }, (_, i) =>
      publish(say(String(i)), { idempotencyKey: `k${i}` }),
    )
    await settled()
    await settled()
    expect(asked.map(({ texts }) => texts.length)).toEqual([256, 44])
    expect(asked[1]?.ask).toMatchObject({
      keys: [{ at: 0, key: 'k256' }, ...Array(43).fill(expect.anything())],
    })
    for (const { texts, reply } of asked) await reply(texts.map(text => ({ id: text })))
    expect(outcomes).toEqual(outcomes.map((_, i) => ({ id: String(i) })))
  })
})

describe('a publish', () => {
  it('fails at once while the broker is away', async () => {
    const { asked, publish } = begin({ ready: () => Promise.reject(new PosternError('BROKER_UNAVAILABLE')) })
    const outcome = publish(say('a'))
    await settled()
    expect([outcome, asked]).toEqual([{ code: 'BROKER_UNAVAILABLE' }, []])
  })

  it('is unknown when its reply is lost, and unknown only then', async () => {
    for (const [code, told] of [
      ['RECEIPT_UNKNOWN', 'RECEIPT_UNKNOWN'],
      ['BROKER_UNAVAILABLE', 'BROKER_UNAVAILABLE'],
    ] as const) {
      const { asked, publish } = begin()
      const outcome = publish(say('a'))
      await settled()
      await settled()
      await asked[0]?.fail(new PosternError(code))
      expect(outcome).toEqual({ code: told })
    }
  })

  it('that reached another process of the broker is certainly not published', async () => {
    const { asked, publish } = begin()
    const outcome = publish(say('a'))
    await settled()
    await settled()
    await asked[0]?.reply([refused('UNKNOWN_SESSION')])
    expect(outcome).toEqual({ code: 'BROKER_UNAVAILABLE' })
  })

  it('is unknown when the broker answers less than it was asked', async () => {
    const { asked, publish } = begin()
    const outcomes = [publish(say('a')), publish(say('b'))]
    await settled()
    await settled()
    await asked[0]?.reply([{ id: 'x-1' }])
    expect(outcomes).toEqual([{ id: 'x-1' }, { code: 'RECEIPT_UNKNOWN' }])
  })
})

describe('what waits for the broker', () => {
  const mebibyte = 1024 * 1024

  it('is bounded, and beyond the bound a publish is refused', async () => {
    const { asked, publish } = begin()
    const outcomes = Array.from({ length: 9 }, () =>
      publish(publication({ payload: new Uint8Array(mebibyte) })),
    )
    await settled()
    await settled()
    expect(asked).toHaveLength(7)
    expect(outcomes.map(({ code }) => code)).toEqual([
      ...Array(7).fill(undefined),
      'BACKLOG_FULL',
      'BACKLOG_FULL',
    ])
    await asked[0]?.reply([{ id: 'x-1' }])
    publish(publication({ payload: new Uint8Array(mebibyte) }))
    await settled()
    await settled()
    expect(asked).toHaveLength(8)
  })

  it('may always be one message, however large', async () => {
    const { asked, publish } = begin()
    publish(publication({ payload: new Uint8Array(9 * mebibyte) }))
    await settled()
    await settled()
    expect(asked).toHaveLength(1)
  })
})

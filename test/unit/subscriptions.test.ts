import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatId,
  type Message,
  type Position,
  PosternError,
  type Selection,
  selector,
  Tail,
} from '#protocol'
import type { EndReason, Sink, Start, Subscription } from '../../broker/client/backbone.ts'
import { Subscriptions } from '../../broker/client/subscriptions.ts'
import { Calls, ModelLog, settled } from '../support/model-log.ts'
import { publication } from '../support/publications.ts'

const away = new PosternError('BROKER_UNAVAILABLE')
const below = (...topics: string[]): Selection => ({ topics, exact: false })
const range = (from: number, to: number) =>
  Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)

/** What a sink was told, in its order. */
type Told = { start: number } | { gap: number } | { message: number } | { end: EndReason }

/** A sink that notes what it is told, and is full when a test says so. */
class NotingSink implements Sink {
  readonly told: Told[] = []
  readonly ids: string[] = []
  /** How many calls of `deliver` there were. */
  deliveries = 0
  isFull = false
  onDeliver: () => void = () => {}

  start({ offset }: Position): void {
    this.told.push({ start: offset })
  }

  gap({ offset }: Position): void {
    this.told.push({ gap: offset })
  }

  deliver(messages: readonly Message[]): boolean {
    this.deliveries++
    for (const { offset, id } of messages) {
      this.told.push({ message: offset })
      this.ids.push(id)
    }
    this.onDeliver()
    return !this.isFull
  }

  end(reason: EndReason): void {
    this.told.push({ end: reason })
  }

  get offsets(): number[] {
    return this.told.flatMap(told => ('message' in told ? [told.message] : []))
  }
}

/** Subscriptions behind a broker's log, of which the chain brings batch after batch when a test says so. */
class Setting {
  readonly log: ModelLog
  readonly replays: Calls<[selection: Selection, start: Start], ReturnType<ModelLog['topicsPage']>>
  readonly subscriptions: Subscriptions
  tail: Tail | undefined
  #brought = 0
  readonly #tailBytes: number

  constructor({ maxPageMessages = 3, tailBytes = 1_000_000, maxBufferedBytes = 1000 } = {}) {
    this.#tailBytes = tailBytes
    this.log = new ModelLog(maxPageMessages)
    this.replays = new Calls((selection: Selection, start: Start) => this.log.topicsPage(selection, start))
    this.subscriptions = new Subscriptions({
      maxBufferedBytes,
      tail: () => this.tail,
      replay: this.replays.call,
    })
  }

  /** The broker can be reached: the chain begins at the end of its log. */
  meet(): this {
    this.tail = new Tail(this.#tailBytes, this.log.position)
    this.#brought = this.log.batches.length
    this.subscriptions.wake()
    return this
  }

  /** The chain brings the next batches at once, by default all there are. */
  bring(count = Number.POSITIVE_INFINITY): void {
    const batches = this.log.batches.slice(this.#brought, this.#brought + count)
    this.#brought += batches.length
    for (const batch of batches) this.tail?.push(batch)
    this.subscriptions.deliver(batches)
  }

  /** The chain is broken, and goes on at the end of the log. */
  break(): void {
    if (!this.tail) return
    const old = this.tail.position
    this.tail.restart(this.log.position)
    this.#brought = this.log.batches.length
    this.subscriptions.interrupt(old)
    this.subscriptions.wake()
  }

  async add(
    start: Start = {},
    selection = below('a'),
  ): Promise<{ sink: NotingSink; subscription: Subscription }> {
    const sink = new NotingSink()
    const subscription = this.subscriptions.add(selection, start, sink)
    await settled()
    return { sink, subscription }
  }

  /** One message in a batch of its own for each topic, brought at once. */
  publish(...topics: readonly string[]): void {
    for (const topic of topics) this.log.publish(topic)
    this.bring()
  }

  id(offset: number): string {
    return formatId({ epoch: this.log.epoch, offset })
  }
}

describe('a subscription', () => {
  it('begins at what comes next, when it asks for nothing else', async () => {
    const setting = new Setting().meet()
    setting.publish('a', 'a')
    const { sink, subscription } = await setting.add()
    expect(sink.told).toEqual([{ start: 2 }])
    expect(subscription.caughtUp).toBe(true)
    setting.publish('a', 'b', 'a/b', 'ab')
    expect(sink.told).toEqual([{ start: 2 }, { message: 3 }, { message: 5 }])
    expect(setting.replays.count).toBe(0)
  })

  it('misses nothing that comes between the call and its beginning', async () => {
    const setting = new Setting().meet()
    const sink = new NotingSink()
    setting.subscriptions.add(below('a'), {}, sink)
    setting.publish('a')
    await settled()
    expect(sink.told).toEqual([{ start: 0 }, { message: 1 }])
  })

  it('calls its sink only after whoever subscribes has it in hand', async () => {
    const setting = new Setting().meet()
    setting.publish('a')
    const sink = new NotingSink()
    const subscription: Subscription = setting.subscriptions.add(below('a'), { since: setting.id(0) }, sink)
    sink.onDeliver = () => subscription.close()
    expect(sink.told).toEqual([])
    await settled()
    expect(sink.told).toEqual([{ start: 0 }, { message: 1 }])
  })

  it('gets all that came in one turn at once', async () => {
    const setting = new Setting().meet()
    const { sink } = await setting.add()
    setting.publish('a', 'b', 'a', 'a')
    expect([sink.offsets, sink.deliveries]).toEqual([[1, 3, 4], 1])
  })

  it('shares the list of messages with all that select the same', async () => {
    const setting = new Setting().meet()
    const lists: (readonly Message[])[] = []
    for (let i = 0; i < 2; i++) {
      const sink = new NotingSink()
      setting.subscriptions.add(below('a'), {}, sink)
      sink.deliver = messages => lists.push(messages) > 0
    }
    await settled()
    setting.publish('a')
    expect(lists).toHaveLength(2)
    expect(lists[0]).toBe(lists[1])
  })

  it('resumes out of the tail without asking the broker', async () => {
    const setting = new Setting().meet()
    setting.publish('a', 'b', 'a', 'a')
    const { sink, subscription } = await setting.add({ since: setting.id(1) })
    expect(sink.told).toEqual([{ start: 1 }, { message: 3 }, { message: 4 }])
    expect([subscription.caughtUp, setting.replays.count]).toEqual([true, 0])
    setting.publish('a')
    expect(sink.offsets).toEqual([3, 4, 5])
  })

  it('resumes from the broker what the tail does not reach, page by page, and goes on in the tail', async () => {
    const setting = new Setting()
    for (let i = 0; i < 8; i++) setting.log.publish('a')
    setting.meet().publish('a')
    const { sink, subscription } = await setting.add({ since: setting.id(1) })
    expect([sink.told, subscription.position]).toEqual([[], undefined])
    await setting.replays.answer()
    expect(sink.told).toEqual([{ start: 1 }, ...[2, 3, 4].map(message => ({ message }))])
    expect([subscription.caughtUp, subscription.position?.offset]).toEqual([false, 4])
    setting.publish('a')
    await setting.replays.answerAll()
    expect(sink.offsets).toEqual(range(2, 10))
    expect(subscription.caughtUp).toBe(true)
    setting.publish('a')
    expect(sink.offsets).toEqual(range(2, 11))
  })

  it('gets the last so many, and then what comes', async () => {
    const setting = new Setting({ maxPageMessages: 2 }).meet()
    setting.publish('a', 'a', 'b', 'a', 'a', 'a')
    const { sink } = await setting.add({ history: 4 })
    await setting.replays.answer()
    setting.publish('a')
    await setting.replays.answerAll()
    setting.publish('b', 'a')
    expect(sink.told).toEqual([{ start: 1 }, ...[2, 4, 5, 6, 7, 9].map(message => ({ message }))])
  })

  it('that has an id takes no notice of how many', async () => {
    const setting = new Setting().meet()
    setting.publish('a', 'a', 'a')
    const { sink } = await setting.add({ since: setting.id(2), history: 3 })
    await setting.replays.answerAll()
    expect(sink.offsets).toEqual([3])
  })

  it('gets nothing twice when a replay has come further than the stream', async () => {
    const setting = new Setting({ maxPageMessages: 100 })
    setting.log.publish('a')
    setting.meet()
    for (let i = 0; i < 3; i++) setting.log.publish('a')
    const { sink, subscription } = await setting.add({ since: setting.id(0) })
    await setting.replays.answerAll()
    expect(sink.offsets).toEqual(range(1, 4))
    expect([subscription.caughtUp, subscription.position?.offset]).toEqual([true, 4])
    setting.bring(2)
    expect(subscription.position?.offset).toBe(4)
    setting.log.publish('a')
    setting.bring()
    expect(sink.offsets).toEqual(range(1, 5))
    expect(subscription.position?.offset).toBe(5)
  })

  it('tells where it stands also when nothing comes for it', async () => {
    const setting = new Setting().meet()
    const { subscription } = await setting.add()
    setting.publish('b', 'b')
    expect(subscription.position).toEqual({ epoch: setting.log.epoch, offset: 2 })
  })
})

describe('a broker that is away', () => {
  it('was never reached: the subscription begins when it is', async () => {
    const setting = new Setting()
    setting.log.publish('a')
    const { sink } = await setting.add({ history: 5 })
    await setting.replays.fail(away)
    expect([sink.told, setting.replays.waiting]).toEqual([[], 0])
    setting.meet()
    await setting.replays.answerAll()
    expect(sink.told).toEqual([{ start: 0 }, { message: 1 }])
  })

  it('is asked again when it is back, and not before', async () => {
    const setting = new Setting()
    for (let i = 0; i < 6; i++) setting.log.publish('a')
    setting.meet()
    const { sink } = await setting.add({ since: setting.id(0) })
    await setting.replays.answer()
    await setting.replays.fail(away)
    setting.publish('a')
    expect([sink.offsets, setting.replays.waiting]).toEqual([[1, 2, 3], 0])
    setting.subscriptions.wake()
    await settled()
    await setting.replays.answerAll()
    expect(sink.offsets).toEqual(range(1, 7))
  })
})

describe('a gap', () => {
  it('is told once, after the start and before any message', async () => {
    const setting = new Setting()
    for (let i = 0; i < 6; i++) setting.log.publish('a')
    setting.log.forgotten = 3
    setting.meet()
    const { sink } = await setting.add({ since: setting.id(1) })
    await setting.replays.answerAll()
    expect(sink.told).toEqual([{ start: 1 }, { gap: 1 }, ...[4, 5, 6].map(message => ({ message }))])
  })

  it.each(['', 'nonsense', 'ffffffffffff-1'])('is told for the id %j', async since => {
    const setting = new Setting().meet()
    setting.publish('a')
    const { sink } = await setting.add({ since })
    await setting.replays.answerAll()
    expect(sink.told[0]).toHaveProperty('start')
    expect(sink.told[1]).toHaveProperty('gap')
  })

  it('leaves out what is behind it when the sink closes at it', async () => {
    const setting = new Setting()
    for (let i = 0; i < 6; i++) setting.log.publish('a')
    setting.log.forgotten = 3
    setting.meet()
    const { sink, subscription } = await setting.add({ since: setting.id(1) })
    sink.gap = () => subscription.close()
    await setting.replays.answerAll()
    setting.publish('a')
    expect(sink.told).toEqual([{ start: 1 }])
  })
})

describe('a chain that is broken', () => {
  it('costs a subscription nothing that the history still has', async () => {
    const setting = new Setting().meet()
    const { sink, subscription } = await setting.add()
    setting.publish('a')
    setting.log.publish('a')
    setting.log.publish('a')
    setting.break()
    expect(subscription.caughtUp).toBe(false)
    await setting.replays.answerAll()
    setting.publish('a')
    expect(sink.told).toEqual([{ start: 0 }, ...range(1, 4).map(message => ({ message }))])
    expect(subscription.caughtUp).toBe(true)
  })

  it('is told as a gap where the history does not reach', async () => {
    const setting = new Setting().meet()
    const { sink } = await setting.add()
    setting.publish('a')
    for (let i = 0; i < 3; i++) setting.log.publish('a')
    setting.log.forgotten = 3
    setting.break()
    await setting.replays.answerAll()
    expect(sink.told).toEqual([{ start: 0 }, { message: 1 }, { gap: 1 }, { message: 4 }])
  })

  it('is no gap for topics of which nothing is missing', async () => {
    const setting = new Setting().meet()
    const { sink } = await setting.add({}, below('b'))
    for (let i = 0; i < 3; i++) setting.log.publish('a')
    setting.log.forgotten = 3
    setting.break()
    await setting.replays.answerAll()
    setting.publish('b')
    expect(sink.told).toEqual([{ start: 0 }, { message: 4 }])
  })

  it('by a new epoch is told as a gap, and goes on in it', async () => {
    const setting = new Setting().meet()
    const { sink, subscription } = await setting.add()
    setting.publish('a')
    setting.log.epoch = 'bbbbbbbbbbbb'
    setting.break()
    await setting.replays.answerAll()
    setting.publish('a')
    expect(sink.told).toEqual([{ start: 0 }, { message: 1 }, { gap: 1 }, { message: 2 }])
    expect(subscription.position).toEqual({ epoch: 'bbbbbbbbbbbb', offset: 2 })
  })
})

describe('a replay', () => {
  it('that was long on the way is followed by what the chain has brought meanwhile', async () => {
    const setting = new Setting({ maxPageMessages: 100 })
    for (let i = 0; i < 3; i++) setting.log.publish('a')
    setting.meet()
    const { sink, subscription } = await setting.add({ since: setting.id(0) })
    setting.publish('a', 'a')
    await setting.replays.answerLate()
    expect(sink.offsets).toEqual(range(1, 5))
    expect(subscription.caughtUp).toBe(true)
  })

  it('that knows of a new epoch before the chain does waits for the chain', async () => {
    const setting = new Setting({ maxPageMessages: 100 })
    for (let i = 0; i < 3; i++) setting.log.publish('a')
    setting.meet()
    const { sink, subscription } = await setting.add({ since: setting.id(0) })
    setting.log.epoch = 'bbbbbbbbbbbb'
    await setting.replays.answer()
    expect(sink.told).toEqual([{ start: 0 }, { gap: 0 }, ...range(1, 3).map(message => ({ message }))])
    expect([subscription.caughtUp, setting.replays.waiting]).toEqual([false, 0])

    setting.log.publish('a')
    setting.break()
    await setting.replays.answerAll()
    setting.publish('a')
    expect(sink.offsets).toEqual(range(1, 5))
    expect(subscription.position).toEqual(setting.log.position)
  })
})

describe('a sink that is full', () => {
  it('gets no more until it resumes, and then everything', async () => {
    const setting = new Setting().meet()
    const { sink, subscription } = await setting.add()
    sink.isFull = true
    setting.publish('a')
    expect([sink.offsets, subscription.caughtUp, subscription.position?.offset]).toEqual([[1], false, 1])
    setting.publish('a', 'b')
    setting.publish('a')
    setting.subscriptions.wake()
    await settled()
    expect(sink.offsets).toEqual([1])

    sink.isFull = false
    subscription.resume()
    await settled()
    expect(sink.offsets).toEqual([1, 2, 4])
    expect(subscription.caughtUp).toBe(true)
    setting.publish('a')
    expect(sink.offsets).toEqual([1, 2, 4, 5])
  })

  it('may drain before the end of the turn', async () => {
    const setting = new Setting().meet()
    const { sink, subscription } = await setting.add()
    sink.isFull = true
    sink.onDeliver = () => queueMicrotask(() => subscription.resume())
    for (let i = 0; i < 5; i++) setting.publish('a')
    await settled()
    expect(sink.offsets).toEqual(range(1, 5))

    const other = await setting.add({ since: setting.id(0) })
    expect(other.sink.offsets).toEqual(range(1, 5))
  })

  it('reads in chunks of 64 KiB, so that it can stop between them', async () => {
    const setting = new Setting().meet()
    const payload = new Uint8Array(30_000)
    for (let i = 0; i < 9; i++) setting.log.append([publication({ topic: 'a', payload })])
    setting.bring()
    const sink = new NotingSink()
    sink.isFull = true
    const subscription = setting.subscriptions.add(below('a'), { since: setting.id(0) }, sink)
    await settled()
    expect(sink.offsets).toEqual([1, 2, 3])
    subscription.resume()
    await settled()
    expect(sink.offsets).toEqual(range(1, 6))
  })

  it('that is not full reads all chunks before it counts as caught up', async () => {
    const setting = new Setting().meet()
    const payload = new Uint8Array(30_000)
    for (let i = 0; i < 9; i++) setting.log.append([publication({ topic: 'a', payload })])
    setting.bring()
    const { sink, subscription } = await setting.add({ since: setting.id(0) })
    expect([sink.offsets, sink.deliveries]).toEqual([range(1, 9), 3])
    expect(subscription.caughtUp).toBe(true)
  })

  it('reads on from the broker when the tail has left it behind', async () => {
    const setting = new Setting({ tailBytes: 1 }).meet()
    const { sink, subscription } = await setting.add()
    sink.isFull = true
    setting.publish('a')
    for (let i = 0; i < 5; i++) setting.publish('a')
    sink.isFull = false
    subscription.resume()
    await settled()
    expect(setting.replays.waiting).toBe(1)
    await setting.replays.answerAll()
    expect(sink.offsets).toEqual(range(1, 6))
  })

  it('is ended as slow when more than the bound is waiting for it, and costs the others nothing', async () => {
    const setting = new Setting({ maxBufferedBytes: 1000 }).meet()
    const { sink: quick } = await setting.add()
    const { sink, subscription } = await setting.add()
    sink.isFull = true
    setting.publish('a')
    for (let i = 0; i < 200; i++) setting.publish('a')
    const waited = sink.told.length
    expect(sink.told.at(-1)).toEqual({ end: 'slow' })
    expect(quick.offsets).toEqual(range(1, 201))
    subscription.resume()
    subscription.close()
    setting.publish('a')
    await settled()
    expect(sink.told).toHaveLength(waited)
  })

  it('is not ended for what others get', async () => {
    const setting = new Setting({ maxBufferedBytes: 1000 }).meet()
    const { sink } = await setting.add()
    sink.isFull = true
    setting.publish('a')
    for (let i = 0; i < 200; i++) setting.publish('b')
    expect(sink.told).toEqual([{ start: 0 }, { message: 1 }])
  })

  it('is not ended as long as it takes what waits for it', async () => {
    const setting = new Setting({ maxBufferedBytes: 1000 }).meet()
    const { sink, subscription } = await setting.add()
    sink.isFull = true
    for (let i = 0; i < 200; i++) {
      setting.publish('a')
      subscription.resume()
      await settled()
    }
    expect(sink.offsets).toEqual(range(1, 200))
  })
})

describe('a subscription that is closed', () => {
  it('gets nothing any more, whatever is under way', async () => {
    const setting = new Setting()
    setting.log.publish('a')
    setting.meet()
    const { sink, subscription } = await setting.add({ since: setting.id(0) })
    subscription.close()
    subscription.close()
    await setting.replays.answerAll()
    setting.publish('a')
    expect(sink.told).toEqual([])
  })

  it('gets nothing although it was closed before it began', async () => {
    const setting = new Setting().meet()
    const sink = new NotingSink()
    setting.subscriptions.add(below('a'), {}, sink).close()
    await settled()
    setting.publish('a')
    expect(sink.told).toEqual([])
  })

  it('may be closed by its sink, while it is live and while it catches up', async () => {
    const setting = new Setting({ maxPageMessages: 1 })
    for (let i = 0; i < 3; i++) setting.log.publish('a')
    setting.meet()
    const { sink: live, subscription } = await setting.add()
    live.onDeliver = () => subscription.close()
    const { sink: late, subscription: other } = await setting.add({ since: setting.id(0) })
    late.onDeliver = () => other.close()
    const { sink: witness } = await setting.add()
    setting.publish('a')
    setting.publish('a')
    await setting.replays.answerAll()
    expect([live.offsets, late.offsets, witness.offsets]).toEqual([[4], [1], [4, 5]])
    expect([subscription.caughtUp, other.caughtUp]).toEqual([false, false])
  })

  it('is told why when it is ended, once', async () => {
    const setting = new Setting().meet()
    const { sink, subscription } = await setting.add()
    setting.subscriptions.end('shutdown')
    setting.subscriptions.end('shutdown')
    subscription.close()
    setting.publish('a')
    expect(sink.told).toEqual([{ start: 0 }, { end: 'shutdown' }])
  })
})

describe('a sink that throws', () => {
  it('is ended as failed, and costs the others nothing', async () => {
    const setting = new Setting().meet()
    const { sink } = await setting.add()
    const { sink: other } = await setting.add()
    sink.onDeliver = () => {
      throw new Error('out of order')
    }
    setting.publish('a')
    setting.publish('a')
    expect(sink.told).toEqual([{ start: 0 }, { message: 1 }, { end: 'failed' }])
    expect(other.offsets).toEqual([1, 2])

    const late = new NotingSink()
    late.onDeliver = sink.onDeliver
    setting.subscriptions.add(below('a'), { since: setting.id(0) }, late)
    await settled()
    expect(late.told.at(-1)).toEqual({ end: 'failed' })
  })
})

describe('whatever happens, and in whatever order', () => {
  const topics = ['a', 'a/b', 'b', 'ab'] as const
  const actions = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant('publish' as const), n: fc.nat(), m: fc.nat() }) },
      { weight: 5, arbitrary: fc.record({ do: fc.constant('bring' as const), n: fc.nat(3), m: fc.nat() }) },
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constant('subscribe' as const), n: fc.nat(), m: fc.nat(6) }),
      },
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constantFrom('answer' as const, 'late' as const, 'settle' as const),
          n: fc.nat(),
          m: fc.nat(),
        }),
      },
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constantFrom('full' as const, 'drained' as const),
          n: fc.nat(),
          m: fc.nat(),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constantFrom('fail' as const, 'wake' as const, 'break' as const, 'forget' as const),
          n: fc.nat(),
          m: fc.nat(),
        }),
      },
    ),
    { maxLength: 50 },
  )
  type Actions = typeof actions extends fc.Arbitrary<infer A> ? A : never

  interface Member {
    readonly sink: NotingSink
    readonly subscription: Subscription
    readonly selection: Selection
    readonly start: Start
    /** Where the log stood, here and at the broker, when it was subscribed. */
    readonly end: number
  }

  /** Runs a schedule, and then lets everything come to rest. */
  async function run(
    schedule: Actions,
    isForgetful: boolean,
  ): Promise<{ setting: Setting; members: Member[] }> {
    const setting = new Setting({ maxPageMessages: 2, tailBytes: 300, maxBufferedBytes: 1_000_000 })
    const { log, replays, subscriptions } = setting
    const members: Member[] = []
    setting.meet()
    for (const { do: action, n, m } of schedule) {
      const member = members[n % Math.max(1, members.length)]
      if (action === 'publish')
        log.publish(...Array.from({ length: 1 + (m % 3) }, (_, i) => topics[(n + i) % 4] ?? 'a'))
      else if (action === 'bring') setting.bring(n)
      else if (action === 'answer') await replays.answer()
      else if (action === 'late') await replays.answerLate()
      else if (action === 'settle') await settled()
      else if (action === 'fail') await replays.fail(away)
      else if (action === 'wake') subscriptions.wake()
      else if (action === 'break') setting.break()
      else if (action === 'forget' && isForgetful) log.forgotten = log.last
      else if (action === 'full' && member) member.sink.isFull = true
      else if (action === 'drained' && member) {
        member.sink.isFull = false
        member.subscription.resume()
      } else if (action === 'subscribe') {
        const sink = new NotingSink()
        const selection: Selection = { topics: [topics[n % 3] ?? 'a', 'b'].slice(n % 2), exact: n % 5 === 0 }
        const start: Start =
          m < 3 ? {} : m < 5 ? { history: n % 5 } : { since: setting.id(n % (log.last + 1)) }
        members.push({
          sink,
          subscription: subscriptions.add(selection, start, sink),
          selection,
          start,
          end: setting.tail?.position.offset ?? 0,
        })
      }
    }
    for (let round = 0; round < 5; round++) {
      setting.bring()
      for (const { sink, subscription } of members) {
        sink.isFull = false
        subscription.resume()
      }
      subscriptions.wake()
      await replays.answerAll()
    }
    return { setting, members }
  }

  it('each subscription gets everything once and in order', async () => {
    await fc.assert(
      fc.asyncProperty(actions, async schedule => {
        const { setting, members } = await run(schedule, false)
        for (const { sink, subscription, selection, start } of members) {
          const [first] = sink.told
          const began = first && 'start' in first ? first.start : Number.NaN
          expect(sink.offsets).toEqual(setting.log.offsets(selection, began))
          expect(sink.told.slice(1).every(told => 'message' in told)).toBe(true)
          if (start.since !== undefined) expect(setting.id(began)).toBe(start.since)
          expect(subscription).toMatchObject({ caughtUp: true, position: setting.log.position })
        }
      }),
      { numRuns: 300 },
    )
  })

  it('one that begins at what comes next gets exactly what the chain brings after it', async () => {
    await fc.assert(
      fc.asyncProperty(actions, async schedule => {
        const { setting, members } = await run(schedule, false)
        for (const { sink, selection, start, end } of members) {
          if (start.since !== undefined || start.history !== undefined) continue
          expect(sink.offsets).toEqual(setting.log.offsets(selection, end))
        }
      }),
      { numRuns: 150 },
    )
  })

  it('what is missing is told by a gap in front of what follows, and nothing comes twice', async () => {
    await fc.assert(
      fc.asyncProperty(actions, async schedule => {
        const { setting, members } = await run(schedule, true)
        for (const { sink, selection } of members) {
          const selects = selector(selection)
          let place = 0
          let isTold = false
          for (const told of sink.told) {
            if ('start' in told) place = told.start
            else if ('gap' in told) isTold = true
            else if ('message' in told) {
              const missing = setting.log.messages.filter(
                ({ offset, topic }) => offset > place && offset < told.message && selects(topic),
              )
              expect(told.message).toBeGreaterThan(place)
              expect(missing.length === 0 || isTold).toBe(true)
              place = told.message
              isTold = false
            }
          }
        }
      }),
      { numRuns: 300 },
    )
  })
})

import { describe, expect, it } from 'vitest'
import type { FromHub } from '../../site/hub-protocol.ts'
import type { ChatMessage, History } from '../../site/message.ts'
import { type StreamEvents, StreamHub, TopicRefused } from '../../site/stream-hub.ts'

describe('the stream that the pages of a browser share', () => {
  it('gives a page the history, then opens the stream exactly where the history ends', async () => {
    const { join, streams, answer } = setUp()
    const page = join('chat')
    await answer('chat', 'e-2', [message(1), message(2)])
    expect(streams).toMatchObject([{ topics: ['chat'], since: 'e-2', isOpen: true }])
    streams[0]?.events.opened()
    streams[0]?.bring(message(3))
    expect(page.heard()).toEqual(['connecting', 'connecting', 'history 1 2', 'live', '3'])
  })

  it('is one stream for the topics of all pages, and each page hears its own topic', async () => {
    const { join, streams, answer } = setUp()
    const first = join('chat')
    await answer('chat', 'e-0', [])
    const second = join('chat/tea')
    await answer('chat/tea', 'e-5', [])
    expect(open(streams)).toMatchObject([{ topics: ['chat', 'chat/tea'], since: 'e-0' }])
    open(streams)[0]?.bring(message(6, 'chat/tea'))
    expect(first.heard()).not.toContain('6')
    expect(second.heard()).toContain('6')
  })

  it('goes on from the last event when a page joins, and tells that page that older messages may come first', async () => {
    const { join, streams, answer } = setUp()
    join('chat')
    await answer('chat', 'e-0', [])
    streams[0]?.events.opened()
    streams[0]?.bring(message(4))
    const page = join('chat/tea')
    expect(open(streams)).toEqual([])
    await answer('chat/tea', 'e-9', [message(8, 'chat/tea')])
    expect(open(streams)).toMatchObject([{ since: 'e-4' }])
    expect(page.messages.find(({ kind }) => kind === 'history')).toMatchObject({ resumesAfter: false })
  })

  it('asks for one history for all pages of a room that come at once', async () => {
    const { join, asked, answer } = setUp()
    const pages = [join('chat'), join('chat')]
    await answer('chat', 'e-1', [message(1)])
    expect(asked).toEqual(['chat'])
    for (const page of pages) expect(page.heard()).toContain('history 1')
  })

  it('comes back by itself after a growing wait, from the last event, without a history', async () => {
    const { join, streams, answer, asked, timers } = setUp()
    const page = join('chat')
    await answer('chat', 'e-0', [])
    streams[0]?.events.opened()
    streams[0]?.bring(message(1))
    streams[0]?.events.failed()
    expect(page.heard().at(-1)).toBe('reconnecting')
    await timers.run()
    open(streams)[0]?.events.failed()
    await timers.run()
    expect(page.waitsMs).toEqual([1_500, 3_000])
    expect(open(streams)).toMatchObject([{ since: 'e-1' }])
    expect(asked).toEqual(['chat'])
  })

  it('that does not open asks whether its topics are still served, and tells who has to log in', async () => {
    const { join, streams, answer, checked, wrong, timers } = setUp()
    const [chat, tea] = [join('chat'), join('chat/tea')]
    await answer('chat', 'e-0', [])
    await answer('chat/tea', 'e-0', [])
    streams[0]?.events.opened()
    wrong.set('chat', new TopicRefused('Log in first.', true))
    streams[0]?.events.failed()
    await timers.run()
    expect(checked).toEqual([])
    open(streams)[0]?.events.failed()
    await timers.run()
    expect(checked).toEqual(['chat', 'chat/tea'])
    expect(chat.messages.at(-1)).toEqual({ kind: 'refused', reason: 'Log in first.', asksForLogin: true })
    expect(open(streams)).toMatchObject([{ topics: ['chat/tea'] }])
    expect(tea.heard()).not.toContain('refused')
  })

  it('goes on trying when nobody can tell whether its topics are still served', async () => {
    const { join, streams, answer, checked, wrong, timers } = setUp()
    const page = join('chat')
    await answer('chat', 'e-0', [])
    wrong.set('chat', new Error('no answer'))
    streams[0]?.events.failed()
    await timers.run()
    expect([checked, open(streams)]).toEqual([['chat'], []])
    expect(page.heard().at(-1)).toBe('reconnecting')
    wrong.clear()
    await timers.run()
    expect(open(streams)).toHaveLength(1)
  })

  it('begins with a short wait again once a stream has been steady', async () => {
    const { join, streams, answer, timers } = setUp()
    const page = join('chat')
    await answer('chat', 'e-0', [])
    for (const isSteady of [false, true, false]) {
      open(streams)[0]?.events.opened()
      if (isSteady) await timers.run(5_000)
      open(streams)[0]?.events.failed()
      await timers.run()
    }
    expect(page.waitsMs).toEqual([1_500, 1_500, 3_000])
  })

  it('gives up an attempt that neither opens nor fails', async () => {
    const { join, streams, answer, timers } = setUp()
    const page = join('chat')
    await answer('chat', 'e-0', [])
    await timers.run(10_000)
    expect(page.heard().at(-1)).toBe('reconnecting')
    expect(open(streams)).toEqual([])
    streams[0]?.events.opened()
    expect(page.heard().at(-1)).toBe('reconnecting')
  })

  it('connects at once when it is told to, and when the network is back', async () => {
    const { hub, join, streams, answer } = setUp()
    const page = join('chat')
    await answer('chat', 'e-0', [])
    open(streams)[0]?.events.failed()
    hub.receive(page, { kind: 'reconnect' })
    await settled()
    expect(open(streams)).toHaveLength(1)
    hub.receive(page, { kind: 'network', online: false })
    await settled()
    open(streams)[0]?.events.failed()
    expect(page.heard().at(-1)).toBe('offline')
    hub.receive(page, { kind: 'network', online: true })
    await settled()
    open(streams)[0]?.events.opened()
    expect(page.heard().at(-1)).toBe('live')
  })

  it('waits and tries again when a history cannot be had', async () => {
    const { join, streams, answer, fail, timers } = setUp()
    const page = join('chat')
    await fail('chat', new Error('503'))
    expect(page.heard().at(-1)).toBe('reconnecting')
    await timers.run()
    await answer('chat', 'e-1', [])
    expect(open(streams)).toMatchObject([{ since: 'e-1' }])
  })

  it('serves the other pages when the server refuses the topic of one', async () => {
    const { join, streams, answer, fail } = setUp()
    const refused = join('chat/x')
    const served = join('chat')
    await fail('chat/x', new TopicRefused('No such room.'))
    await answer('chat', 'e-1', [])
    expect(refused.heard().at(-1)).toBe('refused No such room.')
    expect(open(streams)).toMatchObject([{ topics: ['chat'] }])
    expect(served.heard()).toContain('history ')
  })

  it('passes a gap on to every page', async () => {
    const { join, streams, answer } = setUp()
    const pages = [join('chat'), join('chat')]
    await answer('chat', 'e-0', [])
    streams[0]?.events.gap()
    for (const page of pages) expect(page.heard().at(-1)).toBe('gap')
  })

  it('drops the topic of a page that leaves, and rests when all have left', async () => {
    const { hub, join, streams, answer, timers } = setUp()
    const first = join('chat')
    const second = join('chat/tea')
    await answer('chat', 'e-0', [])
    await answer('chat/tea', 'e-0', [])
    hub.receive(second, { kind: 'leave' })
    await settled()
    expect(open(streams)).toMatchObject([{ topics: ['chat'] }])
    hub.receive(first, { kind: 'leave' })
    expect(open(streams)).toEqual([])
    expect(timers.waiting).toBe(0)
  })

  it('lets go of a page that does not answer, and takes it back when it speaks again', async () => {
    const { hub, join, streams, answer, timers } = setUp()
    const page = join('chat')
    await answer('chat', 'e-0', [])
    for (let i = 0; i < 4; i++) await timers.run(30_000)
    expect(page.heard().at(-1)).toBe('dropped')
    expect(open(streams)).toEqual([])
    hub.receive(page, { kind: 'pong' })
    hub.receive(page, { kind: 'join', topic: 'chat', online: true })
    await answer('chat', 'e-3', [message(3)])
    expect(page.heard().slice(-2)).toEqual(['connecting', 'history 3'])
  })

  it('connects anew after the machine has slept, and blames no page for its silence', async () => {
    const { join, streams, answer, timers } = setUp()
    const page = join('chat')
    await answer('chat', 'e-0', [])
    streams[0]?.events.opened()
    timers.pass(3_600_000)
    await timers.run(30_000)
    expect(streams).toMatchObject([{ isOpen: false }, { isOpen: true, since: 'e-0' }])
    expect(page.heard()).not.toContain('dropped')
  })
})

class Page {
  readonly messages: FromHub[] = []
  /** How long it was told to wait, each time. */
  readonly waitsMs: number[] = []
  readonly #timers: Timers

  constructor(timers: Timers) {
    this.#timers = timers
  }

  send(message: FromHub): void {
    this.messages.push(message)
    if (message.kind === 'state' && message.state.kind === 'reconnecting')
      this.waitsMs.push(message.state.atMs - this.#timers.nowMs)
  }

  heard(): string[] {
    return this.messages.filter(({ kind }) => kind !== 'ping').map(inWords)
  }
}

function inWords(message: FromHub): string {
  switch (message.kind) {
    case 'state':
      return message.state.kind
    case 'history':
      return `history ${message.messages.map(({ id }) => id.slice(2)).join(' ')}`
    case 'message':
      return message.message.id.slice(2)
    case 'refused':
      return `refused ${message.reason}`
    default:
      return message.kind
  }
}

class FakeStream {
  readonly topics: readonly string[]
  readonly since: string
  readonly events: StreamEvents
  isOpen = true

  constructor(topics: readonly string[], since: string, events: StreamEvents) {
    this.topics = topics
    this.since = since
    this.events = events
  }

  bring(message: ChatMessage): void {
    this.events.message(message)
    this.events.reached(message.id)
  }

  close(): void {
    this.isOpen = false
  }
}

/** Timers that run when a test says so. */
class Timers {
  nowMs = 0
  readonly #timers = new Set<{ readonly dueMs: number; readonly ms: number; readonly action: () => void }>()

  get waiting(): number {
    return this.#timers.size
  }

  after(ms: number, action: () => void): () => void {
    const timer = { dueMs: this.nowMs + ms, ms, action }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  /** Lets the next timer come due, or the next one of a length. */
  async run(ms?: number): Promise<void> {
    const timer = [...this.#timers]
      .filter(candidate => ms === undefined || candidate.ms === ms)
      .sort((a, b) => a.dueMs - b.dueMs)[0]
    if (!timer) throw new Error('No such timer is set.')
    this.#timers.delete(timer)
    this.nowMs = Math.max(this.nowMs, timer.dueMs)
    timer.action()
    await settled()
  }

  /** The clock goes on while nothing runs, as in a machine that sleeps. */
  pass(ms: number): void {
    this.nowMs += ms
  }
}

function setUp() {
  const streams: FakeStream[] = []
  const asked: string[] = []
  const checked: string[] = []
  const wrong = new Map<string, Error>()
  const pending = new Map<string, PromiseWithResolvers<History>>()
  const timers = new Timers()
  const hub = new StreamHub({
    history(topic) {
      asked.push(topic)
      const answer = Promise.withResolvers<History>()
      pending.set(topic, answer)
      return answer.promise
    },
    async check(topic) {
      checked.push(topic)
      const error = wrong.get(topic)
      if (error) throw error
    },
    open(topics, since, events) {
      const stream = new FakeStream(topics, since, events)
      streams.push(stream)
      return stream
    },
    after: (ms, action) => timers.after(ms, action),
    now: () => timers.nowMs,
    random: () => 0.5,
  })
  return {
    hub,
    streams,
    asked,
    checked,
    wrong,
    timers,
    async answer(topic: string, id: string, messages: readonly ChatMessage[]) {
      pending.get(topic)?.resolve({ id, messages })
      await settled()
    },
    async fail(topic: string, error: Error) {
      pending.get(topic)?.reject(error)
      await settled()
    },
    join(topic: string): Page {
      const page = new Page(timers)
      hub.receive(page, { kind: 'join', topic, online: true })
      return page
    },
  }
}

function open(streams: readonly FakeStream[]): FakeStream[] {
  return streams.filter(({ isOpen }) => isOpen)
}

function message(number: number, topic = 'chat'): ChatMessage {
  return { id: `e-${number}`, topic, timeMs: number, content: { kind: 'text', text: `${number}` } }
}

/** Every promise that is already resolved has had its consequences. */
function settled(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

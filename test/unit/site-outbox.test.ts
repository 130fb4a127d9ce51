import { describe, expect, it } from 'vitest'
import type { ChatMessage } from '../../site/message.ts'
import { type Draft, type Failure, Outbox, type Outcome } from '../../site/outbox.ts'

describe('the outbox of a room', () => {
  it('sends one message at a time, in the order in which they were written', async () => {
    const { outbox, posts } = setUp()
    for (const text of ['a', 'b', 'c']) outbox.add('amy', text)
    expect(posts.map(({ draft }) => draft.text)).toEqual(['a'])
    await posts[0]?.publish('e-1')
    await posts[1]?.publish('e-2')
    expect(posts.map(({ draft }) => draft.text)).toEqual(['a', 'b', 'c'])
  })

  it('keeps a message in the store from before its first attempt until its receipt', async () => {
    const { outbox, posts, stored } = setUp()
    outbox.add('amy', 'a')
    expect(stored()).toEqual(['a'])
    await posts[0]?.publish('e-1')
    expect(stored()).toEqual([])
  })

  it('shows a published message until the stream brings it', async () => {
    const { outbox, posts, own } = setUp()
    outbox.add('amy', 'a')
    await posts[0]?.publish('e-1')
    expect(states(outbox)).toEqual(['published'])
    outbox.observe(said('e-1', 'amy', 'a'))
    expect(states(outbox)).toEqual([])
    expect(own).toEqual(['e-1'])
  })

  it('lets go of a message at once whose receipt comes after the message itself', async () => {
    const { outbox, posts, shown } = setUp()
    outbox.add('amy', 'a')
    outbox.observe(said('e-1', 'amy', 'a'))
    expect(outbox.claims('e-1')).toBe(true)
    shown.add('e-1')
    await posts[0]?.publish('e-1')
    expect(states(outbox)).toEqual([])
  })

  it('lets go of a published message that a history shows', async () => {
    const { outbox, posts, shown } = setUp()
    for (const text of ['a', 'b']) outbox.add('amy', text)
    await posts[0]?.publish('e-1')
    shown.add('e-1')
    outbox.reconcile()
    expect(states(outbox)).toEqual(['sending'])
  })

  it('does not retry by itself, and keeps back what was written after a message that failed', async () => {
    const { outbox, posts } = setUp()
    for (const text of ['a', 'b']) outbox.add('amy', text)
    await posts[0]?.fail({ kind: 'unavailable' })
    expect(failures(outbox)).toEqual(['unavailable', 'held'])
    expect(posts).toHaveLength(1)
  })

  it('retries all in their order, under the keys of their first attempts', async () => {
    const { outbox, posts } = setUp()
    for (const text of ['a', 'b']) outbox.add('amy', text)
    await posts[0]?.fail({ kind: 'unknown' })
    outbox.retryAll()
    await posts[1]?.publish('e-1')
    await posts[2]?.publish('e-2')
    expect(posts.map(({ draft }) => `${draft.text} ${draft.key}`)).toEqual(['a key-1', 'a key-1', 'b key-2'])
  })

  it('goes on with the next message when the server refuses one for good', async () => {
    const { outbox, posts } = setUp()
    for (const text of ['too long', 'b']) outbox.add('amy', text)
    await posts[0]?.fail({ kind: 'refused', reason: 'it is too long.' })
    expect(states(outbox)).toEqual(['failed', 'sending'])
    await posts[1]?.publish('e-1')
    outbox.retryAll()
    expect(posts).toHaveLength(2)
  })

  it('takes a message in doubt as sent when the stream brings it', async () => {
    const { outbox, posts, own, stored } = setUp()
    outbox.add('amy', 'a')
    await posts[0]?.fail({ kind: 'unknown' })
    outbox.observe(said('e-1', 'eve', 'a'))
    expect(states(outbox)).toEqual(['failed'])
    outbox.observe(said('e-2', 'amy', 'a'))
    expect(states(outbox)).toEqual([])
    expect(own).toEqual(['e-2'])
    expect(stored()).toEqual([])
  })

  it('takes it as sent also when the stream was faster than the failure', async () => {
    const { outbox, posts, own } = setUp()
    outbox.add('amy', 'a')
    outbox.observe(said('e-1', 'amy', 'a'))
    await posts[0]?.fail({ kind: 'unreachable' })
    expect(states(outbox)).toEqual([])
    expect(own).toEqual(['e-1'])
  })

  it("never takes another's message for one that is certainly not published", async () => {
    const { outbox, posts, own } = setUp()
    outbox.add('amy', 'a')
    outbox.observe(said('e-1', 'amy', 'a'))
    await posts[0]?.fail({ kind: 'unavailable' })
    outbox.observe(said('e-2', 'amy', 'a'))
    expect(failures(outbox)).toEqual(['unavailable'])
    expect(outbox.claims('e-1')).toBe(false)
    expect(own).toEqual([])
  })

  it('takes one message of the stream for one of two that say the same', async () => {
    const { outbox, posts } = setUp()
    outbox.add('amy', 'a')
    outbox.add('amy', 'a')
    await posts[0]?.publish('e-1')
    outbox.observe(said('e-1', 'amy', 'a'))
    expect(states(outbox)).toEqual(['sending'])
    expect(outbox.claims('e-1')).toBe(false)
  })

  it('has the unsent messages of an earlier visit, in their order, and sends none of them unasked', () => {
    const { outbox, posts } = setUp([
      { key: 'y', from: 'amy', text: 'b', createdMs: 2 },
      { key: 'x', from: 'amy', text: 'a', createdMs: 1, doubtSinceMs: 1 },
    ])
    expect(outbox.unsent.map(({ draft }) => draft.text)).toEqual(['a', 'b'])
    expect(posts).toEqual([])
    outbox.retry('x')
    expect(posts.map(({ draft }) => draft.key)).toEqual(['x'])
  })

  it('remembers across a reload since when it is in doubt, and only when it is', async () => {
    const { outbox, posts, store } = setUp()
    outbox.add('amy', 'a')
    expect(store.load()[0]?.doubtSinceMs).toBe(1_000)
    await posts[0]?.fail({ kind: 'unavailable' })
    expect(store.load()[0]?.doubtSinceMs).toBeUndefined()
    outbox.retryAll()
    await posts[1]?.fail({ kind: 'unknown' })
    outbox.retryAll()
    // The attempt before may have arrived: this answer says nothing about it.
    await posts[2]?.fail({ kind: 'unavailable' })
    expect(store.load()[0]?.doubtSinceMs).toBe(1_000)
  })

  it('forgets what is discarded, here or in another page, but not what is being sent', async () => {
    const { outbox, posts, stored } = setUp()
    for (const text of ['a', 'b', 'c']) outbox.add('amy', text)
    expect(outbox.discard('key-1')).toBeUndefined()
    outbox.forget('key-1')
    outbox.forget('key-2')
    await posts[0]?.fail({ kind: 'unavailable' })
    expect(outbox.discard('key-1')?.text).toBe('a')
    expect(outbox.unsent.map(({ draft }) => draft.text)).toEqual(['c'])
    expect(stored()).not.toContain('a')
  })
})

interface Post {
  readonly draft: Draft
  publish(id: string): Promise<void>
  fail(failure: Failure): Promise<void>
}

function setUp(kept: readonly Draft[] = []) {
  const drafts = new Map(kept.map(draft => [draft.key, draft]))
  const store = {
    load: () => [...drafts.values()],
    put: (draft: Draft) => void drafts.set(draft.key, draft),
    delete: (key: string) => void drafts.delete(key),
  }
  const posts: Post[] = []
  const own: string[] = []
  const shown = new Set<string>()
  let keys = 0
  const outbox = new Outbox({
    store,
    post(draft) {
      const { promise, resolve } = Promise.withResolvers<Outcome>()
      const settle = async (outcome: Outcome) => {
        resolve(outcome)
        await promise
      }
      posts.push({
        draft,
        publish: id => settle({ kind: 'published', id }),
        fail: failure => settle({ kind: 'failed', failure }),
      })
      return promise
    },
    newKey: () => `key-${++keys}`,
    now: () => 1_000,
    isShown: id => shown.has(id),
    own: id => void own.push(id),
    changed() {},
  })
  return { outbox, posts, own, shown, store, stored: () => [...drafts.values()].map(({ text }) => text) }
}

function said(id: string, from: string, text: string): ChatMessage {
  return { id, topic: 'chat', timeMs: 0, content: { kind: 'said', from, text } }
}

function states(outbox: Outbox): string[] {
  return outbox.unsent.map(({ state }) => state.kind)
}

function failures(outbox: Outbox): string[] {
  return outbox.unsent.map(({ state }) => (state.kind === 'failed' ? state.failure.kind : state.kind))
}

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Selection, selector } from '#protocol'
import { FeedTable } from '../../broker/client/feed.ts'
import { batchOf, publication, topics } from '../support/publications.ts'

const below = (...names: string[]): Selection => ({ topics: names, exact: false })
const exactly = (...names: string[]): Selection => ({ topics: names, exact: true })
const batch = (first: number, ...names: string[]) =>
  batchOf(
    names.map(topic => publication({ topic })),
    { first },
  )

/** What each member gets. */
function selected(table: FeedTable<string>, ...names: string[]): Record<string, number[]> {
  const found: Record<string, number[]> = {}
  for (const [feed, messages] of table.select([batch(1, ...names)])) {
    for (const member of feed.members) found[member] = messages.map(({ offset }) => offset)
  }
  return found
}

describe('feeds', () => {
  it('get the messages of their topics and of what is below them, in order', () => {
    const table = new FeedTable<string>()
    table.join(below('a'), 'below a')
    table.join(exactly('a'), 'exactly a')
    table.join(below('a/b', 'c'), 'a/b and c')
    expect(selected(table, 'a', 'a/b', 'ab', 'c', 'a')).toEqual({
      'below a': [1, 2, 5],
      'exactly a': [1, 5],
      'a/b and c': [2, 4],
    })
  })

  it('get each message once, although their topics overlap', () => {
    const table = new FeedTable<string>()
    table.join(below('a', 'a/b', 'a'), 'm')
    expect(selected(table, 'a/b/c', 'a/b/c')).toEqual({ m: [1, 2] })
  })

  it('get what several batches hold, in order', () => {
    const table = new FeedTable<string>()
    table.join(below('a'), 'm')
    const found = table.select([batch(1, 'a', 'b'), batch(3), batch(3, 'b'), batch(4, 'a')])
    expect([...found.values()].map(messages => messages.map(({ offset }) => offset))).toEqual([[1, 4]])
  })

  it('are shared by all who select the same, in whatever order', () => {
    const table = new FeedTable<string>()
    const feed = table.join(below('a', 'b'), 'one')
    expect(table.join(below('b', 'a'), 'two')).toBe(feed)
    expect(table.join(exactly('a', 'b'), 'three')).not.toBe(feed)
    expect(table.select([batch(1, 'a')]).get(feed)).toHaveLength(1)
    expect([...table.members()].toSorted()).toEqual(['one', 'three', 'two'])
  })

  it('are gone with their last member', () => {
    const table = new FeedTable<string>()
    const feed = table.join(below('a'), 'one')
    table.join(below('a'), 'two')
    const other = table.join(below('a', 'b'), 'other')
    table.leave(feed, 'one')
    expect(selected(table, 'a')).toEqual({ two: [1], other: [1] })
    table.leave(feed, 'two')
    table.leave(feed, 'two')
    expect(selected(table, 'a', 'b')).toEqual({ other: [1, 2] })
    table.leave(other, 'other')
    expect([selected(table, 'a', 'b'), [...table.members()]]).toEqual([{}, []])
  })

  it('are found anew when one came or went between two messages of a topic', () => {
    const table = new FeedTable<string>()
    expect(selected(table, 'a')).toEqual({})
    const feed = table.join(below('a'), 'm')
    expect(selected(table, 'a')).toEqual({ m: [1] })
    table.leave(feed, 'm')
    expect(selected(table, 'a')).toEqual({})
    table.join(below('a'), 'n')
    expect(selected(table, 'a')).toEqual({ n: [1] })
  })

  it('get what their selection says', () => {
    const selections = fc.record({ topics: fc.array(topics, { maxLength: 3 }), exact: fc.boolean() })
    fc.assert(
      fc.property(
        fc.array(selections, { maxLength: 6 }),
        fc.array(topics, { maxLength: 8 }),
        (chosen, names) => {
          const table = new FeedTable<number>()
          chosen.forEach((selection, member) => {
            table.join(selection, member)
          })
          const found = new Map<number, number[]>()
          for (const [feed, messages] of table.select([batch(1, ...names)])) {
            for (const member of feed.members)
              found.set(
                member,
                messages.map(({ offset }) => offset),
              )
          }
          chosen.forEach((selection, member) => {
            const selects = selector(selection)
            const wanted = names.flatMap((topic, i) => (selects(topic) ? [i + 1] : []))
            expect(found.get(member) ?? []).toEqual(wanted)
          })
        },
      ),
    )
  })
})

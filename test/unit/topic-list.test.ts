import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pageOfTopics, type TopicPage } from '../../broker/topic-list.ts'

const historyOf = (topics: readonly string[]) =>
  topics.map(topic => ({ topic, messages: 2, bytes: 100, newestMs: 5 }))
const namesOf = ({ topics }: TopicPage) => topics.map(({ topic }) => topic)

describe('a page of topics', () => {
  it('has what the history has of each, and what is kept of it', () => {
    const kept = [
      ['sms', { messages: 3, bytes: 30 }],
      ['a', { messages: 1, bytes: 10 }],
    ] as const
    expect(pageOfTopics({ history: historyOf(['news', 'sms']), kept })).toEqual({
      topics: [
        { topic: 'a', messages: 0, bytes: 0, newestMs: null, keptMessages: 1, keptBytes: 10 },
        { topic: 'news', messages: 2, bytes: 100, newestMs: 5, keptMessages: 0, keptBytes: 0 },
        { topic: 'sms', messages: 2, bytes: 100, newestMs: 5, keptMessages: 3, keptBytes: 30 },
      ],
      more: false,
    })
  })

  it('begins after a name, whether there is one of that name or not', () => {
    const history = historyOf(['a', 'b', 'c', 'd'])
    expect(namesOf(pageOfTopics({ history, kept: [] }, 'b'))).toEqual(['c', 'd'])
    expect(namesOf(pageOfTopics({ history, kept: [] }, 'bb'))).toEqual(['c', 'd'])
  })

  it('ends at its limit, and says whether there are more', () => {
    const history = historyOf(['c', 'a', 'b'])
    expect(pageOfTopics({ history, kept: [] }, '', 2)).toMatchObject({
      topics: [{ topic: 'a' }, { topic: 'b' }],
      more: true,
    })
    expect(pageOfTopics({ history, kept: [] }, '', 3).more).toBe(false)
  })

  it('is followed by others until each topic was named once, in order', () => {
    const names = fc.uniqueArray(fc.stringMatching(/^[a-d]{1,4}$/), { maxLength: 60 })
    fc.assert(
      fc.property(names, names, fc.integer({ min: 1, max: 7 }), (inHistory, inKept, limit) => {
        const kept = inKept.map(topic => [topic, { messages: 1, bytes: 1 }] as const)
        const seen: string[] = []
        // No more pages than there can be: a wrong one must not be asked for without an end.
        for (let more = true, pages = 0; more && pages <= inHistory.length + inKept.length; pages++) {
          const page = pageOfTopics({ history: historyOf(inHistory), kept }, seen.at(-1), limit)
          seen.push(...namesOf(page))
          more = page.more
        }
        expect(seen).toEqual([...new Set([...inHistory, ...inKept])].sort())
      }),
    )
  })
})

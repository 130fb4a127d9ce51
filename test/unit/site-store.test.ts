import { describe, expect, it } from 'vitest'
import { BrowserDrafts, memoryShelf, OwnMessages, OwnName, type Shelf } from '../../site/browser-store.ts'

const draft = { key: 'k', from: 'amy', text: 'hi', createdMs: 1 }

describe('what a browser keeps', () => {
  it('keeps the drafts of each room apart', () => {
    const shelf = memoryShelf()
    new BrowserDrafts(shelf, 'chat').put(draft)
    expect(new BrowserDrafts(shelf, 'chat/a').load()).toEqual([])
    expect(new BrowserDrafts(shelf, 'chat').load()).toEqual([draft])
  })

  it('passes over what it cannot read', () => {
    const shelf = memoryShelf()
    for (const text of ['', 'x', '{}', '{"key":1}']) shelf.setItem(`postern.unsent:chat:${text}`, text)
    expect(new BrowserDrafts(shelf, 'chat').load()).toEqual([])
    shelf.setItem('postern.own', '{"not":"a list"}')
    expect(new OwnMessages(shelf).has('e-1')).toBe(false)
  })

  it('tells which draft another page has removed', () => {
    const shelf = memoryShelf()
    const drafts = new BrowserDrafts(shelf, 'chat')
    drafts.put(draft)
    const key = shelf.key(0)
    expect(drafts.removedBy({ key, newValue: null })).toBe('k')
    expect(drafts.removedBy({ key, newValue: '{}' })).toBeUndefined()
    expect(new BrowserDrafts(shelf, 'chat/a').removedBy({ key, newValue: null })).toBeUndefined()
  })

  it('remembers the newest thousand own messages, those of other pages too', () => {
    const shelf = memoryShelf()
    const here = new OwnMessages(shelf)
    const there = new OwnMessages(shelf)
    there.add('there')
    here.add('here')
    expect(here.has('there')).toBe(true)
    for (let i = 0; i < 1_000; i++) here.add(`here-${i}`)
    const later = new OwnMessages(shelf)
    expect([later.has('there'), later.has('here'), later.has('here-0')]).toEqual([false, false, true])
  })

  it('goes on without storage', () => {
    const full: Shelf = {
      ...memoryShelf(),
      setItem() {
        throw new DOMException('The quota has been exceeded.', 'QuotaExceededError')
      },
    }
    const own = new OwnMessages(full)
    own.add('e-1')
    new OwnName(full).value = 'amy'
    new BrowserDrafts(full, 'chat').put(draft)
    expect(own.has('e-1')).toBe(true)
  })
})

import { expect, it } from 'vitest'
import { openReader } from '../support/chat-page.ts'
import { startChatServer } from '../support/chat-server.ts'
import { describeInChromium, useChromium } from '../support/chromium.ts'

describeInChromium('the chat page', () => {
  const browser = useChromium()

  it('brings what one reader writes to all others', async () => {
    const { url } = await startChatServer()
    const amy = await (await openReader(browser())).open(url)
    const bob = await (await openReader(browser())).open(url)
    await amy.say('hello', 'Amy')
    await bob.say('hello yourself', 'Bob')
    for (const chat of [amy, bob]) {
      await chat.shows('hello', 'hello yourself')
      expect(await chat.messages.locator('.from').allTextContents()).toEqual(['Amy', 'Bob'])
      expect(await chat.messages.locator('time').first().getAttribute('datetime')).toMatch(/^20.*Z$/)
    }
  })

  it('publishes exactly the sender and the text', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    await chat.say('0', '0')
    await chat.shows('0')
    expect(await server.published('chat')).toEqual(['{"from":"0","text":"0"}'])
  })

  it('shows every message as text, never as HTML', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    const markup = '<img src=x onerror=alert(1)><b>bold</b>&amp;'
    await chat.say(markup, '<i>amy</i>')
    await server.post('chat', `${markup} by curl`)
    await chat.shows(markup, `${markup} by curl`)
    expect(await chat.messages.locator('img, b, i').count()).toBe(0)
  })

  it('loads nothing from another host, and nothing inline', async () => {
    const { url } = await startChatServer()
    const reader = await openReader(browser())
    const hosts = new Set<string>()
    reader.context.on('request', request => hosts.add(new URL(request.url()).origin))
    const chat = await reader.open(url)
    await chat.say('hello')
    await chat.shows('hello')
    expect([...hosts]).toEqual([url])
    expect(await chat.page.locator('[style], style, script:not([src])').count()).toBe(0)
    const policy = (await fetch(url)).headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
  })

  it('shows what is no chat message, too', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    await server.post('chat', 'hello')
    await server.post('chat', '{"from":1}')
    await server.post('chat', '')
    await server.post('chat', new Uint8Array([0xff, 0xfe]))
    await chat.shows('hello', '{"from":1}', 'empty message', 'binary message, 2 bytes')
    expect(await chat.messages.locator('.from').count()).toBe(0)
  })

  it('marks the own messages, in every page of the browser and after a reload', async () => {
    const server = await startChatServer()
    const reader = await openReader(browser())
    const chat = await reader.open(server.url)
    const other = await reader.open(server.url)
    const stranger = await (await openReader(browser())).open(server.url)
    await chat.say('mine')
    await stranger.say('theirs')
    await chat.shows('mine', 'theirs')
    await other.shows('mine', 'theirs')
    await stranger.shows('mine', 'theirs')
    expect(await chat.ownTexts()).toEqual(['mine'])
    await expect.poll(() => other.ownTexts()).toEqual(['mine'])
    expect(await stranger.ownTexts()).toEqual(['theirs'])
    await chat.page.reload()
    await chat.shows('mine', 'theirs')
    expect(await chat.ownTexts()).toEqual(['mine'])
    expect(await chat.name.inputValue()).toBe('amy')
  })

  it('shows the history on arrival, with a line for each day', async () => {
    const day = 24 * 60 * 60_000
    let nowMs = Date.UTC(2026, 0, 1, 12)
    const server = await startChatServer({ nowMs: () => nowMs })
    await server.post('chat', 'new year')
    nowMs += day
    await server.post('chat', 'the day after')
    const chat = await (await openReader(browser())).open(server.url)
    await chat.shows('new year', 'the day after')
    expect(await chat.page.locator('#liste .day').allTextContents()).toEqual([
      'Thursday, January 1, 2026',
      'Friday, January 2, 2026',
    ])
  })

  it('keeps rooms apart: the plain page is the default topic alone', async () => {
    const server = await startChatServer()
    const reader = await openReader(browser())
    const main = await reader.open(server.url)
    const tea = await reader.open(`${server.url}/?room=tea%20time`)
    await server.post('chat', 'in the main room')
    await server.post('chat/tea%20time', 'in the tea room')
    await server.post('chat/tea%20time/below', 'below the tea room')
    await tea.say('more tea')
    await main.shows('in the main room')
    await tea.shows('in the tea room', 'more tea')
    expect(await main.page.title()).toBe('chat · Postern')
    expect(await tea.page.title()).toBe('tea time · Postern')
  })

  it('says why an address names no room', async () => {
    const { url } = await startChatServer()
    const chat = await (await openReader(browser())).visit(`${url}/?room=a//b`)
    await chat.page.getByRole('alert').getByText('empty part between slashes').waitFor()
  })

  it('shares one stream among all pages of a browser, and ends it with the last of them', async () => {
    const server = await startChatServer()
    const reader = await openReader(browser())
    const chats = [
      await reader.open(server.url),
      await reader.open(`${server.url}/?room=tea`),
      await reader.open(server.url),
    ]
    await server.post('chat', 'one')
    await server.post('chat/tea', 'two')
    for (const [i, texts] of [['one'], ['two'], ['one']].entries()) await chats[i]?.shows(...texts)
    await expect.poll(() => server.openStreams()).toBe(1)
    await chats[2]?.page.close()
    await chats[1]?.page.close()
    await server.post('chat', 'three')
    await chats[0]?.shows('one', 'three')
    await expect.poll(() => server.openStreams()).toBe(1)
    await chats[0]?.page.close()
    await expect.poll(() => server.openStreams()).toBe(0)
  })

  it('works in a browser without shared workers', async () => {
    const server = await startChatServer()
    const reader = await openReader(browser())
    await reader.context.addInitScript(() => Reflect.deleteProperty(globalThis, 'SharedWorker'))
    const chat = await reader.open(server.url)
    await chat.say('hello')
    await chat.shows('hello')
  })

  it('says when it is cut off and when it tries again, and misses nothing', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    await server.post('chat', 'one')
    await chat.shows('one')
    server.faults.unreachable = true
    server.endStreams()
    await chat.becomes('reconnecting')
    expect(await chat.connection.textContent()).toMatch(/Reconnecting in \d+ s/)
    for (const text of ['two', 'three']) await server.publish('chat', text)
    server.faults.unreachable = false
    await chat.becomes('live')
    await chat.shows('one', 'two', 'three')
    expect(await chat.page.locator('.gap').count()).toBe(0)
  })

  it('connects when its reader asks for it', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    server.faults.unreachable = true
    server.endStreams()
    // Long enough for the reader to be faster than the page.
    await expect.poll(() => chat.connection.textContent(), { timeout: 25_000 }).toMatch(/in ([4-9]|1\d) s/)
    server.faults.unreachable = false
    await chat.button('Reconnect now').click()
    await chat.becomes('live')
  })

  it('says that the browser is offline, and connects when it is online again', async () => {
    const server = await startChatServer()
    const reader = await openReader(browser())
    // The browser cannot be told that a worker of its own is offline.
    await reader.context.addInitScript(() => Reflect.deleteProperty(globalThis, 'SharedWorker'))
    const chat = await reader.open(server.url)
    await reader.context.setOffline(true)
    await chat.becomes('offline')
    await server.post('chat', 'one')
    await reader.context.setOffline(false)
    await chat.becomes('live')
    await chat.shows('one')
  })

  it('goes on when its reader comes back to it', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    await server.post('chat', 'one')
    await chat.shows('one')
    await chat.page.goto(`${server.url}/site/icon.svg`)
    await server.post('chat', 'two')
    await chat.page.goBack()
    await server.post('chat', 'three')
    await chat.shows('one', 'two', 'three')
  })

  it('marks the place where messages are missing', async () => {
    const server = await startChatServer({ maxRetainedMessages: 2 })
    const chat = await (await openReader(browser())).open(server.url)
    await server.post('chat', 'one')
    await chat.shows('one')
    server.faults.unreachable = true
    server.endStreams()
    await chat.becomes('reconnecting')
    for (const text of ['two', 'three', 'four', 'five']) await server.publish('chat', text)
    server.faults.unreachable = false
    await chat.shows('one', 'four', 'five')
    expect(await chat.page.locator('#liste > :is(.message, .gap)').allTextContents()).toEqual([
      expect.stringContaining('one'),
      'Some messages are missing here.',
      expect.stringContaining('four'),
      expect.stringContaining('five'),
    ])
  })

  it('can be used with the keyboard alone', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    const { keyboard } = chat.page
    // A newcomer's first key goes into the name.
    await keyboard.type('amy')
    await keyboard.press('Tab')
    await keyboard.type('first line')
    await keyboard.press('Shift+Enter')
    await keyboard.type('second line')
    await keyboard.press('Enter')
    await chat.shows('first line\nsecond line')
    expect(await chat.text.inputValue()).toBe('')
    await keyboard.type('and on')
    await keyboard.press('Enter')
    await chat.shows('first line\nsecond line', 'and on')

    server.context.backbone.goAway()
    await keyboard.type('later')
    await keyboard.press('Enter')
    await chat.fails('Not sent')
    server.context.backbone.comeBack()
    await keyboard.press('Shift+Tab')
    await keyboard.press('Shift+Tab')
    await keyboard.press('Shift+Tab')
    await keyboard.press('Enter')
    await chat.shows('first line\nsecond line', 'and on', 'later')

    await chat.page.locator('summary').focus()
    await keyboard.press('Enter')
    await chat.page.locator('#room-name:focus').waitFor()
    await keyboard.type('tea')
    await keyboard.press('Enter')
    await chat.page.waitForURL(`${server.url}/?room=tea`)
  })

  it('tells a screen reader what is what', async () => {
    const server = await startChatServer()
    await server.post('chat', '{"from":"amy","text":"hello"}')
    const { page } = await (await openReader(browser())).open(server.url)
    await page.getByRole('log', { name: 'Messages' }).getByRole('listitem').getByText('hello').waitFor()
    await expect.poll(() => page.getByRole('log').getAttribute('aria-live')).toBe('polite')
    await page.getByRole('status').getByText('Connected.').waitFor({ state: 'attached' })
    const labels = await page
      .locator('input, textarea')
      .evaluateAll(fields =>
        fields.map(
          field =>
            (field instanceof HTMLInputElement || field instanceof HTMLTextAreaElement) &&
            field.labels?.[0]?.textContent,
        ),
      )
    expect(labels).toEqual(['Go to the room', 'User', 'Password', 'Name', 'Message'])
  })

  it.each([320, 360, 1280])('needs no sideways scrolling at a width of %i', async width => {
    const server = await startChatServer()
    const reader = await openReader(browser(), { viewport: { width, height: 600 } })
    const chat = await reader.open(`${server.url}/?room=${'room'.repeat(20)}`)
    await server.post(`chat/${'room'.repeat(20)}`, `{"from":"${'W'.repeat(60)}","text":"${'W'.repeat(500)}"}`)
    await chat.shows('W'.repeat(500))
    server.context.backbone.goAway()
    for (let i = 0; i < 2; i++) await chat.say('W'.repeat(200))
    await chat.fails('Not sent')
    server.faults.unreachable = true
    server.endStreams()
    await chat.becomes('reconnecting')
    const overflow = await chat.page.evaluate(() =>
      [document.documentElement, ...document.querySelectorAll('header, main, #log, footer')]
        .filter(part => part.scrollWidth > part.clientWidth)
        .map(part => part.id || part.tagName),
    )
    expect(overflow).toEqual([])
    const send = await chat.button('Send').boundingBox()
    expect((send?.x ?? 0) + (send?.width ?? 0)).toBeLessThanOrEqual(width)
  })

  it('stays at the newest message, but does not pull away a reader who has scrolled up', async () => {
    const server = await startChatServer()
    const texts = Array.from({ length: 60 }, (_, i) => `message ${i}`)
    for (const text of texts) await server.post('chat', text)
    const chat = await (await openReader(browser())).open(server.url)
    const log = chat.page.getByRole('region', { name: 'Conversation' })
    const distance = () => log.evaluate(box => box.scrollHeight - box.scrollTop - box.clientHeight)
    await chat.shows(...texts)
    await expect.poll(distance).toBeLessThan(2)
    await server.post('chat', 'at the end')
    await chat.shows(...texts, 'at the end')
    await expect.poll(distance).toBeLessThan(2)

    await log.hover()
    await chat.page.mouse.wheel(0, -600)
    await expect.poll(distance).toBeGreaterThan(300)
    await server.post('chat', 'out of sight')
    await chat.button('1 new message ↓').click()
    await expect.poll(distance).toBeLessThan(2)
    await chat.button('1 new message ↓').waitFor({ state: 'hidden' })
  })
})

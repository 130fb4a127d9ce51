import { execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { openReader } from '../support/chat-page.ts'
import { startChatServer } from '../support/chat-server.ts'
import { describeInChromium, useChromium } from '../support/chromium.ts'
import { describeWithCurl } from '../support/curl.ts'
import { PlaygroundPage } from '../support/playground-page.ts'

const id = /[0-9a-f]+-\d+/
const run = promisify(execFile)
const start = () => startChatServer({ mode: 'development' })

describeInChromium('the playground', () => {
  const browser = useChromium()

  it('shows each subscriber what is published on its topic and below it, newest first', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url)
    await play.connectAll()
    const publisher = play.seat('Publisher 1')
    await publisher.say('below')
    await publisher.topic.fill('news')
    await publisher.say('above')
    await play.seat('Subscriber 1').shows('above', 'below')
    await play.seat('Subscriber 2').shows('below')
    await publisher.shows('above', 'below')
  })

  it('shows the id and the time of each message, and how long it and its receipt have taken', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url)
    await play.connectAll()
    await play.seat('Publisher 1').say('Hello')
    const receipt = await play.seat('Publisher 1').notes('receipt')
    const subscriber = play.seat('Subscriber 1')
    const message = await subscriber.notes('news/sport')
    expect(receipt).toMatch(/receipt after [\d.]+ ms/)
    expect(message).toMatch(/[\d.]+ ms/)
    expect(id.exec(message)?.[0]).toBe(id.exec(receipt)?.[0])
    expect(await subscriber.entries.first().locator('time').textContent()).toMatch(/^\d\d:\d\d:\d\d\.\d{3}$/)
  })

  it('lets each peer of a bus hear every other, and with echo itself', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url)
    await play.seat('Peer 2').box.getByLabel('echo').check()
    await play.connectAll()
    await play.seat('Peer 1').say('one')
    await play.seat('Peer 2').shows('one')
    await play.seat('Peer 1').shows('one')
    await play.seat('Peer 2').say('two')
    await play.seat('Peer 1').shows('two', 'one')
    await play.seat('Peer 2').shows('two', 'two', 'one')
  })

  it('gives each pushed message to one puller, in turn', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url)
    await play.connectAll()
    for (const text of ['1', '2', '3', '4']) await play.seat('Pusher 1').say(text)
    const pulled = play.page.locator('[data-role="pull"] [data-kind="heard"] .text')
    await expect.poll(async () => (await pulled.allTextContents()).toSorted()).toEqual(['1', '2', '3', '4'])
    expect(await play.seat('Puller 1').box.locator('[data-kind="heard"]').count()).toBe(2)
  })

  it('sends binary messages, and shows their bytes', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url)
    await play.connectAll()
    for (const [sender, listener] of [
      ['Publisher 1', 'Subscriber 1'],
      ['Peer 1', 'Peer 2'],
    ] as const) {
      await play.seat(sender).box.getByLabel('binary').check()
      await play.seat(sender).say('é!')
      await play.seat(listener).shows('3 bytes: c3 a9 21')
    }
  })

  it('connects by itself when something is sent, and says how a connection has opened and closed', async () => {
    const server = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), server.url)
    const [publisher, subscriber] = [play.seat('Publisher 1'), play.seat('Subscriber 1')]
    await publisher.is('closed')
    await publisher.say('Hello')
    await publisher.is('open')
    await publisher.notes('receipt')
    await subscriber.button('Connect').click()
    await subscriber.is('open')
    await subscriber.button('Close').click()
    await subscriber.is('closed 1000, normal')
    expect(await subscriber.entries.locator('.text').allTextContents()).toEqual([
      'closed 1000, normal',
      'open',
    ])
    await subscriber.button('Connect').click()
    await subscriber.is('open')
    server.context.sockets.shutDown()
    for (const seat of [publisher, subscriber]) await seat.is('closed 1001, going away')
  })

  it('says when a connection is refused, and that what waited for it is not sent', async () => {
    const { url } = await start()
    const reader = await openReader(browser())
    const play = await PlaygroundPage.open(reader, url)
    await play.seat('Publisher 1').topic.fill('$system')
    await play.seat('Publisher 1').say('Hello')
    await play.seat('Publisher 1').is('closed 1006, refused or lost')
    expect(await play.seat('Publisher 1').box.locator('[data-kind="trouble"]').textContent()).toContain(
      'not sent',
    )
    // The browser complains of it, too.
    expect(reader.complaints.splice(0)).toEqual([expect.stringContaining('WebSocket connection')])
  })

  it('never sends what waited for one topic to another', async () => {
    const { url } = await start()
    const reader = await openReader(browser())
    const play = await PlaygroundPage.open(reader, url, '#pub=elsewhere&sub=news')
    const [publisher, subscriber] = [play.seat('Publisher 1'), play.seat('Subscriber 1')]
    await subscriber.button('Connect').click()
    await subscriber.is('open')
    // In one turn of the page, before any connection can be open.
    await publisher.sayAndMove('for elsewhere', 'news')
    await publisher.notes('not sent')
    await publisher.notes('/pub/news')
    await publisher.say('for news')
    await subscriber.shows('for news')
    // The browser complains of the connection that was given up.
    expect(reader.complaints.splice(0)).toEqual([expect.stringContaining('WebSocket connection')])
  })

  it('says why a message was not taken', async () => {
    const { url } = await startChatServer({ mode: 'development', maxPayloadBytes: 10 })
    const play = await PlaygroundPage.open(await openReader(browser()), url)
    await play.seat('Publisher 1').say('much more than ten bytes')
    await play.seat('Publisher 1').is('closed 1009, message too large')
    expect(await play.seat('Publisher 1').box.locator('[data-kind="trouble"]').textContent()).toContain(
      'no receipt',
    )
  })

  it('shows every message as text, never as HTML, and loads nothing from elsewhere', async () => {
    const { url } = await start()
    const reader = await openReader(browser())
    const hosts = new Set<string>()
    reader.context.on('request', request => hosts.add(new URL(request.url()).origin))
    const play = await PlaygroundPage.open(reader, url)
    await play.connectAll()
    const markup = '<img src=x onerror=alert(1)><b>bold</b>&amp;'
    await play.seat('Publisher 1').say(markup)
    await play.seat('Subscriber 1').shows(markup)
    expect(await play.page.locator('.log :is(img, b)').count()).toBe(0)
    expect(await play.page.locator('[style], style, script:not([src])').count()).toBe(0)
    expect([...hosts]).toEqual([url])
  })

  it('has its topics, messages and options in its address', async () => {
    const { url } = await start()
    const reader = await openReader(browser())
    const play = await PlaygroundPage.open(reader, url, '#pub=a/b&message=Hi&sub=a&history=2&exact=1')
    expect(await play.names()).toEqual(['Publisher 1', 'Subscriber 1'])
    expect(await play.seat('Publisher 1').topic.inputValue()).toBe('a/b')
    expect(await play.seat('Publisher 1').message.inputValue()).toBe('Hi')
    expect(await play.seat('Subscriber 1').box.getByLabel('History').inputValue()).toBe('2')
    await play.button('Add a peer', 'Bus').click()
    await play.seat('Peer 1').topic.fill('tea time')
    await play.seat('Peer 1').box.getByLabel('echo').check()
    expect(play.hash).toBe('#pub=a%2Fb&message=Hi&sub=a&history=2&exact=1&bus=tea+time&echo=1')
    const other = await PlaygroundPage.open(reader, url, play.hash)
    expect(await other.seat('Peer 1').topic.inputValue()).toBe('tea time')
    expect(await other.seat('Peer 1').box.getByLabel('echo').isChecked()).toBe(true)
  })

  it('takes more seats, and fewer', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url)
    await play.button('Add a subscriber', 'Publish and subscribe').click()
    await play.button('Add a puller', 'Push and pull').click()
    await play.seat('Puller 1').button('Remove Puller 1').click()
    await play.connectAll()
    expect(await play.names()).toEqual([
      ...['Publisher 1', 'Subscriber 1', 'Subscriber 2', 'Subscriber 3'],
      ...['Peer 1', 'Peer 2', 'Pusher 1', 'Puller 2', 'Puller 3'],
    ])
    await play.seat('Publisher 1').say('Hello')
    await play.seat('Subscriber 3').shows('Hello')
  })

  it('moves a bus and its peers to another topic together, and open connections with them', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url)
    await play.connectAll()
    await play.seat('Peer 1').topic.fill('elsewhere')
    await play.seat('Peer 1').say('here now')
    await play.seat('Peer 2').notes('/bus/elsewhere')
    await play.seat('Peer 1').say('do you hear me?')
    expect(await play.seat('Peer 2').topic.inputValue()).toBe('elsewhere')
    await expect
      .poll(() => play.seat('Peer 2').box.locator('[data-kind="heard"] .text').first().textContent())
      .toBe('do you hear me?')
  })

  it('can be used by keyboard alone', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url, '#pub=a&sub=a')
    const { page } = play
    await page.keyboard.press('Tab')
    await page.getByRole('link', { name: 'Postern' }).evaluate(link => link.focus())
    const reached: string[] = []
    for (let i = 0; i < 22; i++) {
      await page.keyboard.press('Tab')
      reached.push(await page.evaluate(() => document.activeElement?.getAttribute('data-part') ?? ''))
    }
    expect(reached).toEqual(
      expect.arrayContaining(['switch', 'remove', 'topic', 'message', 'binary', 'send', 'log']),
    )
    await play.seat('Subscriber 1').button('Connect').press('Enter')
    await play.seat('Subscriber 1').is('open')
    await play.seat('Publisher 1').message.focus()
    await page.keyboard.type('first')
    await page.keyboard.press('Shift+Enter')
    await page.keyboard.type('second')
    await page.keyboard.press('Enter')
    await play.seat('Subscriber 1').shows('first\nsecond')
  })

  it.each([320, 820, 1440, 2200])('fits a window of %i pixels', async width => {
    const { url } = await start()
    const reader = await openReader(browser(), { viewport: { width, height: 700 } })
    const play = await PlaygroundPage.open(reader, url)
    await play.connectAll()
    await play.seat('Publisher 1').say(`${'long'.repeat(200)} ${'and more '.repeat(50)}`)
    await play.seat('Subscriber 1').notes('news/sport')
    await play.seat('Peer 1').commands()
    const wider = await play.page.evaluate(() =>
      [...document.querySelectorAll('body *')]
        .filter(part => part.getBoundingClientRect().right > innerWidth + 1)
        .map(part => part.outerHTML.slice(0, 80)),
    )
    expect(wider).toEqual([])
  })

  it('says beside a command that listens that curl is cut off by the pings', async () => {
    const { url } = await start()
    const play = await PlaygroundPage.open(await openReader(browser()), url, '#pull=jobs&sub=news')
    await play.seat('Puller 1').commands()
    expect(await play.seat('Puller 1').box.locator('.hint').textContent()).toContain('answers no pings')
    expect(await play.seat('Subscriber 1').box.locator('.hint').count()).toBe(0)
  })

  describeWithCurl('shows commands', () => {
    it('that do what its seats do', async () => {
      const { url } = await start()
      const play = await PlaygroundPage.open(await openReader(browser()), url)
      await play.connectAll()
      for (const [writer, reader] of [
        ['Publisher 1', 'Subscriber 1'],
        ['Peer 1', 'Peer 2'],
      ] as const) {
        await play.seat(writer).message.fill(`It's ${writer} "$HOME" \\`)
        const [line = ''] = await play.seat(writer).commands()
        await run('sh', ['-c', line])
        await play.seat(reader).shows(`It's ${writer} "$HOME" \\`)
      }
      const [push = ''] = await play.seat('Pusher 1').commands()
      await run('sh', ['-c', push])
      await expect.poll(() => play.page.locator('[data-role="pull"] [data-kind="heard"]').count()).toBe(1)
    })

    it.each([
      ['Subscriber 1', 0, 'Publisher 1', 'data: by the page'],
      ['Peer 1', 1, 'Peer 2', 'by the page'],
      ['Puller 1', 0, 'Pusher 1', 'by the page'],
    ])('that listen as %s does', async (listener, index, writer, said) => {
      const { url } = await start()
      const play = await PlaygroundPage.open(await openReader(browser()), url)
      const line = (await play.seat(listener).commands())[index] ?? ''
      // With what curl says of the answer: it tells when it listens.
      const curl = spawn('sh', ['-c', `exec ${line.replace('curl ', 'curl -v ')} 2>&1`])
      onTestFinished(() => void curl.kill())
      let heard = ''
      curl.stdout.setEncoding('latin1').on('data', text => {
        heard += text
      })
      await expect.poll(() => heard, { timeout: 20_000 }).toMatch(/^(< HTTP.* 101 |id: )/m)
      await play.seat(writer).say('by the page')
      await expect.poll(() => heard, { timeout: 20_000 }).toContain(said)
    })
  })
})

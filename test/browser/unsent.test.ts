import { expect, it } from 'vitest'
import { openReader } from '../support/chat-page.ts'
import { startChatServer } from '../support/chat-server.ts'
import { describeInChromium, useChromium } from '../support/chromium.ts'

describeInChromium('a message that is not sent', () => {
  const browser = useChromium()

  it('keeps unsent messages over a reload, and sends them once, in their order, when it is told to', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    server.context.backbone.goAway()
    for (const text of ['one', 'two', 'three']) await chat.say(text)
    await chat.hasUnsent(3)
    await chat.fails('Not sent')
    await chat.page.reload()
    await chat.hasUnsent(3)
    await chat.fails('Not sent when this page was last open.')
    server.context.backbone.comeBack()
    await chat.button('Retry all').click()
    await chat.shows('one', 'two', 'three')
    await chat.hasUnsent(0)
    expect(await chat.ownTexts()).toEqual(['one', 'two', 'three'])
    await chat.page.reload()
    await chat.shows('one', 'two', 'three')
    await chat.hasUnsent(0)
    expect(await server.published('chat')).toHaveLength(3)
  })

  it('repeats a message in doubt under its first key, as often as its writer likes', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    server.faults.loses = 'message'
    await chat.say('hello')
    for (let attempt = 0; attempt < 2; attempt++) {
      await chat.fails('retrying is safe, it cannot appear twice')
      await chat.button('Retry').click()
    }
    await chat.fails('retrying is safe, it cannot appear twice')
    server.faults.loses = 'nothing'
    await chat.button('Retry').click()
    await chat.shows('hello')
    await chat.hasUnsent(0)
    expect(server.keys).toHaveLength(4)
    expect(new Set(server.keys).size).toBe(1)
  })

  it('takes a message in doubt as sent when it comes by the stream', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    server.faults.loses = 'receipt'
    await chat.say('hello')
    await chat.shows('hello')
    await chat.hasUnsent(0)
    expect(await chat.ownTexts()).toEqual(['hello'])
  })

  it('does not double a message whose receipt and stream were both lost', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    server.faults.unreachable = true
    server.endStreams()
    await chat.becomes('reconnecting')
    await chat.say('hello')
    await chat.fails('the server could not be reached')
    server.faults.unreachable = false
    await chat.button('Retry').click()
    await chat.shows('hello')
    await chat.hasUnsent(0)
    expect(await server.published('chat')).toHaveLength(1)
  })

  it('forgets an unsent message for good when it is discarded', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    server.context.backbone.goAway()
    await chat.say('never mind')
    await chat.button('Discard').click()
    await chat.hasUnsent(0)
    await chat.page.reload()
    await chat.becomes('reconnecting')
    await chat.hasUnsent(0)
  })

  it('gives a message that the server refuses back for editing', async () => {
    const server = await startChatServer({ maxPayloadBytes: 100 })
    const chat = await (await openReader(browser())).open(server.url)
    await chat.say('long '.repeat(30))
    await chat.fails('At most 100 bytes can be sent at once.')
    await chat.say('short')
    await chat.shows('short')
    await chat.button('Edit').click()
    expect(await chat.text.inputValue()).toBe('long '.repeat(30).trim())
    await chat.hasUnsent(0)
  })

  it('keeps the order of messages that are written quickly', async () => {
    const server = await startChatServer()
    const chat = await (await openReader(browser())).open(server.url)
    const texts = Array.from({ length: 30 }, (_, i) => `message ${i}`)
    for (const text of texts) await chat.say(text)
    await chat.shows(...texts)
    expect(await server.published('chat')).toEqual(texts.map(text => JSON.stringify({ from: 'amy', text })))
  })
})

import { expect, it } from 'vitest'
import { type ChatPage, openReader } from '../support/chat-page.ts'
import { describeInChromium, launchChromium } from '../support/chromium.ts'
import { startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'

const count = 200

/** Sends again what was not sent, as its writer would, as often as it takes. */
async function retryUntilSent({ page }: ChatPage): Promise<void> {
  await page.waitForFunction(expected => {
    const buttons = [...document.querySelectorAll<HTMLButtonElement>('#unsent button, #retry-all')]
    for (const button of buttons)
      if (button.textContent.startsWith('Retry') && button.checkVisibility()) button.click()
    return document.querySelectorAll('#liste .message').length >= expected
  }, count)
}

describeInChromium('two browsers that chat while the broker is killed', () => {
  it('show the same 200 messages, each once, in the same order', async () => {
    const broker = await startBrokerProcess()
    // The publisher and the subscriber are on two functions processes, and in two browsers.
    const [one, two] = await Promise.all([
      startFunctionsProcess(broker.requests),
      startFunctionsProcess(broker.requests),
    ])
    const browsers = await Promise.all([launchChromium(), launchChromium()])
    try {
      const [amy, bob] = await Promise.all([
        openReader(browsers[0]).then(reader => reader.open(one.url)),
        openReader(browsers[1]).then(reader => reader.open(two.url)),
      ])
      const saying = (async () => {
        for (let i = 0; i < count; i++) await amy.say(`message ${i}`)
      })()
      for (const killAt of [40, 120]) {
        await expect.poll(() => bob.messages.count(), { timeout: 30_000 }).toBeGreaterThan(killAt)
        await broker.stop('SIGKILL')
        await expect.poll(() => amy.unsent.count(), { timeout: 30_000 }).toBeGreaterThan(0)
        await broker.restart()
      }
      await saying
      await retryUntilSent(amy)

      await amy.hasUnsent(0)
      await expect.poll(() => bob.messages.count(), { timeout: 30_000 }).toBe(count)
      const said = await amy.messages.locator('.text').allTextContents()
      expect(await bob.messages.locator('.text').allTextContents()).toEqual(said)
      expect(new Set(said)).toEqual(new Set(Array.from({ length: count }, (_, i) => `message ${i}`)))
      expect(said).toHaveLength(count)
    } finally {
      await Promise.all(browsers.map(browser => browser.close()))
    }
  }, 120_000)
})

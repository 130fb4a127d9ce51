import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'

/** A bound for a broken test on a busy machine, not a wait. */
const withinMs = 20_000

/** A reader's browser, with a storage of its own. It ends with the test, which fails if a page had complaints. */
export async function openReader(browser: Browser, options: BrowserContextOptions = {}): Promise<Reader> {
  const context = await browser.newContext({ locale: 'en', timezoneId: 'UTC', ...options })
  context.setDefaultTimeout(withinMs)
  const reader = new Reader(context)
  onTestFinished(async () => {
    await context.close()
    expect(reader.complaints).toEqual([])
  })
  return reader
}

export class Reader {
  readonly context: BrowserContext
  /** Errors, violated policies and what else the browser has to complain of. */
  readonly complaints: string[] = []

  constructor(context: BrowserContext) {
    this.context = context
    context.on('weberror', error => this.complaints.push(String(error.error())))
    context.on('console', message => {
      // The browser says it of every answer from 400 on, whether a page expects it or not.
      const isAnswer = message.text().startsWith('Failed to load resource: ')
      if (['error', 'warning'].includes(message.type()) && !isAnswer) this.complaints.push(message.text())
    })
  }

  /** Opens a page of the chat, and waits until it is live. */
  async open(url: string): Promise<ChatPage> {
    const chat = await this.visit(url)
    await chat.becomes('live')
    return chat
  }

  /** Opens a page of the chat that cannot be live. */
  async visit(url: string): Promise<ChatPage> {
    const page = await this.context.newPage()
    await page.goto(url)
    return new ChatPage(page)
  }
}

/** The chat page, as its reader uses it. */
export class ChatPage {
  readonly page: Page
  readonly name: Locator
  readonly text: Locator
  readonly messages: Locator
  readonly unsent: Locator
  readonly connection: Locator

  constructor(page: Page) {
    this.page = page
    this.name = page.getByLabel('Name', { exact: true })
    this.text = page.getByLabel('Message', { exact: true })
    this.messages = page.locator('#liste .message')
    this.unsent = page.locator('#unsent .message')
    this.connection = page.locator('#connection')
  }

  /** Writes a message and sends it. */
  async say(text: string, name = 'amy'): Promise<void> {
    await this.name.fill(name)
    await this.text.fill(text)
    await this.text.press('Enter')
  }

  /** Waits until exactly these texts are shown as messages of the room, in this order. */
  async shows(...texts: string[]): Promise<void> {
    await expect
      .poll(() => this.page.locator('#liste .message :is(.text, .note)').allTextContents(), {
        timeout: withinMs,
      })
      .toEqual(texts)
  }

  /** Waits until so many messages are on their way or not sent. */
  async hasUnsent(count: number): Promise<void> {
    await expect.poll(() => this.unsent.count(), { timeout: withinMs }).toBe(count)
  }

  /** Waits until the last of the unsent messages is not sent for this reason. */
  async fails(reason: string): Promise<void> {
    await this.unsent.last().getByText(reason).waitFor()
  }

  /** Waits for a state of the connection. */
  async becomes(state: 'connecting' | 'live' | 'reconnecting' | 'offline'): Promise<void> {
    await this.page.locator(`#connection[data-state="${state}"]`).waitFor()
  }

  /** Which of the messages are marked as written by the reader. */
  async ownTexts(): Promise<string[]> {
    return this.page.locator('#liste .own .text').allTextContents()
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true })
  }
}

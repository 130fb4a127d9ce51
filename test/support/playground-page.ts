import type { Locator, Page } from 'playwright-core'
import { expect } from 'vitest'
import type { Reader } from './chat-page.ts'

/** A bound for a broken test on a busy machine, not a wait. */
const withinMs = 20_000

/** The playground, as its user sees it. */
export class PlaygroundPage {
  readonly page: Page

  private constructor(page: Page) {
    this.page = page
  }

  /** @param hash what the link says, with its `#`. */
  static async open(reader: Reader, url: string, hash = ''): Promise<PlaygroundPage> {
    const page = await reader.context.newPage()
    await page.goto(`${url}/playground${hash}`)
    await page.locator('.seat').first().waitFor()
    return new PlaygroundPage(page)
  }

  seat(name: string): PlaygroundSeat {
    return new PlaygroundSeat(this.page.getByRole('article', { name, exact: true }))
  }

  button(name: string, panel: string): Locator {
    return this.page.getByRole('region', { name: panel }).getByRole('button', { name, exact: true })
  }

  /** Connects every seat that there is. */
  async connectAll(): Promise<void> {
    for (const button of await this.page.getByRole('button', { name: 'Connect all' }).all())
      await button.click()
    await expect
      .poll(() => this.page.locator('.seat:not([data-state="open"])').count(), { timeout: withinMs })
      .toBe(0)
  }

  /** The names of the seats, in their order. */
  names(): Promise<string[]> {
    return this.page.locator('.seat h3').allTextContents()
  }

  get hash(): string {
    return new URL(this.page.url()).hash
  }
}

/** One seat of the playground. */
export class PlaygroundSeat {
  readonly box: Locator
  readonly topic: Locator
  readonly message: Locator
  readonly state: Locator
  readonly entries: Locator

  constructor(box: Locator) {
    this.box = box
    this.topic = box.getByLabel('Topic')
    this.message = box.getByLabel('Message')
    this.state = box.getByRole('status')
    this.entries = box.locator('.entry')
  }

  button(name: string): Locator {
    return this.box.getByRole('button', { name, exact: true })
  }

  async say(text: string): Promise<void> {
    await this.message.fill(text)
    await this.message.press('Enter')
  }

  /** Sends a text and takes another topic in one turn of the page, faster than any connection opens. */
  async sayAndMove(text: string, topic: string): Promise<void> {
    await this.message.fill(text)
    await this.topic.evaluate((field, topic) => {
      if (!(field instanceof HTMLInputElement)) throw new Error('The topic is no field.')
      field.form?.requestSubmit()
      field.value = topic
      field.dispatchEvent(new Event('change', { bubbles: true }))
    }, topic)
  }

  /** Waits until its log has exactly these texts of messages, newest first. */
  async shows(...texts: string[]): Promise<void> {
    await expect
      .poll(() => this.box.locator('.entry:not([data-kind="state"]) .text').allTextContents(), {
        timeout: withinMs,
      })
      .toEqual(texts)
  }

  /** Waits until it says so of its connection. */
  async is(state: string): Promise<void> {
    await expect.poll(() => this.state.textContent(), { timeout: withinMs }).toBe(state)
  }

  /** What stands below the newest entry that has a text there, once there is one. */
  async notes(text: string): Promise<string> {
    const notes = this.entries.locator('.notes').filter({ hasText: text }).first()
    await notes.waitFor()
    return (await notes.textContent()) ?? ''
  }

  /** The lines for curl, which it shows when they are asked for. */
  async commands(): Promise<string[]> {
    const summary = this.box.getByText('With curl')
    if (!(await this.box.locator('details').getAttribute('open'))) await summary.click()
    return this.box.locator('pre').allTextContents()
  }
}

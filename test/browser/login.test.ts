import { expect, it } from 'vitest'
import { openReader } from '../support/chat-page.ts'
import { startChatServer } from '../support/chat-server.ts'
import { describeInChromium, useChromium } from '../support/chromium.ts'

const rule = (who: string, publish: string[], subscribe: string[]) => ({
  who: [who],
  publish,
  subscribe,
  history: true,
})
const users = { amy: 'secret' }
const members = { rules: [rule('user:*', ['**'], ['**'])], users }

describeInChromium('the login of the chat page', () => {
  const browser = useChromium()

  async function visit(access: Parameters<typeof startChatServer>[0] = { access: members }) {
    const server = await startChatServer(access)
    const reader = await openReader(browser())
    const chat = await reader.visit(server.url)
    const form = chat.page.locator('#login')
    const logIn = async (password = 'secret') => {
      await chat.page.getByLabel('User', { exact: true }).fill('amy')
      await chat.page.getByLabel('Password', { exact: true }).fill(password)
      await chat.button('Log in').click()
    }
    return { server, reader, chat, form, logIn }
  }

  it('is asked for by a server that has rules, and lets in', async () => {
    const { server, reader, chat, form, logIn } = await visit()
    await form.waitFor()
    expect(await chat.page.locator('#composer').isVisible()).toBe(false)
    await logIn('wrong')
    await form.getByText('The name or the password is wrong.').waitFor()
    expect(await chat.page.getByLabel('Password').inputValue()).toBe('')
    await logIn()
    await chat.becomes('live')
    await form.waitFor({ state: 'hidden' })
    await chat.say('hello')
    await chat.shows('hello')
    expect(await server.published('chat')).toEqual(['{"from":"amy","text":"hello"}'])
    // What stands for the password is out of reach of every script.
    expect(await chat.page.evaluate('document.cookie')).toBe('')
    const [cookie] = await reader.context.cookies()
    expect(cookie).toMatchObject({ name: 'postern_token', httpOnly: true, sameSite: 'Strict' })
    expect(JSON.stringify(await reader.context.storageState())).not.toContain('secret"')
  })

  it('holds for all pages of the browser, and after a reload', async () => {
    const { server, reader, chat, form, logIn } = await visit()
    const second = await reader.visit(server.url)
    await second.page.locator('#login').waitFor()
    await form.waitFor()
    await logIn()
    await chat.becomes('live')
    await second.becomes('live')
    await second.page.locator('#login').waitFor({ state: 'hidden' })
    await chat.page.reload()
    await chat.becomes('live')
    expect(await form.isVisible()).toBe(false)
  })

  it('is asked for again when it is over, and the page goes on from where it was', async () => {
    const { server, chat, form, logIn } = await visit()
    await form.waitFor()
    await logIn()
    await chat.becomes('live')
    await chat.say('before')
    await chat.shows('before')
    server.context.backbone.changeAccess({ ...members, users: {} })
    await form.waitFor()
    await server.publish('chat', '{"from":"bob","text":"meanwhile"}')
    server.context.backbone.changeAccess(members)
    await logIn()
    await chat.becomes('live')
    await chat.shows('before', 'meanwhile')
  })

  it('is asked for by a message where only reading is for everybody, and the message is kept', async () => {
    const rules = [rule('anonymous', [], ['**']), ...members.rules]
    const { server, chat, form, logIn } = await visit({ access: { rules, users } })
    await chat.becomes('live')
    expect(await form.isVisible()).toBe(false)
    await chat.say('hello')
    await chat.fails('Not sent: log in first.')
    await form.waitFor()
    await logIn()
    await form.waitFor({ state: 'hidden' })
    await chat.button('Retry').click()
    await chat.shows('hello')
    expect(await server.published('chat')).toHaveLength(1)
  })

  it('ends with a button', async () => {
    const { reader, chat, form, logIn } = await visit()
    await form.waitFor()
    await logIn()
    await chat.becomes('live')
    await chat.page.getByText('Rooms', { exact: true }).click()
    await chat.button('Log out amy').click()
    await form.waitFor()
    expect(await reader.context.cookies()).toEqual([])
    await chat.page.getByText('Rooms', { exact: true }).click()
    expect(await chat.button('Log out amy').isVisible()).toBe(false)
  })

  it('is not asked for where there are no rules', async () => {
    const { chat, form } = await visit({})
    await chat.becomes('live')
    expect(await form.isVisible()).toBe(false)
  })
})

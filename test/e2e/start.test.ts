import { once } from 'node:events'
import { utimes } from 'node:fs/promises'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Command, startCommand } from '../support/command.ts'
import { temporaryFolder } from '../support/processes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

describe('npm start', () => {
  it('tells the address of the chat, how to publish and how to subscribe', async () => {
    const command = await npmStart()
    const [, chat] = await command.says(/The chat +(\S+)/)
    const [, publish] = await command.says(/Publish +curl -d '.+' (\S+)/)
    const [, subscribe] = await command.says(/Subscribe +curl -N (\S+)/)

    const stream = await fetch(String(subscribe))
    const receipt = await fetch(String(publish), { method: 'POST', body: '{"from":"curl","text":"Hello"}' })
    const page = await fetch(String(chat))

    expect(receipt.status).toBe(201)
    expect(page.headers.get('content-type')).toMatch('text/html')
    expect(await firstWith('Hello', stream)).toContain('data: {"from":"curl","text":"Hello"}')
  })

  it.each([
    ['SIGINT to the whole group, as Ctrl-C', (command: Command) => command.signalGroup('SIGINT')],
    ['SIGINT to npm alone', (command: Command) => command.signal('SIGINT')],
    ['SIGTERM to npm alone', (command: Command) => command.signal('SIGTERM')],
    ['SIGTERM to the whole group', (command: Command) => command.signalGroup('SIGTERM')],
  ])('stops functions first, then the broker, and exits 0: %s', async (_, interrupt) => {
    const command = await npmStart()
    await command.says(/Subscribe/)
    interrupt(command)
    expect(await command.ended).toEqual({ code: 0, signal: null })
    const stops = events(command.output()).filter(({ event }) => event === 'stopping')
    const inOrder = stops.toSorted((a, b) => a.time.localeCompare(b.time))
    expect(inOrder.map(({ program }) => program)).toEqual(['functions', 'broker'])
  })

  it('ends the rest, says why and exits 1 when the broker dies', async () => {
    const command = await npmStart()
    await command.says(/Subscribe/)
    const { pid } = events(command.output()).find(({ pid }) => pid !== undefined) ?? {}
    process.kill(Number(pid), 'SIGKILL')
    expect(await command.ended).toEqual({ code: 1, signal: null })
    expect(command.output()).toContain('postern: broker ended unexpectedly (SIGKILL)\n')
  })

  it('leaves nothing running when it is killed itself', async () => {
    const command = startCommand(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', 'infra/start.ts'],
      {
        cwd: root,
        env: await freeEnv(),
      },
    )
    await command.says(/Subscribe/)
    command.signal('SIGKILL')
    expect(await command.ended).toEqual({ code: null, signal: 'SIGKILL' })
    expect(events(command.output()).filter(({ event }) => event === 'stopping')).toHaveLength(2)
  })

  it('shows one line that names the port and what to set when it is taken, and exits 1', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const address = other.address()
    const port = typeof address === 'object' ? String(address?.port) : ''

    const command = await npmStart({ PORT: port })
    expect(await command.ended).toEqual({ code: 1, signal: null })
    const told = linesTold(command.output())
    expect(told).toHaveLength(1)
    expect(told[0]).toContain(`PORT is ${port}`)
  })

  it('shows the broker’s own line when a setting is wrong, and exits 1', async () => {
    const command = await npmStart({ POSTERN_REQUESTS: 'tcp://127.0.0.1:5001' })
    expect(await command.ended).toEqual({ code: 1, signal: null })
    const told = linesTold(command.output())
    expect(told).toHaveLength(1)
    expect(told[0]).toContain('POSTERN_REQUESTS')
  })
})

describe('npm run dev', () => {
  it('has the playground, which npm start has not', async () => {
    const command = startCommand('npm', ['run', 'dev'], { cwd: root, env: await freeEnv() })
    const [, playground] = await command.says(/Playground +(\S+)/)
    expect((await fetch(String(playground))).status).toBe(200)
    const other = await npmStart()
    const [, chat] = await other.says(/The chat +(\S+)/)
    expect((await fetch(`${chat}playground`)).status).toBe(404)
    expect(other.output()).not.toContain('Playground')
  })

  it('starts again when a source changes, and exits 0 on Ctrl-C', async () => {
    const command = startCommand('npm', ['run', 'dev'], { cwd: root, env: await freeEnv() })
    const [first] = await command.says(/The chat.*/)
    const now = new Date()
    await utimes(`${root}/infra/start.ts`, now, now)
    await command.says(new RegExp(`${first}[^]*The chat`))
    command.signalGroup('SIGINT')
    expect(await command.ended).toEqual({ code: 0, signal: null })
  })
})

async function npmStart(env: Readonly<Record<string, string>> = {}): Promise<Command> {
  return startCommand('npm', ['start'], { cwd: root, env: { ...(await freeEnv()), ...env } })
}

async function freeEnv() {
  return {
    PORT: '0',
    POSTERN_INGEST: 'zmq-bind://PULL@127.0.0.1:0',
    POSTERN_PLAIN: 'zmq-bind://PUB@127.0.0.1:0',
    POSTERN_REQUESTS: 'zmq-bind://ROUTER@127.0.0.1:0',
    POSTERN_STREAM: 'zmq-bind://PUB@127.0.0.1:0',
    POSTERN_DATA: await temporaryFolder(),
  }
}

interface Event {
  readonly time: string
  readonly program: string
  readonly event: string
  readonly pid?: number
}

function events(output: string): Event[] {
  return output.split('\n').flatMap(line => (line.startsWith('{') ? [JSON.parse(line)] : []))
}

/** What is left when npm's own lines and the log are taken away. */
function linesTold(output: string): string[] {
  return output.split('\n').filter(line => line !== '' && !/^([{>]|npm )/.test(line))
}

async function firstWith(text: string, stream: Response): Promise<string> {
  let read = ''
  for await (const chunk of stream.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    read += chunk
    if (read.includes(text)) break
  }
  return read
}

import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Relay } from '../../broker/client/index.ts'
import { type Command, startCommand } from '../support/command.ts'
import { codeOf } from '../support/papers.ts'
import { type BrokerProcess, startBrokerProcess } from '../support/processes.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** A project that knows nothing of this one but its packed file. */
let project: string

describe('the packed project, installed in another one', () => {
  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'postern-foreign-'))
    await writeFile(join(project, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
    await run('npm', ['pack', '--pack-destination', project], { cwd: root })
    const packed = (await readdir(project)).find(name => name.endsWith('.tgz'))
    await run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', `./${packed}`], {
      cwd: project,
    })
  }, 120_000)

  afterAll(() => rm(project, { recursive: true, force: true }))

  it('brings no Node and no tools of development', async () => {
    const { devDependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    const { packages } = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8'))
    const installed = Object.keys(packages).map(path => path.replace(/^.*node_modules\//, ''))
    expect(installed).toContain('postern')
    expect(installed).toContain('zeromq')
    expect(installed.filter(name => Object.hasOwn(devDependencies, name))).toEqual([])
  })

  it('brings JavaScript, its types, the pages and its papers, and nothing else', async () => {
    const names = await readdir(join(project, 'node_modules/postern'), {
      recursive: true,
      withFileTypes: true,
    })
    const files = names.filter(entry => entry.isFile()).map(({ name }) => name)
    const expected = /^(package\.json|README\.md|CHANGELOG\.md|LICENSE|.*\.js|.*\.d\.ts|.*\.(html|css|svg))$/
    expect(files.filter(name => !expected.test(name))).toEqual([])
    expect(files).toEqual(
      expect.arrayContaining(['README.md', 'CHANGELOG.md', 'LICENSE', 'index.js', 'index.d.ts', 'chat.js']),
    )
  })

  it('runs broker and functions with npx postern', async () => {
    const free = 'zmq-bind://PULL@127.0.0.1:0'
    const command = startCommand('npx', ['postern'], {
      cwd: project,
      env: {
        PORT: '0',
        POSTERN_INGEST: free,
        POSTERN_PLAIN: free.replace('PULL', 'PUB'),
        POSTERN_REQUESTS: free.replace('PULL', 'ROUTER'),
        POSTERN_STREAM: free.replace('PULL', 'PUB'),
      },
    })
    const [, publish = ''] = await command.says(/Publish +curl -d '.+' (\S+)/)
    const receipt = await fetch(`${publish}/news`, { method: 'POST', body: 'Hello' })
    expect(receipt.status).toBe(201)
    expect((await fetch(new URL('/site/chat.js', publish))).status).toBe(200)
    command.signalGroup('SIGINT')
    await command.ended
    expect(command.output()).toMatch(/"functions","event":"stopping".*"broker","event":"stopping"/s)
  })

  it.each([
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ])('has types for a strict project: module %s, resolution %s', async (module, moduleResolution) => {
    await writeFile(join(project, 'strict.ts'), strictSource)
    const options = { strict: true, skipLibCheck: false, exactOptionalPropertyTypes: true, types: [] }
    await compile('strict.ts', { ...options, module, moduleResolution, noEmit: true, lib: ['es2023'] })
  })

  it('publishes and subscribes, as the README shows it', async () => {
    const broker = await startBrokerProcess()
    const command = await runExample(0, broker)
    expect(await command.ended).toEqual({ code: 0, signal: null })
    expect(command.output()).toMatch(/^published as [0-9a-f]{12}-\d+$/m)
    expect(command.output()).toMatch(/^[0-9a-f]{12}-\d+ news Hello$/m)
    expect(command.output()).toMatch(/^[0-9a-f]{12}-\d+ news\/sport Hello too$/m)
  })

  it.each([
    ['by a loop', 1, /^received the first one delivery 1\nreceived the last one delivery 1$/m],
    ['by processMessage', 2, /^processed the first one\nprocessed the last one$/m],
  ])('receives and acknowledges, as the README shows it, %s', async (_, example, output) => {
    const config = join(project, 'broker.config.json')
    await writeFile(config, JSON.stringify({ topics: { sms: { durable: true } } }))
    const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
    const relay = new Relay({ broker: broker.requests })
    onTestFinished(() => relay.close())
    for (const text of ['the first one', 'the last one'])
      await relay.publish({ topic: 'sms', type: '', binary: false, payload: Buffer.from(text) })
    const command = await runExample(example, broker)
    expect(await command.ended).toEqual({ code: 0, signal: null })
    expect(command.output()).toMatch(output)
    expect((await relay.status()).keptMessages).toBe(0)
  })

  it('gives a message of a receiver that crashes in its handler to the next one', async () => {
    const config = join(project, 'broker.config.json')
    await writeFile(config, JSON.stringify({ topics: { sms: { durable: true, delivery: 'one' } } }))
    const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
    const relay = new Relay({ broker: broker.requests })
    onTestFinished(() => relay.close())
    await relay.publish({ topic: 'sms', type: '', binary: false, payload: Buffer.from('1') })
    const source = `
      import { Receiver } from 'postern/client'
      for await (const { text, redelivered, ack } of new Receiver({ topic: 'sms', broker: '${broker.requests}' })) {
        process.stdout.write(text + (redelivered ? ' again' : '') + '\\n', () => process.kill(process.pid, 'SIGKILL'))
        await new Promise(() => {})
      }`
    await writeFile(join(project, 'crash.js'), source)
    for (const got of ['1\n', '1 again\n']) {
      const command = startCommand(process.execPath, ['crash.js'], { cwd: project })
      expect(await command.ended).toEqual({ code: null, signal: 'SIGKILL' })
      expect(command.output()).toBe(got)
    }
    expect((await relay.status()).keptMessages).toBe(1)
  })
})

/** Compiles the example of that number in the README against the packed client, and starts it. */
async function runExample(number: number, { requests, ingest }: BrokerProcess): Promise<Command> {
  const source = codeOf(await readFile(join(root, 'README.md'), 'utf8'), 'ts')[number]
  if (!source) throw new Error('the README does not show so many examples')
  const here = source.replaceAll('tcp://127.0.0.1:5001', requests).replaceAll('tcp://127.0.0.1:5000', ingest)
  await writeFile(join(project, 'example.ts'), here)
  await compile('example.ts', { strict: true, module: 'nodenext', lib: ['es2023', 'dom'], types: [] })
  return startCommand(process.execPath, ['example.js'], { cwd: project })
}

const strictSource = `
import {
  type Backbone, type EndReason, type Message, PosternError, type ProcessMessage, type Receipt, type ReceivedMessage,
  Receiver, type ReceiverOptions, Relay, Sender,
} from 'postern/client'

const relay: Backbone = new Relay({ broker: 'tcp://127.0.0.1:5001', maxBufferedBytes: 4096 })
const publication = { topic: 'a', type: '', binary: false, payload: new Uint8Array() }
export const receipt: Promise<Receipt> = relay.publish(publication, { idempotencyKey: 'k' })
export const subscription = relay.subscribe({ topics: ['a'], exact: false }, { since: 'x' }, {
  start(position) { const offset: number = position.offset; return void offset },
  gap() {},
  deliver(messages: readonly Message[]) { return messages.every(({ payload }) => payload instanceof Uint8Array) },
  end(reason) { const known: EndReason = reason; return void known },
})
export const isTemporary = (error: unknown) => error instanceof PosternError && error.code === 'BROKER_UNAVAILABLE'
const sender = new Sender({ ingest: 'tcp://127.0.0.1:5000' })
export const sent: Promise<void> = sender.send('a', 'text', { type: 'news' })
const processMessage: ProcessMessage = async message => void message.text.length
const options: ReceiverOptions = { topic: 'a', broker: 'tcp://127.0.0.1:5001', processMessage }
const receiver = new Receiver({ ...options, window: { messages: 1, bytes: 1000 } })
export const running: Promise<void> = receiver.run()
export const shared = new Receiver({ topic: 'a', backbone: relay })
export async function take(): Promise<ReceivedMessage | undefined> {
  for await (const message of receiver) {
    const isOver: boolean = await message.ack()
    const [bytes, time, again, deliveries]: [Uint8Array, Date, boolean, number] =
      [message.payload, message.time, message.redelivered, message.deliveries]
    if (isOver && bytes.length + time.getTime() + deliveries > 0 && !again) return message
    message.giveBack()
  }
  return undefined
}
// @ts-expect-error a receiver has a topic
new Receiver({ broker: 'tcp://127.0.0.1:5001' })
// @ts-expect-error a topic is a text
sender.send(1, 'text')
// @ts-expect-error there is no such option
new Relay({ brokr: 'tcp://127.0.0.1:5001' })
`

/** Compiles one file with this project's compiler, in the other project. */
async function compile(file: string, compilerOptions: object): Promise<void> {
  const config = { compilerOptions: { target: 'es2023', ...compilerOptions }, files: [file] }
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(config))
  const command = startCommand(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], { cwd: project })
  const { code } = await command.ended
  expect(code, command.output()).toBe(0)
}

import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Relay } from '#client'
import { BackboneReceiver } from '../support/backbone-receiver.ts'
import { runBrokerCommand } from '../support/broker-command.ts'
import { openReader } from '../support/chat-page.ts'
import { describeInChromium, useChromium } from '../support/chromium.ts'
import { EventClient } from '../support/event-client.ts'
import { readFigures, sampleOf } from '../support/figures.ts'
import { fillSqlite } from '../support/kept-rows.ts'
import { type Program, startBrokerProcess, startProgram, temporaryFolder } from '../support/processes.ts'
import { post } from '../support/publish.ts'
import { residentBytes } from '../support/resident.ts'

const run = promisify(execFile)

import { loginOf, messageOf, registerOf, TcpClient } from '../support/tcp-client.ts'
import { secret, signed } from '../support/token-keys.ts'
import { userLines } from '../support/users.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Where nothing of the project is but its bundle, and no package. */
let away: string

beforeAll(async () => {
  away = await mkdtemp(join(tmpdir(), 'postern-bundle-'))
  const project = join(away, 'project')
  const left = new Set(['node_modules', 'dist', 'data', 'coverage', '.git'])
  await cp(root, project, { recursive: true, filter: path => !left.has(basename(path)) })
  await symlink(join(root, 'node_modules'), join(project, 'node_modules'))
  await run('npm', ['run', 'build'], { cwd: project })
  await rename(join(project, 'dist'), join(away, 'dist'))
  await rm(project, { recursive: true })
}, 120_000)

afterAll(() => rm(away, { recursive: true, force: true }))

/** As the programs of the project are named, from its root. */
const shipped = (file: string) => relative(root, join(away, 'dist', file))

const startBroker = (env: Readonly<Record<string, string>> = {}) =>
  startBrokerProcess(env, shipped('broker/main.js'))

async function startFunctions(broker: string, ...args: string[]): Promise<{ url: string; program: Program }> {
  const program = await startProgram(shipped('functions/main.js'), args, {
    POSTERN_BROKER: broker,
    PORT: '0',
  })
  return { url: String(program.told['url']), program }
}

describe('the bundle, away from the project and from all packages', () => {
  it('is a file for each program and each of its threads, the addon, and the pages', async () => {
    const entries = await readdir(join(away, 'dist'), { recursive: true, withFileTypes: true })
    const files = entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name))
    const names = files.map(file => relative(join(away, 'dist'), file))
    const programs = names.filter(name => /^(broker|functions)\/.*\.js$/.test(name))
    // The local listener is loaded only by those who want it.
    expect(programs.sort()).toEqual([
      'broker/commands.js',
      'broker/jose.js',
      'broker/main.js',
      'broker/metrics.js',
      'broker/mysql2.js',
      'broker/password-worker.js',
      'broker/sqlite-worker.js',
      'functions/listhen.js',
      'functions/main.js',
      'functions/readings.js',
    ])
    expect(names).toContain('zeromq.node')
    expect(names.filter(name => /^site\/.*\.ts$/.test(name))).toEqual([])
  })

  it.each(['node', 'listhen'])('publishes and subscribes with --host %s', async host => {
    const broker = await startBroker()
    const { url } = await startFunctions(broker.requests, '--host', host)
    const client = new EventClient(`${url}/event/news`)
    await client.until(({ lastEventId }) => lastEventId !== '')
    const { status, id } = await post(`${url}/message/news`, 'Hello')
    expect(status).toBe(201)
    await client.until(({ events }) => events.length === 1)
    expect(client.events).toEqual([{ id, type: 'message', data: 'Hello' }])
  })

  it('has the commands beside the broker, which runs without them', async () => {
    const program = join(away, 'dist/broker/main.js')
    const alone = join(await temporaryFolder(), 'dist')
    await cp(join(away, 'dist'), alone, { recursive: true })
    await rm(join(alone, 'broker/commands.js'))
    const broker = await startBrokerProcess({}, relative(root, join(alone, 'broker/main.js')))
    const env = { POSTERN_BROKER: broker.requests }
    const how = { program, env, cwd: dirname(broker.data) }
    const { stdout: id } = await runBrokerCommand(['publish', 'news', 'Hello'], how)
    expect((await runBrokerCommand(['history', 'news'], how)).stdout).toBe(`${id.trim()} news Hello\n`)
    expect((await runBrokerCommand(['status'], how)).stdout).toMatch(/^history +1 topic/m)
    expect((await runBrokerCommand(['check'], how)).code).toBe(0)
    const followed = await runBrokerCommand(['subscribe', 'news', '--history', '1', '--count', '1'], how)
    expect(followed).toMatchObject({ code: 0, stdout: `${id.trim()} news Hello\n` })
    const users = join(alone, 'users')
    expect((await runBrokerCommand(['passwd', users, 'amy'], { ...how, input: 'secret\n' })).code).toBe(0)
    const installed = await runBrokerCommand(['install', '--dry-run', '--manager', 'systemd'], how)
    expect(installed.stdout).toMatch(/^ {2}ExecStart=.*broker run$/m)
  })

  it('has the figures beside the programs, which run without them, and tells them of all workers', async () => {
    const broker = await startBroker({ POSTERN_METRICS: 'http://127.0.0.1:0' })
    const { url } = await startFunctions(broker.requests, '--host', 'node', '--workers', '2')
    const [ofBroker, ofFunctions] = await Promise.all(
      [String(broker.program.told['metrics']), `${url}/metrics`].map(async one =>
        readFigures(await (await fetch(one)).text()),
      ),
    )
    expect(sampleOf(ofBroker ?? new Map(), 'postern_build_info{program="broker"}')).toBe(1)
    expect(sampleOf(ofFunctions ?? new Map(), 'postern_functions_workers')).toBe(2)

    const alone = join(await temporaryFolder(), 'dist')
    await cp(join(away, 'dist'), alone, { recursive: true })
    await rm(join(alone, 'broker/metrics.js'))
    await rm(join(alone, 'functions/readings.js'))
    const bare = await startBrokerProcess({}, relative(root, join(alone, 'broker/main.js')))
    await startProgram(relative(root, join(alone, 'functions/main.js')), [], {
      POSTERN_BROKER: bare.requests,
      PORT: '0',
    })
  })

  it('starts with a million kept messages, and hands them out, within 128 MiB of memory', async () => {
    const data = await temporaryFolder()
    await fillSqlite(data, 1_000_000)
    const config = join(data, 'broker.config.json')
    await writeFile(config, JSON.stringify({ topics: { sms: { durable: true } } }))
    const broker = await startBroker({ POSTERN_CONFIG: config, POSTERN_DATA: data })
    const relay = new Relay({ broker: broker.requests })
    onTestFinished(() => relay.close())
    const receiver = new BackboneReceiver()
    relay.receive('sms', receiver)
    await receiver.until(() => receiver.confirmed.length >= 100_000)
    expect((await relay.status()).keptMessages).toBeGreaterThan(800_000)
    expect(await residentBytes(broker.program.child.pid ?? 0)).toBeLessThan(128 * 2 ** 20)
  }, 120_000)

  it('lets users in at the TCP door, and keeps durable messages', async () => {
    const folder = await temporaryFolder()
    const config = { users: Object.values(userLines), topics: { sms: { durable: true } } }
    await writeFile(join(folder, 'config'), JSON.stringify(config))
    const broker = await startBroker({
      POSTERN_CONFIG: join(folder, 'config'),
      POSTERN_TCP: 'tcp://127.0.0.1:0',
    })
    const client = new TcpClient(Number(new URL(String(broker.program.told['tcp'])).port))
    client.send(loginOf('amy', 'secret', { ack: true }), registerOf('sms'), messageOf('sms', '1'))
    const answers = new Set<unknown>()
    while (answers.size < 4) answers.add((await client.answer())['command'])
    expect(answers).toEqual(new Set(['welcome', 'registered', 'receipt', 'message']))
  })

  it('takes tokens', async () => {
    const file = join(await temporaryFolder(), 'config')
    const access = [{ who: 'token:*', publish: ['**'] }]
    await writeFile(file, JSON.stringify({ access, tokens: [{ algorithm: 'HS256', key: secret }] }))
    const relay = new Relay({ broker: (await startBroker({ POSTERN_CONFIG: file })).requests })
    onTestFinished(() => relay.close())
    const token = await signed({ sub: 'amy', exp: 4_000_000_000 })
    expect(await relay.authorize({ kind: 'token', token }, '')).toMatchObject({ identity: 'token:amy' })
  })

  it('shares one port among workers', async () => {
    const broker = await startBroker()
    const { url, program } = await startFunctions(broker.requests, '--host', 'node', '--workers', '2')
    expect(program.output()).toMatch(/"event":"serving".*"workers":2/)
    const clients = Array.from({ length: 6 }, () => new EventClient(`${url}/event/news`))
    await Promise.all(clients.map(client => client.until(({ lastEventId }) => lastEventId !== '')))
    await post(`${url}/message/news`, 'Hello')
    await Promise.all(clients.map(client => client.until(({ events }) => events.length === 1)))
    program.kill('SIGTERM')
    expect(await program.ended).toBe(0)
  })

  it('serves pages whose scripts are JavaScript and refer to each other by their names', async () => {
    const broker = await startBroker()
    const { url } = await startFunctions(broker.requests, '--host', 'node')
    const scripts = new Set<string>()
    const follow = async (path: string): Promise<void> => {
      if (path !== '/' && scripts.has(path)) return
      const response = await fetch(`${url}${path}`)
      expect(response.status, path).toBe(200)
      if (path !== '/') {
        scripts.add(path)
        expect(response.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
      }
      for (const [, place = ''] of (await response.text()).matchAll(
        /["']((?:\.|\/site)\/[\w./-]+\.[jt]s)["']/g,
      ))
        await follow(new URL(place, `${url}${path}`).pathname)
    }
    await follow('/')
    expect([...scripts]).toEqual(expect.arrayContaining(['/site/chat.js', '/site/stream-worker.js']))
    expect([...scripts].filter(path => !path.endsWith('.js'))).toEqual([])
  })

  it.each<[string, (folder: string) => object, boolean]>([
    ['fs', () => ({ driver: 'fs' }), true],
    ['memory', () => ({ driver: 'memory' }), false],
    [
      'db0 with node:sqlite',
      folder => ({
        driver: 'db0',
        options: { connector: 'node-sqlite', path: join(folder, 'history.sqlite') },
      }),
      true,
    ],
  ])('keeps the history in %s', async (_, store, isLasting) => {
    const data = await temporaryFolder()
    const broker = await startBroker({ POSTERN_DATA: data, POSTERN_CONFIG: await configOf(store(data)) })
    const { url } = await startFunctions(broker.requests, '--host', 'node')
    const kept = async () => (await (await fetch(`${url}/history/news`)).json()).messages.length
    // More than the tail of the log holds: the store has what has left it.
    for (let i = 0; i < 30; i++) await post(`${url}/message/news`, 'x'.repeat(8192))
    expect(await kept()).toBe(30)
    expect(await broker.stop()).toBe(0)
    await rm(join(data, 'journal'), { recursive: true })
    await broker.restart()
    await expect.poll(async () => (await fetch(`${url}/health/ready`)).status).toBe(200)
    expect((await kept()) > 0).toBe(isLasting)
  })

  it.each([
    [{ driver: 'redis' }, 'unstorage'],
    [{ driver: 'db0', options: { connector: 'mysql2' } }, 'db0'],
  ])('says which package a store needs that is not in it: %o', async (store, name) => {
    const started = startBroker({ POSTERN_CONFIG: await configOf(store) })
    await expect(started).rejects.toThrow(`it needs the package "${name}", which is not installed`)
  })
})

describeInChromium('the page of the bundle', () => {
  const chromium = useChromium()

  it('is a chat', async () => {
    const broker = await startBroker()
    const { url } = await startFunctions(broker.requests, '--host', 'node')
    const amy = await (await openReader(chromium())).open(url)
    const bob = await (await openReader(chromium())).open(url)
    await amy.say('Hello')
    await bob.shows('Hello')
    await amy.shows('Hello')
  })
})

async function configOf(store: object): Promise<string> {
  const file = join(await temporaryFolder(), 'broker.config.json')
  await writeFile(file, JSON.stringify({ tailBytes: 65_536, history: { store } }))
  return file
}

import { cp, readFile, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'jsonc-parser'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Dealer } from 'zeromq'
import { createLogger } from '#logger'
import { decodeBatch } from '#protocol'
import { loadConfig } from '../../broker/config.ts'
import { startBroker } from '../../broker/service.ts'
import { describeInChromium, launchChromium } from '../support/chromium.ts'
import { type Command, startCommand } from '../support/command.ts'
import { describeWithCurl } from '../support/curl.ts'
import { TestKeys } from '../support/curve-keys.ts'
import { freePort } from '../support/free-port.ts'
import { codeBlocks, codeOf, sectionsOf, tableUnder } from '../support/papers.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'
import { secret } from '../support/token-keys.ts'
import { userLines } from '../support/users.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = await readFile(join(root, 'README.md'), 'utf8')
const brokerPaper = await readFile(join(root, 'broker/README.md'), 'utf8')
const local = await readFile(join(root, 'wrangler-free-local.md'), 'utf8')

/** The ports that the papers speak of. Those of the machine that runs the tests may be taken. */
const ports = [3000, 3001, 3002, 5000, 5001, 6000, 6001]

/*
 * The shell commands of the papers are run as they stand there, in a copy of the project; only ports and the address
 * of the other machine are replaced. The info of a block says how:
 *   sh run <text>     ends with 0 and says the text
 *   sh serve <text>   runs until the end of its section, and is up when it says the text
 *   sh follow <text>  a stream that runs until the end of its section, and has said the text by then
 */
describeWithCurl('the commands of the papers', () => {
  it.each([
    ['README.md', 'Postern', readme],
    ['README.md', 'The command `broker`', readme],
    ['README.md', 'For those who carry on', readme],
    ['wrangler-free-local.md', 'From clone to the first event', local],
    ['wrangler-free-local.md', 'Broker and functions by hand', local],
    ['wrangler-free-local.md', 'Each function file alone', local],
    ['wrangler-free-local.md', 'Functions on one machine, the broker on another', local],
  ])('%s, %s', { timeout: 120_000 }, async (_, title, paper) => {
    await runSection(sectionsOf(paper).get(title) ?? '')
  })

  it('are all of those that can be run', () => {
    const marked = [readme, local].flatMap(paper =>
      codeBlocks(paper).filter(({ info }) => info.startsWith('sh ')),
    )
    expect(marked.filter(({ info }) => !/^sh (run|serve|follow)\b/.test(info))).toEqual([])
  })
})

describeInChromium('the script of the README', () => {
  it('subscribes in a browser', async () => {
    const broker = await startBrokerProcess()
    const { url } = await startFunctionsProcess(broker.requests)
    const browser = await launchChromium()
    try {
      const page = await browser.newPage()
      await page.goto(url)
      const isOpen = page.waitForResponse(/\/event\/news$/)
      await page.evaluate(codeOf(readme, 'js')[0] ?? '')
      await isOpen
      const said = page.waitForEvent('console', message => message.text().endsWith('Hello'))
      const receipt = await fetch(`${url}/message/news`, { method: 'POST', body: 'Hello' })
      const { id } = await receipt.json()
      expect((await said).text()).toBe(`${id} Hello`)
    } finally {
      await browser.close()
    }
  })
})

describe('the paper of the broker', () => {
  it('has requests that a real broker answers as it shows', async () => {
    const POSTERN_CONFIG = join(await temporaryFolder(), 'config.json')
    await writeFile(
      POSTERN_CONFIG,
      JSON.stringify({
        topics: { sms: { durable: true } },
        users: [userLines.amy],
        access: [{ who: 'user:amy', publish: ['chat/**'], subscribe: ['chat/**', 'news'] }],
      }),
    )
    const broker = await startBrokerProcess({ POSTERN_CONFIG })
    const dealer = new Dealer({ linger: 0 })
    dealer.connect(broker.requests)
    onTestFinished(() => dealer.close())
    const [hex = ''] = codeOf(brokerPaper, 'hex publish')
    const batch = Buffer.from(hex.replace(/\s/g, ''), 'hex')

    const requests = codeOf(brokerPaper, 'json request').map(text => JSON.parse(text))
    const shown = codeOf(brokerPaper, 'json reply').map(text => JSON.parse(text))
    let session = ''
    let clockMs = 0
    for (const request of requests) {
      const here = {
        ...request,
        ...('session' in request && { session }),
        ...('deadlineMs' in request && { deadlineMs: clockMs + 2000 }),
        ...('since' in request && { since: '' }),
      }
      await dealer.send([JSON.stringify(here), ...(request.op === 'publish' ? [batch] : [])])
      const [head, ...batches] = await dealer.receive()
      const reply = JSON.parse(String(head))
      const expected = shown.find(({ seq }) => seq === request.seq)
      expect(fieldsOf(reply)).toEqual(fieldsOf(expected))
      if (reply.op === 'hello') ({ session, clockMs } = reply)
      if (reply.op === 'receipts') expect(reply.receipts[0].id).toMatch(/-1$/)
      if (reply.op === 'replay') expect(batches.map(decodeBatch).map(found => found?.last)).toEqual([1])
    }
  })

  it('says which settings a SIGHUP changes', async () => {
    const data = await temporaryFolder()
    const example = parse(await readFile(join(root, 'infra/broker.config.jsonc'), 'utf8'))
    const load = async (changes: object) => {
      const POSTERN_CONFIG = join(data, 'config.json')
      await writeFile(POSTERN_CONFIG, JSON.stringify({ ...example, data, ...onFreePorts, ...changes }))
      return loadConfig({ POSTERN_CONFIG })
    }
    const service = await startBroker(await load({}), { logger: quiet })
    onTestFinished(() => service.stop())
    const others: typeof otherSettings = { ...otherSettings, curveKeys: (await TestKeys.make()).folder }
    for (const [setting = '', , , , onHangup] of tableUnder(brokerPaper, 'Settings')) {
      const [group, ...inner] = setting.split('.')
      const changed = others[setting] ?? 70_000
      const value =
        inner.length === 0
          ? changed
          : { ...example[group ?? ''], ...(inner.length === 1 && { [inner[0] ?? '']: changed }) }
      if (inner.length === 2) value.store = { ...value.store, [inner[1] ?? '']: changed }
      const needsRestart = service.reload(await load({ [group ?? '']: value }))
      expect(needsRestart.length > 0, setting).toBe(onHangup === 'no')
    }
  })
})

const onFreePorts = {
  ingest: 'zmq-bind://PULL@127.0.0.1:0',
  plain: 'zmq-bind://PUB@127.0.0.1:0',
  requests: 'zmq-bind://ROUTER@127.0.0.1:0',
  stream: 'zmq-bind://PUB@127.0.0.1:0',
}

/** Other values than the defaults, for settings that are no numbers. */
const otherSettings: Readonly<Record<string, unknown>> = {
  curveExempt: ['ingest'],
  ingest: 'zmq-bind://PULL@127.0.0.2:0',
  plain: 'zmq-bind://PUB@127.0.0.2:0',
  requests: 'zmq-bind://ROUTER@127.0.0.2:0',
  stream: 'zmq-bind://PUB@127.0.0.2:0',
  tcp: 'tcp://127.0.0.1:0',
  metrics: 'http://127.0.0.1:0',
  usersFile: '/dev/null',
  users: ['eve:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='],
  reloadUsers: ['eve'],
  access: [{ who: '*' }],
  tokens: [{ algorithm: 'HS256', key: secret }],
  plaintext: 'anywhere',
  data: 'elsewhere',
  defaultTopic: 'news',
  topics: { sms: { durable: true } },
  'kept.connector': 'mysql2',
  'kept.options': { path: 'elsewhere' },
  'kept.table': 'elsewhere',
  'kept.waitMs': 3000,
  'history.store.driver': 'memory',
  'history.store.options': { base: 'elsewhere' },
  logLevel: 'warn',
  maxLagBytes: 2_000_000,
  maxTcpChannels: 17,
}

const quiet = createLogger({ program: 'broker', write: () => {}, form: 'json', nowMs: Date.now })

/** The names of all fields of a reply, those of objects in it too. */
function fieldsOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(fieldsOf)
  if (typeof value !== 'object' || value === null) return typeof value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, fieldsOf(inner)]))
}

async function runSection(section: string): Promise<void> {
  const blocks = codeBlocks(section).filter(({ info }) => info.startsWith('sh '))
  expect(blocks.length).toBeGreaterThan(1)
  const place = await settle(!blocks.some(({ code }) => code.includes('npm ci')))
  const until: (() => Promise<unknown>)[] = []
  for (const { info, code } of blocks) {
    const [, kind, text = ''] = /^sh (\w+) ?(.*)$/.exec(info) ?? []
    const command = place.start(code)
    if (kind === 'run') {
      const { code: exit } = await command.ended
      expect(exit, command.output()).toBe(0)
      expect(command.output()).toContain(text)
    } else if (kind === 'serve') await command.says(new RegExp(text))
    else {
      // The block that has only an id: from there on nothing is missed.
      await command.says(/^id: /m)
      until.push(() => command.says(new RegExp(`^${text}$`, 'm')))
    }
  }
  for (const isSaid of until) await isSaid()
}

/**
 * A copy of the project on ports of its own.
 *
 * @param isInstalled whether it has the packages of this one; `npm ci` would remove them there too.
 */
async function settle(isInstalled: boolean): Promise<{ start: (code: string) => Command }> {
  const folder = join(await temporaryFolder(), 'postern')
  const left = new Set(['node_modules', 'dist', 'data', 'coverage', '.git'])
  await cp(root, folder, { recursive: true, filter: path => !left.has(basename(path)) })
  if (isInstalled) await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  const free = await Promise.all(ports.map(async port => [port, await freePort()] as const))
  const portOf = new Map(free)
  const here = (text: string) =>
    text
      .replaceAll('10.0.0.2', '127.0.0.2')
      .replace(/\b\d{4}\b/g, port => String(portOf.get(Number(port)) ?? port))
  const env = {
    PORT: here('3000'),
    POSTERN_INGEST: here('zmq-bind://PULL@127.0.0.1:5000'),
    POSTERN_PLAIN: here('zmq-bind://PUB@127.0.0.1:6000'),
    POSTERN_REQUESTS: here('zmq-bind://ROUTER@127.0.0.1:5001'),
    POSTERN_STREAM: here('zmq-bind://PUB@127.0.0.1:6001'),
    POSTERN_BROKER: here('tcp://127.0.0.1:5001'),
  }
  return { start: code => startCommand('bash', ['-c', here(code)], { cwd: folder, env }) }
}

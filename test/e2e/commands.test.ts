import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { describe, expect, it } from 'vitest'
import { Receiver } from '#client'
import packageJson from '../../package.json' with { type: 'json' }
import { runBrokerCommand, startBrokerCommand, startOnTerminal } from '../support/broker-command.ts'
import { EventClient } from '../support/event-client.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'

const commands = [
  'run',
  'check',
  'status',
  'publish',
  'subscribe',
  'topics',
  'history',
  'passwd',
  'bench',
  'install',
]

describe('the command line', () => {
  it('names all commands', async () => {
    const { code, stdout } = await runBrokerCommand(['--help'])
    expect(code).toBe(0)
    for (const command of commands) expect(stdout).toContain(` ${command} `)
  })

  it.each(commands)(
    'says what %s takes, with an example, and in no colours where nobody looks',
    async command => {
      const { code, stdout } = await runBrokerCommand([command, '--help'])
      expect(code).toBe(0)
      expect(stdout).toMatch(new RegExp(`EXAMPLES?\n\n.*\\bbroker ${command}\\b`))
      expect(stdout).not.toContain('\u001b')
    },
  )

  it('says its version', async () => {
    expect(await runBrokerCommand(['--version'])).toMatchObject({
      code: 0,
      stdout: `${packageJson.version}\n`,
    })
  })

  it.each([
    [['nonsense'], 'The command "nonsense" is not known; known are run, check'],
    [['--nonsense'], '"--nonsense" is not known'],
    [['constructor'], '"constructor" is not known'],
    [['run', 'fast'], 'There is one argument too many: fast.'],
    [['publish'], 'Missing required positional argument: TOPIC.'],
    [['publish', 'a//b', 'x'], 'A topic must not have an empty segment'],
    [['publish', '$bus/x', 'x'], 'belong to the system'],
    [['publish', 'a', 'x', '--type', 'gap'], 'gap'],
    [['status', '--jsn'], "Unknown option '--jsn'"],
    [['status', '--broker'], "'--broker <value>' argument missing"],
    [['status', '--broker', 'localhost'], '--broker is "localhost": allowed is tcp://host:port'],
    [['history', 'a', '--last', 'ten'], '--last is "ten": allowed is a whole number'],
    [['subscribe', 'a', '--since', '7'], '--since is "7": allowed is the id of a message.'],
    [['bench', '--seconds', '0'], '--seconds is "0": allowed is a whole number from 1'],
    [['passwd', 'users', 'a:b'], 'The name "a:b" cannot be that of a user'],
  ])('used wrongly, as %j, says how and ends with 2', async (words, complaint) => {
    const { code, stdout, stderr } = await runBrokerCommand(words, { input: 'secret\n' })
    expect(stderr).toContain(complaint)
    expect(stderr).toMatch(/^broker: .* Try --help\.\n$/)
    expect([code, stdout]).toEqual([2, ''])
  })

  it.each([['status'], ['topics'], ['history', 'a'], ['publish', 'a', 'x'], ['subscribe', 'a'], ['bench']])(
    'ends %s with 1 when no broker answers, and says where it looked',
    async (...words) => {
      const { code, stderr } = await runBrokerCommand([...words, '--broker', 'tcp://127.0.0.1:1'])
      expect(stderr).toMatch(/^broker: No broker answers at tcp:\/\/127\.0\.0\.1:1\..*\n$/)
      expect(code).toBe(1)
    },
  )

  it('says in one line that its output cannot be written, and ends with 1', async () => {
    const { code, stdout, stderr } = await runBrokerCommand(['--version'], { stdout: '/dev/full' })
    expect(stderr).toMatch(/^broker: standard output cannot be written: ENOSPC.*\n$/)
    expect([code, stdout]).toEqual([1, ''])
  })

  it('names the line of the config file that keeps it from finding the broker', async () => {
    const cwd = await temporaryFolder()
    await writeFile(`${cwd}/broker.config.jsonc`, '{\n  "tailBytes": 5\n}')
    const { code, stderr } = await runBrokerCommand(['status'], { cwd })
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^broker: broker\.config\.jsonc:2: The setting tailBytes/),
    ])
  })
})

describe('the broker that a command talks to', () => {
  it('is that of POSTERN_BROKER, else where the config file has it listen', async () => {
    const broker = await startBrokerProcess()
    const byEnvironment = await runBrokerCommand(['status'], { env: { POSTERN_BROKER: broker.requests } })
    expect(byEnvironment.stdout).toContain(`at ${broker.requests},`)

    const folder = await temporaryFolder()
    const requests = `zmq-bind://ROUTER@*:${new URL(broker.requests).port}`
    await writeFile(`${folder}/broker.config.jsonc`, JSON.stringify({ requests, plaintext: 'anywhere' }))
    const byFile = await runBrokerCommand(['status'], { cwd: folder })
    expect(byFile.stdout).toContain(`at ${broker.requests},`)
  })
})

describe('broker publish', () => {
  it('prints the id when the message is in the log', async () => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    const { code, stdout } = await runBrokerCommand(['publish', 'news', 'Hello', '--type', 'greeting'], {
      env,
    })
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^[0-9a-f]{12}-1\n$/)])
    const history = await runBrokerCommand(['history', 'news', '--json'], { env })
    expect(JSON.parse(history.stdout)).toMatchObject({
      id: stdout.trim(),
      topic: 'news',
      type: 'greeting',
      data: 'Hello',
    })
  })

  it.each([['-'], []])('takes the payload from standard input, byte for byte', async (...data) => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    await runBrokerCommand(['publish', 'a', ...data], { env, input: 'one\ntwo\n' })
    await runBrokerCommand(['publish', 'a', ...data], { env, input: new Uint8Array([255, 0]) })
    const { stdout } = await runBrokerCommand(['history', 'a', '--json'], { env })
    const messages = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(messages).toMatchObject([{ data: 'one\ntwo\n' }, { data: '/wA=', encoding: 'base64' }])
    expect(messages[0]).not.toHaveProperty('encoding')
  })

  it('publishes once under one key', async () => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    const words = ['publish', 'a', 'Hello', '--key', 'k']
    const first = await runBrokerCommand(words, { env })
    expect(await runBrokerCommand(words, { env })).toEqual(first)
    const other = await runBrokerCommand(['publish', 'a', 'Other', '--key', 'k'], { env })
    expect(other).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('KEY_CONFLICT') })
  })

  it('says which bound a message is beyond', async () => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    const { code, stderr } = await runBrokerCommand(['publish', 'a'], { env, input: 'x'.repeat(262_145) })
    expect(stderr).toMatch(/PAYLOAD_TOO_LARGE.*262144.*maxPayloadBytes/)
    expect(code).toBe(1)
  })
})

describe('broker subscribe', () => {
  it('prints one line a message, whatever is in it, and ends in order on SIGINT', async () => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    const child = startBrokerCommand(['subscribe', 'news', 'weather'], { env })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    await once(child.stderr, 'data')
    const publish = async (...words: string[]) =>
      (await runBrokerCommand(['publish', ...words], { env })).stdout.trim()
    const first = await publish('news/sport', 'one\ntwo \u001b[31mred \u202eder')
    const second = await publish('weather', 'Rain', '--type', 'forecast')
    expect((await lines.next()).value).toBe(`${first} news/sport one\\ntwo \\u001b[31mred \\u202eder`)
    expect((await lines.next()).value).toBe(`${second} weather [forecast] Rain`)
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([0, null])
  })

  it('begins after an id, and ends after so many', async () => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    const ids: string[] = []
    for (const text of ['one', 'two', 'three', 'four'])
      ids.push((await runBrokerCommand(['publish', 'a', text], { env })).stdout.trim())
    const words = ['subscribe', 'a', '--since', ids[0] ?? '', '--count', '2', '--json']
    const { code, stdout } = await runBrokerCommand(words, { env })
    const seen = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).data)
    expect([code, seen]).toEqual([0, ['two', 'three']])
  })

  it('tells on standard error what is missing', async () => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    await runBrokerCommand(['publish', 'a', 'Hello'], { env })
    const words = ['subscribe', 'a', '--since', '0123456789ab-1', '--count', '1']
    const { code, stdout, stderr } = await runBrokerCommand(words, { env })
    expect(stderr).toMatch(/messages before [0-9a-f]{12}-\d+ are missing/)
    expect([code, stdout]).toEqual([0, expect.stringMatching(/ a Hello\n$/)])
  })

  it('ends in order when its reader has enough', async () => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    const child = startBrokerCommand(['subscribe', 'a'], { env })
    await once(child.stderr, 'data')
    child.stdout.destroy()
    const ended = once(child, 'exit')
    for (let i = 0; i < 2; i++) await runBrokerCommand(['publish', 'a', 'Hello'], { env })
    expect(await ended).toEqual([0, null])
  })

  it('goes on where it was when the broker was away', async () => {
    const broker = await startBrokerProcess()
    const env = { POSTERN_BROKER: broker.requests }
    const child = startBrokerCommand(['subscribe', 'a', '--count', '2', '--json'], { env })
    let told = ''
    child.stderr.on('data', text => {
      told += text
    })
    let seen = ''
    child.stdout.on('data', text => {
      seen += text
    })
    await expect.poll(() => told).toContain('subscribed')
    await runBrokerCommand(['publish', 'a', 'one'], { env })
    await broker.stop('SIGKILL')
    await expect.poll(() => told, { timeout: 10_000 }).toContain(`no broker answers at ${broker.requests}`)
    await broker.restart()
    await expect.poll(() => told, { timeout: 10_000 }).toContain('the broker is back')
    const ended = once(child, 'close')
    await runBrokerCommand(['publish', 'a', 'two'], { env })
    expect(await ended).toEqual([0, null])
    expect(
      seen
        .trim()
        .split('\n')
        .map(line => JSON.parse(line).data),
    ).toEqual(['one', 'two'])
  })
})

describe('broker topics', () => {
  it('lists what there is of each, in the order of their names', async () => {
    const folder = await temporaryFolder()
    const POSTERN_CONFIG = `${folder}/config.json`
    await writeFile(POSTERN_CONFIG, JSON.stringify({ topics: { sms: { durable: true } } }))
    const env = { POSTERN_BROKER: (await startBrokerProcess({ POSTERN_CONFIG })).requests }
    for (const topic of ['sms', 'news/sport', 'news', 'news'])
      await runBrokerCommand(['publish', topic, 'Hello'], { env })
    const { code, stdout } = await runBrokerCommand(['topics', '--json'], { env })
    const topics = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    expect(code).toBe(0)
    expect(topics).toMatchObject([
      { topic: 'news', messages: 2, keptMessages: 0 },
      { topic: 'news/sport', messages: 1, keptMessages: 0 },
      { topic: 'sms', messages: 1, keptMessages: 1, keptBytes: 5 },
    ])
    const table = await runBrokerCommand(['topics'], { env })
    expect(table.stdout).toMatch(
      /^topic +messages .*\nnews +2 .*\nnews\/sport +1 .*\nsms +1 .* 1 +5 bytes\n$/,
    )
  })
})

describe('broker topics, where something could not be received', () => {
  it('shows it in the grave of its topic', async () => {
    const folder = await temporaryFolder()
    const POSTERN_CONFIG = `${folder}/config.json`
    await writeFile(POSTERN_CONFIG, JSON.stringify({ topics: { sms: { durable: true, maxDeliveries: 1 } } }))
    const { requests } = await startBrokerProcess({ POSTERN_CONFIG })
    const env = { POSTERN_BROKER: requests }
    await runBrokerCommand(['publish', 'sms', 'Hello'], { env })
    for await (const message of new Receiver({ topic: 'sms', broker: requests })) {
      message.giveBack()
      break
    }
    const lines = async () =>
      (await runBrokerCommand(['topics', '--json'], { env })).stdout.trim().split('\n')
    await expect
      .poll(async () => (await lines()).map(line => JSON.parse(line)), { timeout: 10_000 })
      .toMatchObject([
        { topic: '$dead/sms', messages: 0, keptMessages: 1, keptBytes: 5 },
        { topic: 'sms', messages: 1, keptMessages: 0 },
      ])
  })
})

describe('broker status', () => {
  it('says who is connected, how fast it goes, and what is kept', async () => {
    const broker = await startBrokerProcess()
    const env = { POSTERN_BROKER: broker.requests }
    const { url } = await startFunctionsProcess(broker.requests)
    const clients = ['a', 'b', 'b'].map(topic => new EventClient(`${url}/event/${topic}`))
    await Promise.all(clients.map(client => client.until(({ lastEventId }) => lastEventId !== '')))
    await runBrokerCommand(['publish', 'b', 'Hello'], { env })
    const status = async () => JSON.parse((await runBrokerCommand(['status', '--json'], { env })).stdout)
    // The functions tell of themselves every two seconds.
    await expect.poll(status, { timeout: 10_000 }).toMatchObject({
      version: packageJson.version,
      peers: 1,
      subscribers: 3,
      delivered: 2,
      topics: 1,
      historyMessages: 1,
      keptMessages: 0,
      counters: { published: 1 },
    })
    const { publishedPerS, deliveredPerS, residentBytes } = await status()
    expect(publishedPerS).toBeGreaterThan(0)
    expect(deliveredPerS).toBeGreaterThan(0)
    expect(residentBytes).toBeGreaterThan(2 ** 24)
    const { code, stdout } = await runBrokerCommand(['status'], { env })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^connections +1 process, 3 subscribers, 0 pullers/m)
    expect(stdout).toMatch(/^history +1 topic, 1 message, /m)
  })
})

describe('broker bench', () => {
  it('has a row for each load, and leaves nothing in any history', async () => {
    const env = { POSTERN_BROKER: (await startBrokerProcess()).requests }
    await runBrokerCommand(['publish', 'news', 'Hello'], { env })
    const before = await runBrokerCommand(['topics', '--json'], { env })
    const { code, stdout, stderr } = await runBrokerCommand(['bench', '--seconds', '1'], { env })
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.split('\n').map(line => line.trim().split(/ +/)[0])).toEqual([
      'under',
      '1',
      '16',
      '256',
      '',
    ])
    expect(await runBrokerCommand(['topics', '--json'], { env })).toEqual(before)
  })

  it('draws its bar on a terminal only when there is something new to see', async () => {
    const { requests } = await startBrokerProcess()
    const bench = startOnTerminal(['bench', '--seconds', '1', '--broker', requests], await temporaryFolder())
    expect(await bench.ended).toBe(0)
    const drawn = bench.screen.match(/[█░]{30} \d+ under way/gu) ?? []
    expect(drawn.length).toBeGreaterThan(3)
    expect(new Set(drawn).size).toBe(drawn.length)
  })
})

describe('broker install --dry-run', () => {
  it.each([
    ['systemd', '> /etc/systemd/system/broker.service (644)', '$ systemctl daemon-reload'],
    ['sysvinit', '> /etc/init.d/broker (755)', '$ update-rc.d broker defaults'],
    ['supervisor', '> /etc/supervisor/conf.d/broker.conf (644)', '$ useradd --system'],
  ])('prints what it would write and run for %s', async (manager, file, command) => {
    const words = ['install', '--dry-run', '--manager', manager, '--prefix', '/opt/postern/current']
    const { code, stdout } = await runBrokerCommand(words)
    expect(code).toBe(0)
    expect(stdout).toContain(`\n${file}\n`)
    expect(stdout).toContain(command)
    expect(stdout).toMatch(/^ {2}.*\/opt\/postern\/current\b/m)
  })

  it.each(['relative/folder', '/with space', '/with%specifier'])('refuses the folder %s', async prefix => {
    const { code, stderr } = await runBrokerCommand(['install', '--manager', 'systemd', '--prefix', prefix])
    expect([code, stderr]).toEqual([2, expect.stringContaining(`--prefix is "${prefix}"`)])
  })

  it('refuses a manager that it does not know', async () => {
    const { code, stderr } = await runBrokerCommand(['install', '--dry-run', '--manager', 'runit'])
    expect([code, stderr]).toEqual([2, expect.stringContaining('systemd, sysvinit, supervisor')])
  })
})

import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { sumOf, worstCases } from '../../broker/bounds.ts'
import { inBytes } from '../../broker/commands/quantity.ts'
import { loadConfig } from '../../broker/config.ts'
import { runBrokerCommand } from '../support/broker-command.ts'
import { startBrokerProcess, temporaryFolder } from '../support/processes.ts'
import { userLines } from '../support/users.ts'

/** Checks a config file with this content. */
async function check(content: string, env: Readonly<Record<string, string>> = {}) {
  const cwd = await temporaryFolder()
  await writeFile(`${cwd}/broker.config.jsonc`, content)
  return { cwd, ...(await runBrokerCommand(['check'], { cwd, env })) }
}

describe('broker check', () => {
  it('says each address, who may log in, where things are kept, and what is bounded', async () => {
    const cwd = await temporaryFolder()
    await writeFile(`${cwd}/users`, `${userLines.amy}\n${userLines.bob}\n`)
    await writeFile(
      `${cwd}/broker.config.jsonc`,
      `{
        // For the gateway.
        "ingest": "zmq-bind://PULL@127.0.0.1:7000;127.0.0.1:7001",
        "tcp": "tcp://127.0.0.1:8887",
        "usersFile": "users",
        "topics": { "sms/*": { "durable": true, "receivers": 1 } },
      }`,
    )
    const { code, stdout, stderr } = await runBrokerCommand(['check'], { cwd })
    expect([code, stderr]).toEqual([0, ''])
    for (const line of [
      /^config +broker\.config\.jsonc$/m,
      /^ingest +PULL listens at tcp:\/\/127\.0\.0\.1:7000 and tcp:\/\/127\.0\.0\.1:7001: /m,
      /^requests +ROUTER listens at tcp:\/\/127\.0\.0\.1:5001: /m,
      /^tcp +tcp:\/\/127\.0\.0\.1:8887, 2 users in users$/m,
      new RegExp(`^data +${cwd}/data$`, 'm'),
      /^payload +up to 256 KiB$/m,
      /^history +100 messages and 1 MiB of each topic, 7 d, 16 MiB in all; kept with fs$/m,
      /^durable +sms\/\*: up to 1,000,000 messages or 1 GiB, to 1 receiver$/m,
      /^kept +with node-sqlite/m,
    ])
      expect(stdout).toMatch(line)
  })

  it('prints what each bound takes at its worst, the sum, and whether that fits', async () => {
    const { stdout } = await check('{ "tailBytes": 1048576 }')
    const config = { ...loadConfig({}), tailBytes: 1_048_576 }
    const cases = worstCases(config)
    for (const { name, bytes, setting } of cases) {
      const line = stdout.split('\n').find(line => line.includes(name) && line.includes(inBytes(bytes)))
      expect(line, name).toContain(setting)
    }
    expect(stdout).toContain(`\n${inBytes(sumOf(cases, 'memory'))} in memory; `)
    expect(stdout).toContain(`\n${inBytes(sumOf(cases, 'disk'))} on disk.\n`)
    expect(stdout).toMatch(/ has [\d.,]+ [KMGT]iB\. It fits\./)
    const greedy = await check('{ "tailBytes": 17179869184, "maxPushBytes": 17179869184 }')
    expect([greedy.code, greedy.stdout]).toEqual([0, expect.stringContaining('It does not fit')])
  })

  it.each<[string, string, string]>([
    [
      'a setting out of its range',
      '{\n\n  "tailBytes": 5\n}',
      'broker.config.jsonc:3: The setting tailBytes is 5: allowed',
    ],
    [
      'one inside another',
      '{\n  "history": {\n    "messages": -1\n  }\n}',
      'broker.config.jsonc:3: The setting history.messages is -1',
    ],
    [
      'one that is not known',
      '{\n  "data": "x",\n  "tailbytes": 5\n}',
      'broker.config.jsonc:3: The setting tailbytes',
    ],
    ['a comma too few', '{\n  "data": "x"\n  "tailBytes": 70000\n}', 'broker.config.jsonc:3: CommaExpected'],
    [
      'an open address',
      '{\n  "plain": "zmq-bind://PUB@*:6000"\n}',
      'broker.config.jsonc:2: The setting plain names *:6000',
    ],
    [
      'a users file that is not there',
      '{\n  "usersFile": "nowhere"\n}',
      'broker.config.jsonc:2: The users file nowhere cannot be read',
    ],
    [
      'a pattern of topics',
      '{\n  "topics": {\n    "a/**/b": {}\n  }\n}',
      'broker.config.jsonc:3: The setting topics.a/**/b',
    ],
    [
      'a store that there is not',
      '{ "history": { "store": { "driver": "nonsense" } } }',
      'The setting history.store.driver is "nonsense"',
    ],
  ])('ends with 1 for %s, and says where it stands', async (_, content, complaint) => {
    const { code, stdout, stderr } = await check(content)
    expect(stderr).toContain(`broker: ${complaint}`)
    expect([code, stdout]).toEqual([1, ''])
  })

  it('says all that is wrong at once', async () => {
    const { code, stderr } = await check('{\n  "tailBytes": 5,\n  "logLevel": "loud"\n}')
    expect(code).toBe(1)
    expect(stderr).toMatch(
      /^broker: broker\.config\.jsonc:2: .*tailBytes.*\nbroker: broker\.config\.jsonc:3: .*logLevel.*\n$/,
    )
  })

  it('names the variable, and no line, where the environment is wrong', async () => {
    const { code, stderr } = await check('{\n  "logLevel": "info"\n}', { POSTERN_LOG_LEVEL: 'loud' })
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^broker: The setting POSTERN_LOG_LEVEL \(logLevel\) is "loud"/),
    ])
  })

  it('reads the file that it is given', async () => {
    const cwd = await temporaryFolder()
    await writeFile(`${cwd}/other.jsonc`, '{ "defaultTopic": "news" }')
    const { code, stdout } = await runBrokerCommand(['check', 'other.jsonc'], { cwd })
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/^config +other\.jsonc\n[\s\S]*payloads of news$/m),
    ])
    const missing = await runBrokerCommand(['check', 'nowhere.jsonc'], { cwd })
    expect(missing).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('nowhere.jsonc cannot be read'),
    })
  })

  it('writes nothing, beside a broker that runs as well as without', async () => {
    const { code, cwd } = await check('{ "topics": { "sms": { "durable": true } } }')
    expect([code, await readdir(cwd)]).toEqual([0, ['broker.config.jsonc']])
    const broker = await startBrokerProcess()
    const before = await readdir(broker.data, { recursive: true })
    const beside = await runBrokerCommand(['check'], {
      cwd,
      env: {
        POSTERN_DATA: broker.data,
        POSTERN_REQUESTS: `zmq-bind://ROUTER@${new URL(broker.requests).host}`,
      },
    })
    expect([beside.code, await readdir(broker.data, { recursive: true })]).toEqual([0, before])
  })

  it('says when this user may not write where the data is to be', async () => {
    const cwd = await temporaryFolder()
    await chmod(cwd, 0o755)
    await mkdir(`${cwd}/closed`, { mode: 0o555 })
    // To root nothing is closed.
    const asAnybody = process.getuid?.() === 0 ? { uid: 65_534 } : {}
    const env = { POSTERN_DATA: 'closed/data' }
    const { code, stderr } = await runBrokerCommand(['check'], { cwd, env, ...asAnybody })
    expect([code, stderr]).toEqual([1, expect.stringContaining(`may not write to ${cwd}/closed`)])
  })
})

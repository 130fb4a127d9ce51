import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readCurveFolder } from '../../broker/auth/curve-folder.ts'
import { readCurveKeys } from '../../broker/client/index.ts'
import { runBrokerCommand } from '../support/broker-command.ts'
import { logged, reload } from '../support/curve-keys.ts'
import { knock } from '../support/curve-knock.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'
import { post } from '../support/publish.ts'

describe('broker keys', () => {
  it('makes what a broker and its functions need to find each other, and a change of keys', async () => {
    const cwd = await temporaryFolder()
    const keys = (...words: string[]) => runBrokerCommand(['keys', ...words], { cwd })
    const made = await keys('web', '--for', 'functions')
    const { publicKey, secretKey } = readCurveKeys(join(cwd, 'keys/web.json'))
    expect(made).toMatchObject({ code: 0, stderr: '' })
    expect(made.stdout).toContain('keys/web.json is for web alone')
    expect(made.stdout).not.toContain(secretKey)

    const broker = await startBrokerProcess({ POSTERN_CURVE_KEYS: join(cwd, 'keys') })
    const old = readCurveKeys(join(cwd, 'keys/web.json'))
    await keys('web')
    await reload(broker.program)
    const functions = await startFunctionsProcess(broker.requests, {
      POSTERN_CURVE: join(cwd, 'keys/web.json'),
    })
    expect((await post(`${functions.url}/message/news`, 'Hello')).status).toBe(201)
    expect(await knock('requests', broker.requests, old)).toBe('in')

    const retired = await keys('web', '--retire')
    expect(retired.stdout).toContain(`${publicKey.slice(0, 8)}… does not let web in any more`)
    await reload(broker.program)
    expect(await logged(broker.program, /"curve-keys-taken"/)).toContain(`web (${publicKey.slice(0, 8)}…)`)
    expect(await knock('requests', broker.requests, old)).toBe('refused')
  })

  it('makes them where the settings say, which need not be complete yet', async () => {
    const cwd = await temporaryFolder()
    const at = (name: string) => join(cwd, name)
    writeFileSync(at('broker.config.jsonc'), JSON.stringify({ curveKeys: at('by-file') }))
    await runBrokerCommand(['keys', 'web', '--for', 'functions'], { cwd })
    await runBrokerCommand(['keys', 'web', '--for', 'functions'], {
      cwd,
      env: { POSTERN_CURVE_KEYS: at('by-variable') },
    })
    await runBrokerCommand(['keys', 'web', '--for', 'functions', '--folder', at('by-option')], { cwd })
    for (const folder of ['by-file', 'by-variable', 'by-option'])
      expect(readCurveFolder(at(folder)).clients.map(({ name }) => name)).toEqual(['web'])
    expect(existsSync(at('keys'))).toBe(false)
  })

  it('lists who is let in, and shows no secret', async () => {
    const cwd = await temporaryFolder()
    await runBrokerCommand(['keys', 'temma', '--for', 'publisher,subscriber'], { cwd })
    const { serverKey, publicKey } = readCurveKeys(join(cwd, 'keys/temma.json'))
    const { stdout } = await runBrokerCommand(['keys'], { cwd })
    expect(stdout).toBe(`broker: ${serverKey}\ntemma (publisher, subscriber): ${publicKey.slice(0, 8)}…\n`)
  })

  it.each([
    [['web', '--for', 'god'], 2, '--for is "god": allowed is a list of functions, publisher, subscriber'],
    [['web', '--retire', '--remove'], 2, 'cannot go together'],
    [['--retire'], 2, 'Whose keys is not said'],
    [['broker', '--for', 'functions'], 2, '--for is for clients'],
    [['web'], 1, 'web is new: say what for'],
    [['../web', '--for', 'functions'], 1, 'the name is "../web"'],
    [['web', '--retire'], 1, 'keys/broker.json cannot be read'],
  ])('says what is wrong with %j', async (words, code, told) => {
    const cwd = await temporaryFolder()
    const ended = await runBrokerCommand(['keys', ...words], { cwd })
    expect(ended).toMatchObject({ code, stdout: '', stderr: expect.stringContaining(told) })
  })
})

describe('a command that talks to a broker with keys', () => {
  it('has its own in the file that POSTERN_CURVE names, and says so when it has none', async () => {
    const cwd = await temporaryFolder()
    await runBrokerCommand(['keys', 'operator', '--for', 'functions'], { cwd })
    const broker = await startBrokerProcess({ POSTERN_CURVE_KEYS: join(cwd, 'keys') })
    const env = { POSTERN_BROKER: broker.requests, POSTERN_CURVE: 'keys/operator.json' }
    expect(await runBrokerCommand(['publish', 'news', 'Hello'], { cwd, env })).toMatchObject({
      code: 0,
      stderr: '',
    })
    const subscribed = await runBrokerCommand(['subscribe', 'news', '--history', '1', '--count', '1'], {
      cwd,
      env,
    })
    expect(subscribed.stdout).toContain('Hello')
    const without = await runBrokerCommand(['status'], { cwd, env: { POSTERN_BROKER: broker.requests } })
    expect(without).toMatchObject({ code: 1, stdout: '' })
    expect(without.stderr).toContain(
      'does not let us in: keys are asked for, and there are none here. POSTERN_CURVE names the file of keys.',
    )
    const missing = await runBrokerCommand(['status'], {
      cwd,
      env: { ...env, POSTERN_CURVE: 'nowhere.json' },
    })
    expect(missing).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('POSTERN_CURVE is "nowhere.json"'),
    })
  })

  it('tells by broker check who is asked and who is let in', async () => {
    const cwd = await temporaryFolder()
    await runBrokerCommand(['keys', 'web', '--for', 'functions'], { cwd })
    const check = (settings: object) => {
      writeFileSync(join(cwd, 'broker.config.jsonc'), JSON.stringify(settings))
      return runBrokerCommand(['check'], { cwd })
    }
    expect((await check({})).stdout).toMatch(/^keys +nobody is asked for one$/m)
    expect((await check({ curveKeys: 'keys', curveExempt: ['plain'] })).stdout).toMatch(
      /^keys +asked for at ingest, requests, stream; 1 client in keys$/m,
    )
  })
})

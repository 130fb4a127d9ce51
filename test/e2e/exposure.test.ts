import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'

const rules = [{ who: 'user:*', publish: ['**'], subscribe: ['**'] }]

async function startBroker(access: readonly object[]) {
  const config = join(await temporaryFolder(), 'broker.config.json')
  const setRules = (now: readonly object[]) => writeFile(config, JSON.stringify({ access: now }))
  await setRules(access)
  const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
  return { broker, setRules }
}

const exposures = [
  {
    env: { HOST: '0.0.0.0' },
    named: 'HOST is "0.0.0.0", which others can reach, and the broker has no rules',
  },
  { env: { POSTERN_TRUST_PROXY: 'loopback' }, named: 'POSTERN_TRUST_PROXY is "loopback"' },
]
const ways = [
  ['--host', 'node'],
  ['--host', 'listhen'],
  ['--workers', '2'],
]

describe('functions that others can reach', () => {
  it.each(exposures)('do not start without rules, and say what to write: $env', async ({ env, named }) => {
    const { broker } = await startBroker([])
    for (const args of ways) {
      const start = startFunctionsProcess(broker.requests, env, args)
      await expect(start).rejects.toThrow(named)
      await expect(start).rejects.toThrow('has ended with 1')
    }
  })

  it('start with rules, and end when these go', async () => {
    const { broker, setRules } = await startBroker(rules)
    const { url, program } = await startFunctionsProcess(broker.requests, { HOST: '0.0.0.0' })
    expect((await fetch(`${url}/event/news`)).status).toBe(401)
    await setRules([])
    broker.program.kill('SIGHUP')
    expect(await program.ended).toBe(1)
    expect(program.output()).toContain('HOST is "0.0.0.0"')
  })

  it('start while the broker is away, and let nobody in', async () => {
    const { broker } = await startBroker([])
    await broker.stop()
    const { url, program } = await startFunctionsProcess(broker.requests, { HOST: '0.0.0.0' })
    expect((await fetch(`${url}/message/news`, { method: 'POST', body: 'a' })).status).toBe(503)
    await broker.restart()
    expect(await program.ended).toBe(1)
  })
})

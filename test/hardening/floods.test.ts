import { describe, expect, it } from 'vitest'
import { HealthyClients } from '../support/fuzz/healthy.ts'
import { Target } from '../support/fuzz/target.ts'
import { startProgram } from '../support/processes.ts'

/** So often those who behave say something at every door while the flood is high. */
const exchanges = 8

/** Who the flood comes from is told as a proxy tells it. Slow clients are let go within the test, and come again. */
const env = { POSTERN_TRUST_PROXY: 'loopback' }
const impatient = { ...env, POSTERN_HEAD_MS: '1000', POSTERN_BODY_MS: '1000' }

describe('clients that behave get everything, and nothing is left behind,', () => {
  it.each([
    ['10,000 connections that say nothing, at HTTP', 'half-open', 'http', 10_000, env],
    ['5,000 connections that say nothing, at the TCP door', 'half-open', 'tcp', 5000, env],
    ['2,000 connections that say nothing, at the requests socket', 'half-open', 'requests', 2000, env],
    ['1,000 heads that come byte by byte', 'slow-heads', 'http', 1000, impatient],
    ['1,000 bodies that come byte by byte', 'slow-bodies', 'http', 1000, impatient],
    ['wrong passwords from one address, at HTTP', 'logins-http', 'http', 32, env],
    ['wrong passwords from one address, at the TCP door', 'logins-tcp', 'tcp', 32, env],
    ['publishes of one address, as fast as they can be sent', 'publishes', 'http', 32, env],
  ] as const)(
    'in a flood of %s',
    async (_, kind, port, count, env) => {
      const target = await Target.start({ env })
      const healthy = await HealthyClients.open(target)
      await target.settled()
      const place = `127.0.0.1:${target.ports[port]}`
      const flood = await startProgram('test/support/flood.ts', [kind, place, `${count}`], {})
      for (let i = 0; i < exchanges; i++) await healthy.exchange()
      flood.kill('SIGTERM')
      expect(await flood.ended).toBe(0)
      const { opened, answers } = JSON.parse(flood.output())
      expect(opened + answers).toBeGreaterThanOrEqual(count)
      target.assertWell()
      await target.assertNothingLeft()
      await healthy.exchange()
    },
    120_000,
  )
})

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { Relay } from '../../broker/client/index.ts'
import { hasMariadb } from '../support/installed.ts'
import { KeptLoad } from '../support/kept-load.ts'
import { type MariadbServer, startMariadb } from '../support/mariadb.ts'
import { startBrokerProcess, temporaryFolder } from '../support/processes.ts'

/** The script `test:crash` sets more. */
const rounds = Number(process.env['CRASH_ROUNDS'] ?? 20)

const points = [
  'before-commit',
  'after-commit',
  'before-journal',
  'after-journal',
  'after-stream',
  'before-removal',
  'after-removal',
]

/** Where nothing is injected it is killed from outside, whatever it is doing. */
const faultOf = (round: number): string | undefined => {
  const point = round % 2 === 0 ? undefined : points[((round - 1) / 2) % points.length]
  return point && `${point}:${3 + (round % 5)}`
}

async function crash(kept: object): Promise<void> {
  const config = join(await temporaryFolder(), 'broker.config.json')
  await writeFile(config, JSON.stringify({ topics: { sms: { durable: true, delivery: 'one' } }, kept }))
  const env = { POSTERN_CONFIG: config, FAULT: 'none:0' }
  const broker = await startBrokerProcess(env, 'test/support/faulty-broker.ts')
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  await relay.ready()
  const load = new KeptLoad(relay, 4)
  for (let round = 0; round < rounds; round++) {
    if (faultOf(round) === undefined) {
      const receipts = load.receipts.length + 20 + (round % 7)
      const confirmed = load.confirmed.size + 10
      await load.until(() => load.receipts.length > receipts && load.confirmed.size > confirmed)
      broker.program.kill('SIGKILL')
    }
    expect(await broker.program.ended).toBe('SIGKILL')
    await broker.restart({ FAULT: faultOf(round + 1) ?? 'none:0' })
  }
  await broker.stop('SIGKILL')
  await broker.restart({ FAULT: 'none:0' })
  await load.end()
  if (process.env['CRASH_ROUNDS'] !== undefined) process.stdout.write(`${rounds} rounds: ${load.summary}\n`)
  expect(load.faults()).toEqual([])
}

const withinMs = 60_000 + 6000 * rounds

describe('a broker with durable topics that is killed again and again under load, at injected moments and at random', () => {
  it('keeps every receipt, confirms for good, and marks what comes again: SQLite', () => crash({}), withinMs)

  describe.skipIf(!hasMariadb())('with MariaDB (needs mariadbd)', () => {
    let server: MariadbServer | undefined
    const ends: (() => Promise<void>)[] = []
    beforeAll(async () => {
      server = await startMariadb(end => ends.push(end))
    })
    afterAll(async () => {
      for (const end of ends.reverse()) await end()
    })

    it(
      'keeps every receipt, confirms for good, and marks what comes again: MariaDB',
      () => crash({ connector: 'mysql2', options: server?.options }),
      withinMs,
    )
  })
})

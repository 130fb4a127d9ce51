import { afterAll, beforeAll, expect, it } from 'vitest'
import { socketHostKinds } from '../support/function-hosts.ts'
import { describeWithMojolicious, runMojolicious } from '../support/mojolicious.ts'
import {
  type AtEnd,
  type BrokerProcess,
  type FunctionsProcess,
  startBrokerProcess,
  startFunctionsProcess,
} from '../support/processes.ts'

/* Clients with Mojo::UserAgent, in Perl: each line that they check stands in test/e2e/mojolicious. */

describeWithMojolicious('Mojo::UserAgent', () => {
  const ends: (() => Promise<void>)[] = []
  const atEnd: AtEnd = end => void ends.push(end)
  let broker: BrokerProcess

  beforeAll(async () => {
    broker = await startBrokerProcess({}, undefined, atEnd)
  })
  afterAll(async () => {
    for (const end of ends.toReversed()) await end()
  })

  const start = (host: string, env: Record<string, string> = {}): Promise<FunctionsProcess> =>
    startFunctionsProcess(broker.requests, env, ['--host', host])

  it.each(
    socketHostKinds.flatMap(host =>
      ['pubsub.pl', 'messages.pl', 'bus.pl', 'pushpull.pl', 'connection.pl'].map(
        file => [file, host] as const,
      ),
    ),
  )('speaks and listens to two processes as %s says, on %s', async (file, host) => {
    // Far shorter than by default: its clients have to answer.
    const env = { POSTERN_PING_MS: '1000' }
    const [sender, listener] = await Promise.all([start(host, env), start(host, env)])
    await agrees(file, {
      SENDER: sender.url,
      SENDER_PID: `${sender.program.child.pid}`,
      LISTENER: listener.url,
    })
  })

  it.each(socketHostKinds)('is let in or refused by its Origin as origin.pl says, on %s', async host => {
    const [strict, listed, development] = await Promise.all([
      start(host),
      start(host, { POSTERN_ALLOW_ORIGINS: 'example.com,*.example.org' }),
      start(host, { POSTERN_MODE: 'development' }),
    ])
    await agrees('origin.pl', { STRICT: strict.url, LISTED: listed.url, DEVELOPMENT: development.url })
  })
})

/** That nothing was other than a client expects, and that it did look. */
async function agrees(file: string, env: Readonly<Record<string, string>>): Promise<void> {
  const { code, failed, checks, output } = await runMojolicious(file, env)
  expect({ code, failed }, output).toEqual({ code: 0, failed: [] })
  expect(checks, output).toBeGreaterThan(0)
}

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Relay } from '../../broker/client/index.ts'
import { startCommand } from '../support/command.ts'
import { codeOf } from '../support/papers.ts'
import { startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'

const example = fileURLToPath(new URL('sms-gateway', import.meta.url))
const read = (name: string) => readFile(join(example, name), 'utf8')

/** The server of the example. */
async function started() {
  const broker = await startBrokerProcess({ POSTERN_CONFIG: join(example, 'broker.config.json') })
  const { url } = await startFunctionsProcess(broker.requests, { POSTERN_LEASE_MS: '3000' })
  const relay = new Relay({ broker: broker.requests })
  onTestFinished(() => relay.close())
  const runAt = (server: string, file: string, ...args: string[]) =>
    startCommand(process.execPath, [join(example, file), ...args], {
      cwd: example,
      env: { SERVER_URL: server },
    })
  const run = (file: string, ...args: string[]) => runAt(url, file, ...args)
  const keeps = async (messages: number) => {
    for (;;) {
      const status = await relay.status().catch(() => undefined)
      if (status?.keptMessages === messages) return
      await nextTurn()
    }
  }
  return { broker, url, run, runAt, keeps }
}

/** A way to the server on which the first acknowledgement is lost. */
async function startLossyWay(url: string): Promise<string> {
  let acknowledgements = 0
  const way = createServer(async (request, answer) => {
    const { method, url: path } = request
    if (path === '/ack' && ++acknowledgements === 1) return answer.destroy()
    const body = method === 'POST' ? { method, body: await text(request) } : {}
    const passed = await fetch(`${url}${path}`, body).catch(() => undefined)
    if (passed) answer.writeHead(passed.status).end(await passed.text())
    else answer.destroy()
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void way.close())
  await once(way, 'listening')
  return `http://127.0.0.1:${(way.address() as AddressInfo).port}`
}

/** Who has got a message, in order. */
const receiversIn = (output: string) =>
  [...output.matchAll(/^to (\+\d+): Your code is \d{6}$/gm)].map(([, to]) => to)

describe('the SMS gateway at home', () => {
  it('sends what the web application left while it was away, also when the server was killed meanwhile', async () => {
    const { broker, run, keeps } = await started()
    const application = run('web-application.ts', '+621', '+622', '+623')
    expect(await application.ended).toEqual({ code: 0, signal: null })
    await broker.stop('SIGKILL')
    await broker.restart()
    await keeps(3)
    const gateway = run('gateway.ts')
    await keeps(0)
    expect(receiversIn(gateway.output())).toEqual(['+621', '+622', '+623'])
  })

  it('gets what comes while it waits', async () => {
    const { run } = await started()
    const gateway = run('gateway.ts')
    run('web-application.ts', '+621')
    await gateway.says(/^to \+621: Your code is \d{6}$/m)
  })

  it('sends nothing twice when an acknowledgement is lost on the way', async () => {
    const { url, run, runAt, keeps } = await started()
    const gateway = runAt(await startLossyWay(url), 'gateway.ts')
    await run('web-application.ts', '+621', '+622').ended
    await gateway.says(/^to \+622/m)
    await keeps(0)
    expect(receiversIn(gateway.output())).toEqual(['+621', '+622'])
  })

  it('sends everything when it is killed in the middle and started again', async () => {
    const { run, keeps } = await started()
    await run('web-application.ts', '+621', '+622', '+623').ended
    const first = run('gateway.ts')
    await first.says(/^to \+621/m)
    first.signal('SIGKILL')
    await first.ended
    const second = run('gateway.ts')
    await keeps(0)
    const sent = new Set(receiversIn(first.output() + second.output()))
    expect([...sent].toSorted()).toEqual(['+621', '+622', '+623'])
  })

  it('is shown in the README as it is', async () => {
    const readme = await readFile(join(example, '../../../README.md'), 'utf8')
    for (const name of ['web-application', 'gateway'])
      expect(codeOf(readme, `ts ${name}.ts`)).toEqual([await read(`${name}.ts`)])
    expect(codeOf(readme, 'json broker.config.json')).toEqual([await read('broker.config.json')])
  })
})

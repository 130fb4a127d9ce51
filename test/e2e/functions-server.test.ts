import { spawn } from 'node:child_process'
import { Agent, request } from 'node:http'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { toNodeHandler } from 'h3/node'
import { afterEach, describe, expect, it } from 'vitest'
import everything from '../../functions/app.ts'
import broadcast from '../../functions/broadcast.ts'
import event from '../../functions/event.ts'
import history from '../../functions/history.ts'
import message, { messageRoutes } from '../../functions/message.ts'
import page from '../../functions/page.ts'
import receive from '../../functions/receive.ts'
import { serve } from '../../functions/server.ts'
import socket from '../../functions/socket.ts'
import status from '../../functions/status.ts'
import { EventReader } from '../support/event-reader.ts'
import { socketHostKinds, startHost, testContext } from '../support/function-hosts.ts'
import { startFunctionsProcess } from '../support/processes.ts'
import { WebsocketWire } from '../support/websocket-wire.ts'

const closers: (() => unknown)[] = []
const atEnd = (close: () => unknown) => closers.push(close)

afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** A port that somebody listens on. */
const busyPort = async () => {
  const server = createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  atEnd(() => server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** A broker's address at which there is none. */
const nobody = 'tcp://127.0.0.1:9'

describe.each(socketHostKinds)('a server on %s', kind => {
  const start = async (port = 0, hostname = '127.0.0.1') => {
    const context = testContext()
    const server = await serve({ host: kind, hostname, port, context })
    atEnd(() => server.close())
    return { ...server, context }
  }

  it('tells its real address when any port will do', async () => {
    const { url } = await start(0)
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:[1-9][0-9]+$/)
    expect((await fetch(`${url}/health/live`)).status).toBe(200)
  })

  it('listens on the port that it was told', async () => {
    const first = await start(0)
    await first.close()
    const { url } = await start(Number(new URL(first.url).port))
    expect(url).toBe(first.url)
  })

  it.each([
    ['0.0.0.0', '127.0.0.1'],
    ['localhost', 'localhost'],
  ])('can be reached when it listens on %s', async (hostname, name) => {
    const { url } = await start(0, hostname)
    expect(new URL(url).hostname).toBe(name)
    expect((await fetch(`${url}/health/live`)).status).toBe(200)
  })

  it.each(['a.1', '12w.0.0.0:80', 'a:99999', '[::', 'a b'])(
    'answers 400 to the Host %j, also where the path needs a look, and goes on',
    async host => {
      const { url } = await start(0)
      for (const path of ['/health/live', '/message/a`b', '/%2e%2e/a?b=`', '//a/../b', '/message/a']) {
        const wire = new WebsocketWire(url, atEnd)
        wire.send(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
        expect((await wire.answer()).status).toBe(400)
      }
      expect((await fetch(`${url}/health/live`)).status).toBe(200)
    },
  )

  it('does not start on a busy port, and says what to set', async () => {
    const port = await busyPort()
    await expect(start(port)).rejects.toThrow(
      `PORT is ${port}: another program listens on 127.0.0.1:${port}. Set PORT to a free one.`,
    )
  })

  it('does not start on an address that is not here, and says what to set', async () => {
    await expect(start(0, '192.0.2.1')).rejects.toThrow(
      'HOST is "192.0.2.1": this machine has no such address.',
    )
  })

  it('stops with open streams and kept connections, and refuses new ones', async () => {
    const { url, close, context } = await start()
    const agent = new Agent({ keepAlive: true })
    atEnd(() => agent.destroy())
    await new Promise<void>((resolve, reject) => {
      const asked = request(`${url}/health/live`, { agent }, response => response.resume().on('end', resolve))
      asked.on('error', reject).end()
    })
    const reader = await EventReader.open(init => fetch(`${url}/event/a`, init))
    await reader.begun()
    await close()
    await close()
    await reader.ended()
    expect(reader.hasBroken).toBe(false)
    expect(context.backbone.state).toBe('away')
    await expect(fetch(`${url}/health/live`)).rejects.toThrow()
  })

  it('lets a request that is under way come to its end before it stops', async () => {
    const { url, close, context } = await start()
    const asked = Promise.withResolvers<void>()
    const release = Promise.withResolvers<void>()
    const publish = context.backbone.publish.bind(context.backbone)
    context.backbone.publish = async publication => {
      asked.resolve()
      await release.promise
      return publish(publication)
    }
    const response = fetch(`${url}/message/a`, { method: 'POST', body: 'x' })
    await asked.promise
    const closed = close()
    release.resolve()
    expect((await response).status).toBe(201)
    await closed
  })

  it('stops although a request never ends', async () => {
    const { url, close, context } = await start()
    const asked = Promise.withResolvers<void>()
    context.backbone.publish = () => {
      asked.resolve()
      return new Promise(() => {})
    }
    const response = fetch(`${url}/message/a`, { method: 'POST', body: 'x' })
    response.catch(() => {})
    await asked.promise
    await close()
    await expect(response).rejects.toThrow()
  })

  it('serves one file alone', async () => {
    const context = testContext()
    const host = await startHost(kind, context, messageRoutes(context))
    atEnd(host.close)
    expect((await host.fetch('/message/a', { method: 'POST', body: 'x' })).status).toBe(201)
    expect((await host.fetch('/message/broadcast', { method: 'POST', body: 'x' })).status).toBe(400)
    expect((await host.fetch('/event/a')).status).toBe(404)
  })
})

it('listhen does not take another port instead of one that browsers refuse', async () => {
  await expect(
    serve({ host: 'listhen', hostname: '127.0.0.1', port: 6666, context: testContext() }),
  ).rejects.toThrow('PORT is 6666: ')
})

describe('the default export of each file', () => {
  it.each([
    ['message', message, '/message/a'],
    ['event', event, '/event/a'],
    ['broadcast', broadcast, '/message/broadcast'],
    ['history', history, '/history/a'],
    ['receive', receive, '/receive/a'],
    ['status', status, '/health/live'],
    ['page', page, '/'],
    ['app', everything, '/message/a'],
  ])('%s is a complete handler', async (_, handler, path) => {
    const known = await handler.fetch(new Request(`http://x${path}`, { method: 'DELETE' }))
    expect(known.status).toBe(405)
    const unknown = await handler.fetch(new Request('http://x/none'))
    expect(unknown.status).toBe(404)
    expect(await unknown.json()).toMatchObject({ error: { code: 'NOT_FOUND' } })
    expect(toNodeHandler(handler)).toBeTypeOf('function')
  })
})

it('socket is a complete handler, whose routes are there for what they take alone', async () => {
  expect((await socket.fetch(new Request('http://x/sub/a'))).status).toBe(404)
  expect((await socket.fetch(new Request('http://x/pub/a', { method: 'PUT' }))).status).toBe(404)
})

describe('functions/main.ts', () => {
  const main = fileURLToPath(new URL('../../functions/main.ts', import.meta.url))

  /** Runs it to its end. */
  const run = async (args: readonly string[], env: Record<string, string> = {}) => {
    const child = spawn(process.execPath, [main, ...args], {
      env: { PATH: process.env['PATH'] ?? '', POSTERN_BROKER: nobody, PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    atEnd(() => child.kill('SIGKILL'))
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', text => {
      stdout += text
    })
    child.stderr.on('data', text => {
      stderr += text
    })
    const code = await new Promise(resolve => child.on('close', resolve))
    return { code, stdout, stderr }
  }

  it('explains itself', async () => {
    const { code, stdout } = await run(['--help'])
    expect(code).toBe(0)
    expect(stdout).toMatch(/^Usage: /)
    for (const name of ['--host', 'PORT', 'HOST', 'POSTERN_BROKER']) expect(stdout).toContain(name)
  })

  it.each([
    [['--host', 'apache'], {}, /^--host is "apache": .*\n$/],
    [['--port', '1'], {}, /^Unknown option '--port'.*\n$/],
    [[], { PORT: 'http' }, /^PORT is "http": allowed is a whole number from 0 to 65535\.\n$/],
  ])('ends with 2 and one line for %j and %j', async (args, env, line) => {
    const { code, stderr } = await run(args, env)
    expect(code).toBe(2)
    expect(stderr).toMatch(line)
  })

  it.each(socketHostKinds)('ends with 1 and one line on a busy port on %s', async kind => {
    const port = await busyPort()
    const { code, stdout, stderr } = await run(['--host', kind], { PORT: String(port) })
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toBe(
      `PORT is ${port}: another program listens on 127.0.0.1:${port}. Set PORT to a free one.\n`,
    )
  })

  it.each([
    ['listhen', 'SIGTERM'],
    ['node', 'SIGINT'],
  ] as const)(
    'on %s tells its address, and ends its streams and itself in order at %s',
    async (kind, signal) => {
      const { url, program } = await startFunctionsProcess(nobody, {}, ['--host', kind])
      expect(program.told['event']).toBe('listening')
      const reader = await EventReader.open(init => fetch(`${url}/event/a`, init))
      program.kill(signal)
      expect(await program.ended).toBe(0)
      await reader.ended()
      expect(reader.hasBroken).toBe(false)
    },
  )

  it('stops when the program that started it is gone', async () => {
    const { program } = await startFunctionsProcess(nobody)
    program.child.disconnect()
    expect(await program.ended).toBe(0)
  })
})

import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createApp } from '../../functions/app.ts'
import { socketHostKinds, startHost, testContext } from '../support/function-hosts.ts'

describe.each(socketHostKinds)('an event stream on %s', kind => {
  it.each([
    'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n',
    'GET /event/other HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50),
    'POST /message/a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi',
  ])('ends when its peer sends another request with it, and nobody else notices: %j', async second => {
    const context = testContext()
    const host = await startHost(kind, context, createApp(context))
    const { port, hostname } = new URL(host.url)
    const socket = connect(Number(port), hostname)
    let answer = ''
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text
    })
    // It may be reset as well as closed.
    socket.on('error', () => {})
    socket.write(`GET /event/a HTTP/1.1\r\nHost: x\r\n\r\n${second}`)
    await once(socket, 'close')
    expect(answer).not.toContain('"status"')
    expect(answer.match(/HTTP\/1\.1/g)?.length ?? 0).toBeLessThanOrEqual(1)
    expect((await host.fetch('/health/live')).status).toBe(200)
    await host.close()
  })
})

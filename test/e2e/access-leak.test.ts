import { once } from 'node:events'
import { expect, it } from 'vitest'
import { socketHostKinds } from '../support/function-hosts.ts'
import { startSocketHost } from '../support/socket-host.ts'
import { handshake, WebsocketWire } from '../support/websocket-wire.ts'

const access = {
  rules: [{ who: ['*'], publish: ['**'], subscribe: ['**'], history: true }],
  tokens: { a: { name: 'a', roles: [] }, b: { name: 'b', roles: [] } },
}

it.each(socketHostKinds)(
  'whoever goes while the broker is asked leaves nothing behind, by %s',
  async kind => {
    const { url, context, allGone } = await startSocketHost(kind, { access, pingMs: 600_000 })
    const { backbone } = context
    const authorize = backbone.authorize.bind(backbone)
    const answer = Promise.withResolvers<void>()
    let questions = 0
    backbone.authorize = async credential => {
      questions++
      await answer.promise
      return authorize(credential)
    }
    const isAsked = (count: number) => expect.poll(() => questions).toBe(count)

    const wire = new WebsocketWire(`${url}/sub/news`)
    wire.send(handshake(`${url}/sub/news`))
    await isAsked(1)
    const leaving = new AbortController()
    const { signal } = leaving
    const follow = (path: string, token: string) =>
      fetch(`${url}${path}`, { signal, headers: { authorization: `Bearer ${token}` } }).catch(() => 'gone')
    const others = [follow('/event/news', 'a'), follow('/receive/sms', 'b')]
    await isAsked(3)
    leaving.abort()
    wire.socket.destroy()
    await Promise.all([...others, once(wire.socket, 'close')])
    // By the time that it answers somebody who comes later, the server has seen them go.
    expect((await fetch(`${url}/health/live`)).status).toBe(200)

    answer.resolve()
    await new Promise(resolve => setImmediate(resolve))
    await allGone()
    // About whoever has something open the broker is asked again.
    backbone.changeAccess(access)
    await new Promise(resolve => setImmediate(resolve))
    expect(questions).toBe(3)
  },
)

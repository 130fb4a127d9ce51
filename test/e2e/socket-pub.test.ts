import { describe, expect, it } from 'vitest'
import { socketHostKinds } from '../support/function-hosts.ts'
import { startSocketHost, told, v1 } from '../support/socket-host.ts'
import { closing, frame, opcodes } from '../support/websocket-wire.ts'

const { text, binary, close, ping } = opcodes

describe.each(socketHostKinds)('/pub on %s', kind => {
  it('publishes each frame, text as text, binary as binary, in order, and answers nothing', async () => {
    const host = await startSocketHost(kind)
    const sub = await host.open('/sub/a')
    const pub = await host.open('/pub/a')
    pub.send(frame(text, 'é'), frame(binary, Buffer.of(255)), frame(text, ''), frame(close, closing(3000)))
    expect(await told(sub, 3)).toEqual(['text é', 'binary ff', 'text '])
    expect(await pub.over()).toEqual(['close 3000'])
  })

  it('answers each frame with its receipt or its error, in order, with postern.v1', async () => {
    const host = await startSocketHost(kind)
    const pub = await host.open('/pub/a%2Fb', v1)
    pub.send(frame(text, '1'), frame(text, '2'))
    await told(pub, 2)
    host.context.backbone.goAway()
    pub.send(frame(text, '3'))
    await told(pub, 3)
    host.context.backbone.comeBack()
    pub.send(frame(text, '4'), frame(close, closing(1000)))
    expect((await pub.over()).at(-1)).toBe('close 1000')
    const id = (offset: number) => `${host.context.backbone.epoch}-${offset}`
    expect(pub.payloads.map(payload => JSON.parse(payload.toString()))).toEqual([
      { id: id(1), topic: 'a/b' },
      { id: id(2), topic: 'a/b' },
      { error: expect.objectContaining({ code: 'BROKER_UNAVAILABLE' }) },
      { id: id(3), topic: 'a/b' },
    ])
  })

  it('closes instead of losing a message silently', async () => {
    const host = await startSocketHost(kind)
    host.context.backbone.goAway()
    const pub = await host.open('/pub/a')
    pub.send(frame(text, 'x'))
    await pub.closed()
    expect(await pub.over()).toEqual(['close 1013 BROKER_UNAVAILABLE'])
  })

  it('answers a close after everything before it has its place', async () => {
    const host = await startSocketHost(kind)
    const receipt = Promise.withResolvers<{ id: string }>()
    const { backbone } = host.context
    backbone.publish = () => receipt.promise
    const pub = await host.open('/pub/a')
    pub.send(frame(text, 'x'), frame(ping, 'before'), frame(close, closing(1000)))
    await told(pub, 1)
    expect(pub.told).toEqual(['pong before'])
    receipt.resolve({ id: 'x-1' })
    expect(await pub.over()).toEqual(['pong before', 'close 1000'])
  })

  it.each([
    { count: 60, bytes: 200_000, atMost: 2 },
    { count: 3000, bytes: 1, atMost: 256 },
  ])(
    'stops reading while too much waits for its receipts: of $count of $bytes bytes $atMost',
    async sizes => {
      const { count, bytes, atMost } = sizes
      const host = await startSocketHost(kind)
      const waiting: (() => void)[] = []
      let published = 0
      let isOver = atMost
      host.context.backbone.publish = ({ payload }) => {
        if (payload[0] !== ++published % 256) throw new Error('out of order')
        return new Promise(resolve => {
          waiting.push(() => resolve({ id: 'x-1' }))
          if (waiting.length > atMost) isOver = waiting.length
          // Nothing more may come before these are answered: whoever reads on does so within some turns.
          if (waiting.length === atMost) answerLater(10)
        })
      }
      const answerLater = (turns: number) => {
        setImmediate(() => {
          if (turns > 0) return answerLater(turns - 1)
          for (const answer of waiting.splice(0)) answer()
        })
      }
      const pub = await host.open('/pub/a')
      const frames = Array.from({ length: count }, (_, i) =>
        frame(binary, Buffer.alloc(bytes, (i + 1) % 256)),
      )
      pub.send(Buffer.concat(frames))
      while (published < count - (count % atMost)) await new Promise(resolve => setImmediate(resolve))
      expect(isOver).toBe(atMost)
    },
  )

  it.each([
    ['with a close', [frame(close, closing(1000))], 'close 1000'],
    ['without one', [], 'close'],
  ])('publishes everything of a client that ends its side of the connection, %s', async (_, last, closed) => {
    const host = await startSocketHost(kind)
    const sub = await host.open('/sub/a')
    const { backbone } = host.context
    const publish = backbone.publish.bind(backbone)
    backbone.publish = async publication => {
      await new Promise(resolve => setImmediate(resolve))
      return publish(publication)
    }
    const pub = await host.open('/pub/a', v1)
    // More than may wait for its receipts.
    const names = Array.from({ length: 1000 }, (_, i) => `text ${i}`)
    pub.socket.end(Buffer.concat([...names.map((_, i) => frame(text, `${i}`)), ...last]))
    expect(await told(sub, names.length)).toEqual(names)
    expect((await pub.over()).slice(-2)).toEqual([
      `text {"id":"${backbone.epoch}-${names.length}","topic":"a"}`,
      closed,
    ])
    expect(pub.payloads).toHaveLength(names.length)
  })

  it('takes the largest payload of the broker, and closes one byte above', async () => {
    const host = await startSocketHost(kind)
    const sub = await host.open('/sub/a')
    const pub = await host.open('/pub/a')
    pub.send(frame(text, 'x'.repeat(262_144)))
    await sub.until(() => sub.payloads[0]?.length === 262_144)
    pub.send(frame(text, 'x'.repeat(262_145)))
    expect(await pub.closed()).toBe(1009)
    sub.send(frame(text, '', { claims: 262_145n }))
    expect(await sub.closed()).toBe(1009)
  })

  it('by POST takes the bytes as they are, and answers 200 with nothing', async () => {
    const host = await startSocketHost(kind)
    const sub = await host.open('/sub/q/r')
    const post = (path: string, body: BodyInit, type?: string) =>
      host.fetch(path, { method: 'POST', body, headers: type ? { 'content-type': type } : {} })
    const answer = await post('/pub/q%2Fr?x=1', 'é€😀')
    expect([answer.status, await answer.text()]).toEqual([200, ''])
    await post('/pub/q/r', Buffer.of(255, 0), 'application/octet-stream')
    await post('/pub/q/r', '')
    expect(await told(sub, 3)).toEqual(['text é€😀', 'binary ff00', 'text '])
    expect((await post('/pub/a', 'x'.repeat(262_145))).status).toBe(413)
    host.context.backbone.goAway()
    expect((await post('/pub/a', 'x')).status).toBe(503)
  })
})

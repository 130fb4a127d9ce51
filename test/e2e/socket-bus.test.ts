import { describe, expect, it } from 'vitest'
import { socketHostKinds } from '../support/function-hosts.ts'
import { startSocketHost, told, v1 } from '../support/socket-host.ts'
import { frame, opcodes } from '../support/websocket-wire.ts'

const { text, binary } = opcodes

describe.each(socketHostKinds)('/bus on %s', kind => {
  it('lets every peer hear every other, and itself where it asks for it', async () => {
    const host = await startSocketHost(kind)
    const [one, two, itself] = [
      await host.open('/bus/a'),
      await host.open('/bus/a'),
      await host.open('/bus/a?echo=1'),
    ]
    one.send(frame(text, 'one'))
    await Promise.all([told(two, 1), told(itself, 1)])
    itself.send(frame(binary, Buffer.of(255)))
    await host.fetch('/bus/a', { method: 'POST', body: 'post' })
    expect(await told(one, 2)).toEqual(['binary ff', 'text post'])
    expect(await told(two, 3)).toEqual(['text one', 'binary ff', 'text post'])
    expect(await told(itself, 3)).toEqual(['text one', 'binary ff', 'text post'])
  })

  it('is of exactly its topic, and of no other name space', async () => {
    const host = await startSocketHost(kind)
    const [bus, below, sub] = [
      await host.open('/bus/a'),
      await host.open('/bus/a/b'),
      await host.open('/sub/a'),
    ]
    await host.fetch('/bus/a/b', { method: 'POST', body: 'below' })
    await host.fetch('/pub/a', { method: 'POST', body: 'sub' })
    await host.fetch('/bus/a', { method: 'POST', body: 'bus' })
    expect(await told(bus, 1)).toEqual(['text bus'])
    expect(await told(below, 1)).toEqual(['text below'])
    expect(await told(sub, 1)).toEqual(['text sub'])
    const history: unknown = await (await host.fetch('/history/a')).json()
    expect(history).toMatchObject({ messages: [{ data: 'sub' }] })
  })

  it('has envelopes and receipts with postern.v1, by the name that it has outside', async () => {
    const host = await startSocketHost(kind)
    const [one, two] = [await host.open('/bus/a', v1), await host.open('/bus/a', v1)]
    one.send(frame(text, 'x'))
    await Promise.all([told(one, 1), told(two, 1)])
    const [receipt, message] = [one, two].map(wire => JSON.parse(wire.payloads[0]?.toString() ?? ''))
    expect(receipt).toEqual({ id: expect.any(String), topic: 'a' })
    expect(message).toMatchObject({ id: receipt.id, topic: 'a', type: '', data: 'x' })
  })
})

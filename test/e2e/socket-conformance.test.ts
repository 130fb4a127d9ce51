import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { socketHostKinds } from '../support/function-hosts.ts'
import { type AtEnd, startBrokerProcess, startFunctionsProcess } from '../support/processes.ts'
import { cases, goodbye, hex, needsGoodbye, part } from '../support/websocket-cases.ts'
import { acceptOf, frame, handshake, opcodes, WebsocketWire } from '../support/websocket-wire.ts'

const { continuation, text, binary, close } = opcodes

describe.each(socketHostKinds)('WebSocket on %s', host => {
  const ends: (() => Promise<void>)[] = []
  const atEnd: AtEnd = end => void ends.push(end)
  let echo = ''

  beforeAll(async () => {
    const broker = await startBrokerProcess({}, undefined, atEnd)
    // A ping of the server's own would be among the answers.
    const env = { POSTERN_MODE: 'test', POSTERN_PING_MS: '600000' }
    const { url } = await startFunctionsProcess(broker.requests, env, ['--host', host], atEnd)
    echo = `${url}/echo`
  })
  afterAll(async () => {
    for (const end of ends.toReversed()) await end()
  })

  describe.each(Object.entries(cases))('hears %s', (_, section) => {
    it.each(section.map(found => [found[0], found] as const))('%s', async (_, found) => {
      const [, sends, hears] = found
      for (const isTrickled of [false, true]) {
        const wire = await WebsocketWire.open(echo)
        const bytes = Buffer.concat(needsGoodbye(found) ? [...sends, goodbye()] : sends)
        if (isTrickled) await wire.trickle(bytes)
        else wire.send(bytes)
        await wire.closed()
        expect(codesOf(await wire.over())).toEqual(hears)
      }
    })
  })

  it.each([0, 1, 124, 125, 126, 127, 128, 65_535, 65_536, 65_537, 262_144, 16 * 1024 * 1024])(
    'echoes %i bytes, text as text and binary as binary',
    async length => {
      const wire = await WebsocketWire.open(echo)
      const letters = Buffer.alloc(length, 'abcdefghij')
      const bytes = Buffer.alloc(length, hex('ff00c3'))
      wire.send(frame(text, letters), frame(binary, bytes), goodbye())
      await wire.closed()
      expect(wire.frames.map(({ opcode }) => opcode)).toEqual([text, binary, close])
      expect(wire.payloads.map(payload => payload.length)).toEqual([length, length])
      expect(wire.payloads[0]?.equals(letters)).toBe(true)
      expect(wire.payloads[1]?.equals(bytes)).toBe(true)
    },
  )

  it.each([64, 4096, 65_536])('echoes 1 MiB of fragments of %i bytes', async size => {
    const wire = await WebsocketWire.open(echo)
    const whole = Buffer.alloc(1024 * 1024, 'κόσμε')
    const cut = Array.from({ length: whole.length / size }, (_, i) =>
      whole.subarray(i * size, (i + 1) * size),
    )
    const sent = cut.map((piece, i) => part(i === 0 ? binary : continuation, piece))
    wire.send(Buffer.concat([...sent, frame(continuation), goodbye()]))
    await wire.closed()
    expect(wire.payloads[0]?.equals(whole)).toBe(true)
    expect(wire.payloads).toHaveLength(1)
  })

  it('echoes a thousand messages in their order', async () => {
    const wire = await WebsocketWire.open(echo)
    const sent = Array.from({ length: 1000 }, (_, i) => frame(i % 2 ? text : binary, `${i}`))
    wire.send(Buffer.concat([...sent, goodbye()]))
    await wire.closed()
    expect(wire.payloads.map(String)).toEqual(sent.map((_, i) => `${i}`))
    expect(wire.frames.slice(0, -1).map(({ opcode }) => opcode)).toEqual(
      sent.map((_, i) => (i % 2 ? text : binary)),
    )
  })

  it('hears that a text is bad before its frame is complete', async () => {
    const wire = await WebsocketWire.open(echo)
    wire.send(frame(text, hex('f4908080'), { claims: 1000n }))
    expect(await wire.closed()).toBe(1007)
  })

  it('ends the connection when its close is answered, and when the client has just gone', async () => {
    const asked = await WebsocketWire.open(echo)
    asked.send(frame(15))
    expect(await asked.closed()).toBe(1002)
    await asked.over()
    const gone = await WebsocketWire.open(echo)
    gone.send(part(text, 'unfinished'))
    gone.socket.end()
    await gone.over()
  })

  it('takes frames that come in one segment with the handshake', async () => {
    const wire = new WebsocketWire(echo)
    wire.send(Buffer.concat([Buffer.from(handshake(echo)), frame(text, 'early'), goodbye()]))
    expect((await wire.answer()).status).toBe(101)
    await wire.closed()
    expect(codesOf(await wire.over())).toEqual(['text early', 'close 1000'])
  })

  describe('shakes hands', () => {
    const answerTo = async (options: Parameters<typeof handshake>[1]) => {
      const wire = new WebsocketWire(echo)
      wire.send(handshake(echo, options))
      return wire.answer()
    }

    it('with the answer to the key, and nothing that was not asked for', async () => {
      const key = 'dGhlIHNhbXBsZSBub25jZQ=='
      const { status, headers } = await answerTo({ headers: { 'Sec-WebSocket-Key': key } })
      expect(status).toBe(101)
      expect(headers.get('upgrade')?.toLowerCase()).toBe('websocket')
      expect(headers.get('connection')?.toLowerCase()).toBe('upgrade')
      expect(headers.get('sec-websocket-accept')).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
      expect(acceptOf(key)).toBe('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
      expect(headers.has('sec-websocket-protocol')).toBe(false)
      expect(headers.has('sec-websocket-extensions')).toBe(false)
    })

    it.each([
      ['names in any case', { Upgrade: 'WebSocket', Connection: 'upgrade' }],
      ['a list of connection options', { Connection: 'keep-alive, Upgrade' }],
      ['subprotocols that it does not know', { 'Sec-WebSocket-Protocol': 'chat, superchat' }],
      ['extensions, of which it has none', { 'Sec-WebSocket-Extensions': 'permessage-deflate' }],
    ])('with %s', async (_, headers) => {
      const answer = await answerTo({ headers })
      expect(answer.status).toBe(101)
      expect(answer.headers.has('sec-websocket-protocol')).toBe(false)
      expect(answer.headers.has('sec-websocket-extensions')).toBe(false)
    })

    it.each(['0', '8', '12', '14', 'x'])('not in version %s, and says which one it speaks', async version => {
      const { status, headers } = await answerTo({ headers: { 'Sec-WebSocket-Version': version } })
      expect(status).toBe(426)
      expect(headers.get('sec-websocket-version')).toBe('13')
    })

    it.each([
      ['no key', undefined],
      ['an empty key', ''],
      ['a key of 15 bytes', Buffer.alloc(15).toString('base64')],
      ['a key of 17 bytes', Buffer.alloc(17).toString('base64')],
      ['a key that is no base64', '!'.repeat(22).concat('==')],
    ])('not with %s', async (_, key) => {
      expect((await answerTo({ headers: { 'Sec-WebSocket-Key': key } })).status).toBe(400)
    })

    it('not without a host', async () => {
      expect((await answerTo({ headers: { Host: undefined } })).status).toBe(400)
    })

    it.each(['POST', 'PUT', 'DELETE'])('not by %s', async method => {
      expect((await answerTo({ method })).status).toBe(405)
    })

    it('not to speak something else', async () => {
      expect((await answerTo({ headers: { Upgrade: 'h2c' } })).status).toBe(404)
      expect((await answerTo({ headers: { Upgrade: undefined, Connection: undefined } })).status).toBe(404)
    })
  })
})

/** What was heard, with the codes of closes and without their reasons, which are for people. */
function codesOf(told: readonly string[]): string[] {
  return told.map(line => /^close \d+/.exec(line)?.[0] ?? line)
}

import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { wordsOf } from '../../site/playground/close-code.ts'
import { commandsOf } from '../../site/playground/command.ts'
import { readFrame, textOf } from '../../site/playground/frame.ts'
import { firstSeats, hashOf, seatsOf, toHistory } from '../../site/playground/link.ts'
import { newSeat, type Role, roles, routeOf, type Seat } from '../../site/playground/seat.ts'

const origin = 'http://127.0.0.1:3000'
const anyText = fc.string({ unit: 'grapheme', maxLength: 30 })
const anySeat: fc.Arbitrary<Seat> = fc.record({
  role: fc.constantFrom(...(Object.keys(roles) as Role[])),
  topic: anyText,
  message: anyText,
  binary: fc.boolean(),
  history: fc.nat(10_000),
  exact: fc.boolean(),
  echo: fc.boolean(),
})

describe('a seat of the playground', () => {
  it('is the route of its role and topic, with the options that are not as by default', () => {
    expect(routeOf(newSeat('sub', 'news'))).toBe('/sub/news')
    expect(routeOf(newSeat('sub', 'a b/ü?', { history: 5, exact: true }))).toBe(
      '/sub/a%20b/%C3%BC%3F?history=5&exact=1',
    )
    expect(routeOf(newSeat('bus', 'room', { echo: true }))).toBe('/bus/room?echo=1')
  })
})

describe('the link of the playground', () => {
  it('says what is on the page, and can be read', () => {
    const seats = [newSeat('pub', 'news/sport', { message: 'Hello' }), newSeat('sub', 'news', { history: 3 })]
    expect(hashOf(seats)).toBe('#pub=news%2Fsport&message=Hello&sub=news&history=3')
  })

  it('leads back to the same page', () => {
    fc.assert(
      fc.property(fc.array(anySeat, { minLength: 1, maxLength: 10 }), seats => {
        const { hash } = new URL(hashOf(seats), `${origin}/playground`)
        expect(seatsOf(hash)).toEqual(seats)
      }),
    )
  })

  it('is that of every panel when there is none', () => {
    expect(seatsOf('')).toBeUndefined()
    expect(firstSeats.map(({ role }) => role)).toEqual([
      'pub',
      'sub',
      'sub',
      'bus',
      'bus',
      'push',
      'pull',
      'pull',
    ])
  })

  it.each(['#', '#message=x', '#constructor=x', '#__proto__=x', '#%ff', '#history=1&echo=1'])(
    'is none when it is %j',
    hash => {
      expect(seatsOf(hash)).toBeUndefined()
    },
  )

  it('leaves out what it does not know, and what is too much', () => {
    expect(seatsOf('#sub=a&colour=red&history=x&exact=yes')).toEqual([newSeat('sub', 'a')])
    expect(seatsOf(`#${'pull=a&'.repeat(1000)}`)?.length).toBe(40)
  })

  it.each([
    ['0', 0],
    ['12', 12],
    ['999999', 10_000],
    ['-1', 0],
    ['1.5', 0],
    ['', 0],
    ['much', 0],
  ])('takes %j for a history of %i', (text, history) => {
    expect(toHistory(text)).toBe(history)
  })
})

describe('the commands of the playground', () => {
  const linesOf = (seat: Seat) => commandsOf(seat, origin).map(({ line }) => line)

  it('publish and push by POST', () => {
    expect(linesOf(newSeat('pub', 'news/sport', { message: 'Hello' }))).toEqual([
      `curl -H 'Content-Type: text/plain' --data-raw 'Hello' 'http://127.0.0.1:3000/pub/news/sport'`,
    ])
    expect(linesOf(newSeat('push', 'jobs', { message: '1', binary: true }))).toEqual([
      `curl -H 'Content-Type: application/octet-stream' --data-raw '1' 'http://127.0.0.1:3000/push/jobs'`,
    ])
  })

  it('subscribe by Server-Sent Events', () => {
    expect(linesOf(newSeat('sub', 'sub/news', { history: 2, exact: true }))).toEqual([
      `curl -N 'http://127.0.0.1:3000/event/sub/news?history=2&exact=1'`,
    ])
  })

  it('listen to a bus and pull by a handshake', () => {
    expect(linesOf(newSeat('pull', 'jobs'))).toEqual([
      expect.stringContaining(`'http://127.0.0.1:3000/pull/jobs'`),
    ])
    expect(linesOf(newSeat('bus', 'room', { echo: true }))).toEqual([
      expect.stringContaining(`'http://127.0.0.1:3000/bus/room'`),
      expect.stringContaining(`'http://127.0.0.1:3000/bus/room?echo=1'`),
    ])
  })

  it('say of those that listen by a handshake how soon the server ends them', () => {
    const notesOf = (role: Role) => commandsOf(newSeat(role, 'a'), origin).map(({ note }) => note)
    const [endsSoon] = notesOf('pull')
    expect(endsSoon).toContain('curl answers no pings')
    expect(notesOf('bus')).toEqual([undefined, endsSoon])
    expect([...notesOf('sub'), ...notesOf('pub'), ...notesOf('push')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('are words of a shell, whatever is in them', () => {
    const seats = anySeat.filter(({ message, topic }) => !message.includes('\0') && topic.isWellFormed())
    fc.assert(
      fc.property(seats, seat => {
        for (const { line } of commandsOf(seat, origin)) {
          const words = shellWords(line)
          expect(words[0]).toBe('curl')
          const message = words.indexOf('--data-raw')
          if (message > 0) expect(words[message + 1]).toBe(seat.message)
          expect(URL.canParse(words.at(-1) ?? '')).toBe(true)
          expect(words.at(-1)?.startsWith(`${origin}/`)).toBe(true)
        }
      }),
      { numRuns: 30 },
    )
  })
})

/** What a shell makes of a command, word by word. */
function shellWords(line: string): string[] {
  const shown = `set -- ${line}; for word; do printf '%s\\0' "$word"; done`
  return execFileSync('sh', ['-c', shown], { encoding: 'utf8' }).split('\0').slice(0, -1)
}

describe('a frame for the playground', () => {
  it('is a message as it is, without envelopes', () => {
    expect(readFrame('{"id":"x"}', false)).toEqual({ kind: 'message', payload: { text: '{"id":"x"}' } })
    const bytes = Uint8Array.of(0, 255)
    expect(readFrame(bytes.buffer, false)).toEqual({ kind: 'message', payload: { bytes } })
  })

  it('is a message with its id, topic, type and time', () => {
    const envelope = {
      id: 'e-1',
      topic: 'news',
      type: 'head',
      time: '2026-01-01T00:00:00.000Z',
      data: 'Hello',
    }
    const from = { id: 'e-1', topic: 'news', type: 'head', timeMs: Date.UTC(2026, 0, 1) }
    expect(readFrame(JSON.stringify(envelope), true)).toEqual({
      kind: 'message',
      payload: { text: 'Hello' },
      from,
    })
    const binary = { ...envelope, data: '/wA=', encoding: 'base64' }
    expect(readFrame(JSON.stringify(binary), true)).toEqual({
      kind: 'message',
      payload: { bytes: Uint8Array.of(255, 0) },
      from,
    })
  })

  it('is a receipt, an error or a gap', () => {
    expect(readFrame('{"id":"e-1","topic":"news"}', true)).toEqual({ kind: 'receipt', id: 'e-1' })
    expect(readFrame('{"error":{"code":"INTERNAL","message":"Wrong."}}', true)).toEqual({
      kind: 'refused',
      reason: 'INTERNAL: Wrong.',
    })
    expect(readFrame('{"id":"e-1","type":"gap"}', true)).toEqual({ kind: 'gap' })
  })

  it('is shown as it came when it cannot be understood', () => {
    for (const text of ['', '1', 'null', '[]', '{', '{"id":1}'])
      expect(readFrame(text, true)).toEqual({ kind: 'message', payload: { text } })
  })

  it('is shown as text, or as its first bytes', () => {
    expect(textOf({ text: '' })).toBe('(empty)')
    expect(textOf({ text: 'a' })).toBe('a')
    expect(textOf({ bytes: new Uint8Array() })).toBe('0 bytes')
    expect(textOf({ bytes: Uint8Array.of(10) })).toBe('1 byte: 0a')
    expect(textOf({ bytes: new Uint8Array(65) })).toBe(`65 bytes: ${'00 '.repeat(64)}…`)
  })
})

it('a close code is said with what it means, or with the server’s reason', () => {
  expect(wordsOf(1009)).toBe('1009, message too large')
  expect(wordsOf(1013, 'The broker cannot be reached.')).toBe('1013, The broker cannot be reached.')
  expect(wordsOf(4000)).toBe('4000')
})

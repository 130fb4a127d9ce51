import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/**
 * A program that does one thing too much, for ever: `node flood.ts KIND HOST:PORT COUNT`. It tells its parent when the
 * flood has risen, and ends with it. It is a process of its own, so that those who behave do not share its turns.
 */
const [kind = '', place = '', many = '0'] = process.argv.slice(2)
const [host = '127.0.0.1', port = '0'] = place.split(':')
const count = Number(many)

/** Between two bytes of somebody who is slow. */
const dripMs = 200

/** How many connections are opened at once: the line of those who wait to be accepted is short. */
const wave = 200

/** Where the flood comes from, as a proxy on this machine tells it: somebody else's address. */
const from = 'X-Forwarded-For: 203.0.113.9\r\n'

const wrong = (name: string) => Buffer.from(`${name}:wrong${Math.random()}`).toString('base64')

/** How high it has risen: told at the end. */
let opened = 0
let answers = 0

/** Opens a connection, and another one as soon as it has been ended. */
async function hold(greeting: string, drip: string): Promise<void> {
  const socket = connect({ host, port: Number(port) })
  socket.on('error', () => {})
  socket.resume()
  const timer = drip === '' ? undefined : setInterval(() => socket.write(drip), dripMs)
  socket.on('close', () => {
    clearInterval(timer)
    setTimeout(() => void hold(greeting, drip), dripMs)
  })
  await new Promise(resolve => socket.once('connect', resolve).once('close', resolve))
  opened++
  if (greeting !== '') socket.write(greeting)
}

async function holdAll(greeting: string, drip = ''): Promise<void> {
  for (let begun = 0; begun < count; begun += wave)
    await Promise.all(Array.from({ length: Math.min(wave, count - begun) }, () => hold(greeting, drip)))
}

/** Asks again as soon as there is an answer, on one connection for as long as that is kept. */
function repeat(request: () => string, localAddress?: string): void {
  const socket = connect({ host, port: Number(port), ...(localAddress !== undefined && { localAddress }) })
  socket.on('error', () => {})
  socket.on('connect', () => {
    opened++
    socket.write(request())
  })
  socket.on('data', () => {
    answers++
    socket.write(request())
  })
  socket.on('end', () => socket.destroy())
  socket.on('close', () => setTimeout(() => repeat(request, localAddress), 1))
}

function repeatAll(request: () => string, localAddress?: string): void {
  for (let i = 0; i < count; i++) repeat(request, localAddress)
}

const post = (topic: string, length: number, headers = '') =>
  `POST /message/fuzz/${topic} HTTP/1.1\r\nHost: flood\r\n${from}${headers}Content-Length: ${length}\r\n\r\n`

const floods: Readonly<Record<string, () => unknown>> = {
  'half-open': () => holdAll(''),
  'slow-heads': () => holdAll(`GET /history/fuzz/a HTTP/1.1\r\nHost: flood\r\n${from}X-Slow: `, 'x'),
  'slow-bodies': () => holdAll(post('slow', 100_000), 'x'),
  'logins-http': () => repeatAll(() => post('a', 0, `Authorization: Basic ${wrong('amy')}\r\n`)),
  'logins-tcp': () =>
    repeatAll(() => JSON.stringify({ command: 'login', authorization: wrong('amy') }), '127.9.9.9'),
  publishes: () => repeatAll(() => post('storm', 1000) + 'x'.repeat(1000)),
}

const flood = floods[kind]
if (!flood) throw new Error(`${kind} is none of ${Object.keys(floods).join(', ')}`)
process.on('disconnect', () => process.exit(0))
process.on('SIGTERM', () => {
  process.stdout.write(`${JSON.stringify({ opened, answers })}\n`, () => process.exit(0))
})
await flood()
// What has come at once is a crowd, not yet a flood.
await delay(1000)
process.send?.({ event: 'listening' })

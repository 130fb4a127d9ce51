import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { SseParser } from '../../support/sse-parser.ts'

/*
 * Opens many event streams, publishes numbered messages at a steady rate, and counts what comes on each stream. Tells
 * `opened` when all of them have begun, and one line of JSON at its end.
 *
 *   event-load.ts STREAMS PER_SECOND SECONDS
 */

const [streams = 0, perSecond = 0, seconds = 0] = process.argv.slice(2).map(Number)
const count = perSecond * seconds
const port = 3000
/** How many connections are begun at once. */
const step = 50
/** How long what is under way at the end may take. A bound for a broken test, not a wait. */
const arriveWithinMs = 30_000

let begun = 0
let complete = 0
let outOfOrder = 0
let ended = 0
let refused = 0
let changed = Promise.withResolvers<void>()

async function open(): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  follow(socket)
  socket.write('GET /event/load HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
}

function follow(socket: Socket): void {
  let received = 0
  const parser = new SseParser(({ data }) => {
    if (Number(data) !== received) outOfOrder++
    received++
    if (received === count) {
      complete++
      changed.resolve()
    }
  })
  socket.on('data', bytes => {
    const isNew = parser.lastEventId === ''
    parser.push(bytes)
    if (!isNew || parser.lastEventId === '') return
    begun++
    changed.resolve()
  })
  socket.on('close', () => ended++)
  socket.on('error', () => {})
}

async function publish(number: number): Promise<void> {
  const { status } = await fetch(`http://127.0.0.1:${port}/message/load`, {
    method: 'POST',
    body: String(number),
  })
  if (status !== 201) refused++
}

async function until(holds: () => boolean, withinMs: number): Promise<void> {
  let isLate = false
  const late = setTimeout(() => {
    isLate = true
    changed.resolve()
  }, withinMs)
  while (!holds() && !isLate) {
    await changed.promise
    changed = Promise.withResolvers()
  }
  clearTimeout(late)
}

for (let opened = 0; opened < streams; opened += step) {
  await Promise.all(Array.from({ length: Math.min(step, streams - opened) }, open))
  // No more than two steps wait for their beginning: nobody is made to wait until it is cut off.
  await until(() => begun >= opened - step, arriveWithinMs)
}
await until(() => begun === streams, arriveWithinMs)
process.stdout.write(`opened ${begun}\n`)

const beganMs = performance.now()
for (let sent = 0; sent < count; sent++) {
  const dueMs = beganMs + (1000 * sent) / perSecond
  await new Promise(resolve => setTimeout(resolve, Math.max(0, dueMs - performance.now())))
  await publish(sent)
}
await until(() => complete === streams, arriveWithinMs)
process.stdout.write(`${JSON.stringify({ begun, complete, outOfOrder, ended, refused })}\n`)
process.exit(0)

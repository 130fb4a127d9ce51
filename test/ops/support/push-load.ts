import { Push, Subscriber } from 'zeromq'

/*
 * Pushes numbered messages at a steady rate, and counts them at the plain socket. Tells one line of JSON at its end.
 *
 *   push-load.ts PER_SECOND SECONDS
 */

const [perSecond = 0, seconds = 0] = process.argv.slice(2).map(Number)
const count = perSecond * seconds
/** How long what is under way at the end may take. A bound for a broken test, not a wait. */
const arriveWithinMs = 20_000

const subscriber = new Subscriber({ receiveHighWaterMark: 0 })
subscriber.connect('tcp://127.0.0.1:6000')
subscriber.subscribe('')
const publisher = new Push({ sendHighWaterMark: 2 * perSecond })
publisher.connect('tcp://127.0.0.1:5000')

let received = 0
let outOfOrder = 0
let isJoined = false
const joined = Promise.withResolvers<void>()
const complete = Promise.withResolvers<void>()

void (async () => {
  for await (const [frame] of subscriber) {
    const number = Number(frame?.toString().trim())
    if (number < 0) {
      isJoined = true
      joined.resolve()
      continue
    }
    if (number !== received) outOfOrder++
    if (++received === count) complete.resolve()
  }
})()

// What is published before the subscription has arrived is nobody's loss: knock until it is heard.
while (!isJoined) {
  await publisher.send('-1')
  await Promise.race([joined.promise, new Promise(resolve => setTimeout(resolve, 50))])
}

const beganMs = performance.now()
for (let sent = 0; sent < count; ) {
  const due = Math.min(count, Math.floor(((performance.now() - beganMs) / 1000) * perSecond))
  while (sent < due) await publisher.send(String(sent++).padEnd(100))
  await new Promise(resolve => setTimeout(resolve, 5))
}
const late = setTimeout(complete.resolve, arriveWithinMs)
await complete.promise
clearTimeout(late)
process.stdout.write(`${JSON.stringify({ count, received, outOfOrder })}\n`)
process.exit(0)

import { randomInt, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

const server = process.env['SERVER_URL'] ?? 'http://127.0.0.1:3000'

/** Leaves a text message for the gateway. When this resolves it is on disk, wherever the gateway is. */
async function send(receiver: string, message: string): Promise<void> {
  const request = {
    method: 'POST',
    headers: { 'idempotency-key': randomUUID() },
    body: JSON.stringify({ receiver, message }),
  }
  for (;;) {
    const answer = await fetch(`${server}/message/sms`, request).catch(() => undefined)
    if (answer?.status === 201) return
    if (answer && answer.status < 500) throw new Error(await answer.text())
    // Not now, or nobody knows: the key keeps it from being sent twice.
    await delay(1000)
  }
}

for (const receiver of process.argv.slice(2))
  await send(receiver, `Your code is ${randomInt(100_000, 1_000_000)}`)

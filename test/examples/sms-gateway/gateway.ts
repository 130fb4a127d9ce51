import { setTimeout as delay } from 'node:timers/promises'

const server = process.env['SERVER_URL'] ?? 'http://127.0.0.1:3000'

/** What your modem does. */
async function sendSms({ receiver, message }: { receiver: string; message: string }): Promise<void> {
  process.stdout.write(`to ${receiver}: ${message}\n`)
}

for (;;) {
  try {
    const answer = await fetch(`${server}/receive/sms?max=1`)
    if (!answer.ok) throw new Error(await answer.text())
    const { messages } = await answer.json()
    for (const { id, data } of messages) {
      await sendSms(JSON.parse(data))
      await fetch(`${server}/ack`, { method: 'POST', body: JSON.stringify({ topic: 'sms', ids: [id] }) })
    }
  } catch (error) {
    process.stderr.write(`${error}\n`)
    await delay(1000)
  }
}

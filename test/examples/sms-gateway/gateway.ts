import { setTimeout as delay } from 'node:timers/promises'

const server = process.env['SERVER_URL'] ?? 'http://127.0.0.1:3000'

/** What your modem does. */
async function sendSms({ receiver, message }: { receiver: string; message: string }): Promise<void> {
  process.stdout.write(`to ${receiver}: ${message}\n`)
}

/** Says that a message is sent, until that is confirmed: it would come again otherwise. */
async function acknowledge(id: string): Promise<void> {
  const request = { method: 'POST', body: JSON.stringify({ topic: 'sms', ids: [id] }) }
  for (;;) {
    const answer = await fetch(`${server}/ack`, request).catch(() => undefined)
    if (answer?.ok) return
    if (answer && answer.status < 500) throw new Error(await answer.text())
    await delay(1000)
  }
}

for (;;) {
  try {
    const answer = await fetch(`${server}/receive/sms?max=1`)
    if (!answer.ok) throw new Error(await answer.text())
    const { messages } = await answer.json()
    for (const { id, data } of messages) {
      await sendSms(JSON.parse(data))
      await acknowledge(id)
    }
  } catch (error) {
    process.stderr.write(`${error}\n`)
    await delay(1000)
  }
}

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { describeWithPhp, startPhp } from '../support/php.ts'
import { startBrokerProcess, startFunctionsProcess, temporaryFolder } from '../support/processes.ts'
import { loginOf, messageOf, TcpClient } from '../support/tcp-client.ts'
import { userLines } from '../support/users.ts'

/** A broker with the door open, where messages on `sms` are kept for one receiver. */
async function startWithDoor() {
  const folder = await temporaryFolder()
  await writeFile(join(folder, 'users'), Object.values(userLines).join('\n'))
  await writeFile(
    join(folder, 'config'),
    JSON.stringify({ topics: { sms: { durable: true, receivers: 1, legacy: true } }, legacyAckMs: 500 }),
  )
  const broker = await startBrokerProcess({
    POSTERN_CONFIG: join(folder, 'config'),
    POSTERN_USERS: join(folder, 'users'),
    POSTERN_TCP: 'tcp://127.0.0.1:0',
  })
  const { port } = new URL(String(broker.program.told['tcp']))
  return {
    broker,
    port,
    restart: () => broker.restart({ POSTERN_TCP: `tcp://127.0.0.1:${port}` }),
    send: async (...texts: string[]) => {
      const sender = startPhp('sender.php', port, 'bob', 'secret', 'sms', ...texts)
      expect(await sender.ended, sender.output()).toMatchObject({ code: 0 })
    },
    receive: () => startPhp('receiver.php', port, 'eve', 'secret', 'sms'),
  }
}

describeWithPhp('the clients of PHPMessageBroker', () => {
  it('send and receive, and what nobody receives is kept', async () => {
    const { send, receive } = await startWithDoor()
    await send('Kode OTP 1', 'héllo / 2')
    const receiver = receive()
    await receiver.says(/got 1: Kode OTP 1\ngot 2: héllo \/ 2\n/)
    await send('3')
    await receiver.says(/2\ngot 1: 3\n/)
    expect(receiver.output()).not.toMatch(/lost/)
  })

  it('lose nothing when there is more than one read can take', async () => {
    const { send, receive } = await startWithDoor()
    const texts = Array.from({ length: 12 }, (_, i) => `${i} ${'x'.repeat(2480)}`)
    await send(...texts)
    const receiver = receive()
    await receiver.says(/got 12: /)
    expect(receiver.output().match(/: \d+ x{2480}\n/g)).toHaveLength(12)
    expect(receiver.output()).not.toMatch(/lost/)
  })

  it('go on by themselves after a restart of the broker', async () => {
    const { broker, restart, send, receive } = await startWithDoor()
    const receiver = receive()
    await send('before')
    await receiver.says(/before/)
    await broker.stop()
    await restart()
    await send('after')
    await receiver.says(/after/)
  })

  it('get what had a receipt when the broker was killed', async () => {
    const { broker, port, restart, receive } = await startWithDoor()
    const sender = new TcpClient(Number(port))
    sender.send(loginOf('bob', 'secret', { ack: true }))
    for (const id of [1, 2]) sender.send(messageOf('sms', `{"id":${id},"message":"${id}"}`))
    for (const command of ['welcome', 'receipt', 'receipt'])
      expect(await sender.answer()).toMatchObject({ command })
    await broker.stop('SIGKILL')
    await restart()
    await receive().says(/got 1: 1\ngot 2: 2\n/)
  })

  it('are shown on an event stream, and get what comes by HTTP', async () => {
    const { broker, send, receive } = await startWithDoor()
    const { url } = await startFunctionsProcess(broker.requests)
    await send('by PHP')
    const stream = await fetch(`${url}/event/sms?history=1`)
    const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    while (!text.includes('by PHP')) text += (await reader?.read())?.value
    expect(text).toContain('data: {"id":1,"message":"by PHP"}')
    await reader?.cancel()

    const posted = await fetch(`${url}/message/sms`, { method: 'POST', body: '{"id":7,"message":"by HTTP"}' })
    expect(posted.status).toBe(201)
    await receive().says(/by PHP\ngot 7: by HTTP/)
  })
})

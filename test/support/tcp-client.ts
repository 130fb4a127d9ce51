import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** What the real receiver reads at a time. */
const readBytes = 8192

export const loginOf = (name: string, password: string, more: object = {}): string =>
  JSON.stringify({
    id: '6afff9fd20b5b1795160573',
    command: 'login',
    type: 'receiver',
    authorization: Buffer.from(`${name}:${password}`).toString('base64'),
    ...more,
  })

export const registerOf = (channel: string | undefined, more: object = {}): string =>
  JSON.stringify({ command: 'register', type: 'receiver', id: '6afff9fd20b5b1795160573', channel, ...more })

/** @param data the JSON text of what is sent. */
export const messageOf = (channel: string | undefined, data: string, more: object = {}): string =>
  `${JSON.stringify({ command: 'message', type: 'sender', channel, ...more }).slice(0, -1)},"data":${data}}`

/** How a connection was ended by the other side. */
export type End = 'FIN' | 'RST'

/** A client of the TCP door that reads as fast as it can. */
export class TcpClient {
  readonly socket: Socket
  /** What has come and was not taken, as text. */
  text = ''
  /** Resolves with how the other side has ended it. */
  readonly ended: Promise<End>
  #watchers: (() => void)[] = []

  constructor(port: number, host = '127.0.0.1') {
    this.socket = connect({ port, host, allowHalfOpen: true })
    this.socket.on('data', bytes => {
      this.text += bytes
      this.#tell()
    })
    let end: End = 'FIN'
    this.socket.on('error', () => {
      end = 'RST'
    })
    this.ended = new Promise(resolve => {
      this.socket.on('end', () => resolve('FIN'))
      this.socket.on('close', () => resolve(end))
    })
    void this.ended.then(() => this.#tell())
    onTestFinished(() => void this.socket.destroy())
  }

  send(...documents: readonly (string | Uint8Array)[]): void {
    for (const document of documents) this.socket.write(document)
  }

  /** Closes this side, and waits for the other one. */
  async finish(): Promise<End> {
    this.socket.end()
    return this.ended
  }

  /** Resolves when something holds, which is looked at again whenever something has come. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>(resolve => this.#watchers.push(resolve))
  }

  /** The next document of a connection with answers: each is a line. */
  async answer(): Promise<Record<string, unknown>> {
    await this.until(() => this.text.includes('\n') || this.socket.destroyed)
    const end = this.text.indexOf('\n')
    if (end < 0) throw new Error('the connection has ended')
    const line = this.text.slice(0, end)
    this.text = this.text.slice(end + 1)
    return JSON.parse(line)
  }

  #tell(): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const watch of watchers) watch()
  }
}

/**
 * What MQReceiver does: logs in, registers, and takes what one read of 8,192 bytes gives it for one document. What is
 * none is lost without a word. After a reset it comes back at once; after an orderly end it would spin for ever.
 */
export class OldReceiver {
  /** The values of all messages, as JSON texts. */
  readonly values: string[] = []
  /** How many reads brought several messages, or one. */
  reads: number[] = []
  /** Reads that were no document. */
  lost = 0
  /** How each connection has ended. */
  readonly ends: End[] = []
  connections = 0
  readonly #port: number
  readonly #channel: string | undefined
  readonly #credentials: readonly [string, string]
  #socket: Socket | undefined
  #isOver = false
  #watchers: (() => void)[] = []

  constructor(
    port: number,
    channel: string | undefined,
    credentials: readonly [string, string] = ['amy', 'secret'],
  ) {
    this.#port = port
    this.#channel = channel
    this.#credentials = credentials
    onTestFinished(() => this.kill())
    this.#connect()
  }

  /** Ends as a process does that is killed. */
  kill(): void {
    this.#isOver = true
    this.#socket?.destroy()
  }

  /** Its process is stopped: it reads nothing. */
  pause(): void {
    this.#socket?.pause()
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>(resolve => this.#watchers.push(resolve))
  }

  #connect(): void {
    this.connections++
    const socket = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true })
    this.#socket = socket
    socket.write(loginOf(...this.#credentials))
    socket.write(registerOf(this.#channel))
    socket.on('data', bytes => {
      for (let at = 0; at < bytes.length; at += readBytes)
        this.#processMessage(bytes.subarray(at, at + readBytes))
      this.#tell()
    })
    socket.on('error', () => {})
    socket.on('end', () => {
      this.ends.push('FIN')
      this.#tell()
    })
    socket.on('close', hasFailed => {
      if (!hasFailed || this.#isOver) return
      this.ends.push('RST')
      this.#tell()
      setImmediate(() => {
        if (!this.#isOver) this.#connect()
      })
    })
  }

  #processMessage(bytes: Buffer): void {
    try {
      const { data } = JSON.parse(bytes.toString())
      this.reads.push(data.length)
      for (const value of data) this.values.push(JSON.stringify(value))
    } catch {
      this.lost++
    }
  }

  #tell(): void {
    const watchers = this.#watchers
    this.#watchers = []
    for (const watch of watchers) watch()
  }
}

/** Sends as MQSender does: a login, messages one after the other, and is gone without having read anything. */
export async function sendAsOld(
  port: number,
  channel: string | undefined,
  data: readonly string[],
  credentials: readonly [string, string] = ['bob', 'secret'],
): Promise<void> {
  const socket = connect({ port, host: '127.0.0.1' })
  socket.write(loginOf(...credentials, { type: 'sender' }))
  for (const text of data) socket.write(messageOf(channel, text))
  socket.end()
  socket.resume()
  await once(socket, 'close')
}

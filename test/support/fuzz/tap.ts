import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Capture } from './mutation.ts'

/** Stands between real clients and a door, and keeps what the clients send. */
export class Tap {
  readonly #server: Server
  readonly #captures: Buffer[][] = []
  readonly #sockets = new Set<Socket>()
  readonly port: number

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async before(port: number): Promise<Tap> {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('the tap has no port')
    const tap = new Tap(server, address.port)
    server.on('connection', socket => tap.#pass(socket, port))
    return tap
  }

  /** What each connection has sent so far. */
  get captures(): Capture[] {
    return this.#captures.filter(({ length }) => length > 0)
  }

  /** Resolves when so many clients have come, and all have gone. */
  async left(count: number): Promise<void> {
    while (this.#captures.length < count || this.#sockets.size > 0)
      await new Promise(resolve => this.#server.once('left', resolve))
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #pass(client: Socket, port: number): void {
    const server = connect(port, '127.0.0.1')
    const capture: Buffer[] = []
    this.#captures.push(capture)
    client.on('data', bytes => capture.push(Buffer.from(bytes)))
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(one)
      one.pipe(other)
      one.on('error', () => other.destroy())
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
        this.#server.emit('left')
      })
    }
  }
}

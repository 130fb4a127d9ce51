import type { IncomingMessage } from 'node:http'
import type { Server } from 'node:net'

/** Listens on a free port, tells the benchmark where, and ends with it. */
export function tell(server: Server): void {
  server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
    const address = server.address()
    if (address && typeof address === 'object') process.send?.({ address: `127.0.0.1:${address.port}` })
  })
  process.on('disconnect', () => process.exit())
}

export async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { temporaryFolder } from '../../support/processes.ts'
import type { Machine } from './machine.ts'

/** In the network of the machine: hands each connection at a socket file to a port. */
const farSide = `
  const [path, port] = process.argv.slice(1)
  const { connect, createServer } = require('node:net')
  createServer({ allowHalfOpen: true }, near => {
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    near.on('error', () => far.destroy()).on('close', () => far.destroy())
    far.on('error', () => near.destroy()).on('close', () => near.destroy())
    near.pipe(far).pipe(near)
  }).listen(path, () => console.log('bridged'))`

/** Makes a loopback port of a machine one of this host, for the test. A connection there is one here. */
export async function bridge(machine: Machine, port: number): Promise<string> {
  const path = join(await temporaryFolder(), 'bridge')
  await machine.beside(process.execPath, ['--eval', farSide, path, String(port)]).says(/bridged/)
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, near => {
    const far = connect({ path, allowHalfOpen: true })
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  return `127.0.0.1:${await listen(server, sockets)}`
}

async function listen(server: Server, sockets: ReadonlySet<Socket>): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return (server.address() as AddressInfo).port
}

/** The least that Node can hold of a connection: a socket that was asked once, and keeps nothing of it. */
import { createServer, type Socket } from 'node:net'
import { tell } from './listening.ts'

const head = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n'
const sockets = new Set<Socket>()

function answer(this: Socket): void {
  this.write(head)
}

function forget(this: Socket): void {
  sockets.delete(this)
}

const server = createServer(socket => {
  sockets.add(socket)
  socket.once('data', answer)
  socket.on('error', forget)
  socket.on('close', forget)
})
tell(server)

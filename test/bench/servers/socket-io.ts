/** socket.io, over WebSocket alone: each POST is emitted to everybody. */
import { createServer } from 'node:http'
import { Server } from 'socket.io'
import { readText, tell } from './listening.ts'

const server = createServer(async (request, response) => {
  sockets.emit('m', await readText(request))
  response.writeHead(201).end()
})
const sockets = new Server(server, { serveClient: false, transports: ['websocket'] })
tell(server)

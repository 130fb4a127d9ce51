/** crossws on Node's own HTTP server. Its peers subscribe to nothing, and nothing is sent. */
import { createServer } from 'node:http'
import crossws from 'crossws/adapters/node'
import { tell } from './listening.ts'

const { handleUpgrade } = crossws({ hooks: {} })
const server = createServer((_, response) => response.writeHead(426).end())
server.on('upgrade', handleUpgrade)
tell(server)

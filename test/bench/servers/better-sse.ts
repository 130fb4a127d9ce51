/** better-sse, the way its own documentation shows it: one channel, everybody registered, each POST broadcast. */
import { createServer } from 'node:http'
import { createChannel, createSession } from 'better-sse'
import { readText, tell } from './listening.ts'

const channel = createChannel()

const server = createServer(async (request, response) => {
  if (request.method === 'GET') {
    // The payload as it is: without this it would be written as a string of JSON.
    channel.register(await createSession(request, response, { serializer: String }))
    return
  }
  channel.broadcast(await readText(request))
  response.writeHead(201).end()
})
tell(server)

/** The control over HTTP: bare node:http that hands each POST to every open event stream. No order, no memory. */
import { createServer, type ServerResponse } from 'node:http'

const streams = new Set<ServerResponse>()

const server = createServer((request, response) => {
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(': open\n\n')
    streams.add(response)
    response.on('close', () => streams.delete(response))
    return
  }
  const chunks: Buffer[] = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => {
    for (const stream of streams) stream.write(`data: ${Buffer.concat(chunks)}\n\n`)
    response.writeHead(201).end()
  })
})

server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address && typeof address === 'object') process.send?.({ url: `http://127.0.0.1:${address.port}` })
})
process.on('disconnect', () => process.exit())

/** Raw node:http: takes the body of a POST and answers 201. */
import { createServer } from 'node:http'
import { tell } from './listening.ts'

const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => {
    const id = `0123456789ab-${Buffer.concat(chunks).length}`
    response
      .writeHead(201, { 'content-type': 'application/json' })
      .end(JSON.stringify({ id, topic: 'bench' }))
  })
})
tell(server)

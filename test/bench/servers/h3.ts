/** h3 alone: reads the body as the functions do, and answers 201 as they do. No log behind it. */
import { createServer } from 'node:http'
import { H3, HTTPResponse } from 'h3'
import { toNodeHandler } from 'h3/node'
import { readBody } from '../../../functions/body.ts'
import { tell } from './listening.ts'

const maxBytes = 256 * 1024
const bodyMs = 30_000

const app = new H3().post('/publish/**', async event => {
  const body = await readBody(event, maxBytes, bodyMs)
  return new HTTPResponse(JSON.stringify({ id: `0123456789ab-${body?.length}`, topic: 'bench' }), {
    status: 201,
    headers: { 'content-type': 'application/json' },
  })
})
tell(createServer(toNodeHandler(app)))

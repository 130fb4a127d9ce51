import type { H3, H3Event, HTTPResponse } from 'h3'
import * as v from 'valibot'
import { mayReceive } from '#auth'
import { type Code, PosternError, parseId, parseReceivedTopic, type Rights } from '#protocol'
import { defaultTopicOf, receivedTopicOfPath } from './address.ts'
import { admit, admitFor, demand } from './admission.ts'
import { readBody } from './body.ts'
import { type Context, sharedContext } from './context.ts'
import { refuseForeignPage } from './cross-origin.ts'
import { toReceived } from './envelope.ts'
import { Query } from './query.ts'
import { addRoute, answerJson, answerMessages, createRoutes } from './routes.ts'
import { sourceOf } from './source.ts'

const route = '/receive'

/** How many messages an answer has, unless the request says otherwise, and at most. */
const defaultMax = 10
const largestMax = 1000

/** How long a request waits, unless it says otherwise. Proxies let an answer take a minute. */
const defaultWaitMs = 20_000
const longestWaitMs = 60_000

/** The broker needs some time to read what it has kept: whoever does not want to wait is given that much. */
const shortestWaitMs = 100

/** How many ids one request acknowledges: as many as an answer has messages. */
const largestBodyBytes = 64 * 1024

const noStore = { 'cache-control': 'no-store' }

/**
 * `GET /receive/*topic` takes messages of a durable topic for a while, and `POST /ack` acknowledges them, in whatever
 * process they were taken.
 */
export function receiveRoutes(context: Context): H3 {
  const routes = createRoutes(context)
  const receive = (event: H3Event) => receiveBatch(event, context)
  addRoute(routes, route, { GET: receive })
  addRoute(routes, `${route}/**`, { GET: receive })
  addRoute(routes, '/ack', { POST: event => acknowledge(event, context) })
  return routes
}

async function receiveBatch(event: H3Event, context: Context): Promise<HTTPResponse> {
  const { backbone, leases, tally } = context
  // A GET that takes something.
  refuseForeignPage(event, context)
  const query = new Query(event.url.search)
  const max = within('max', query.count('max') ?? defaultMax, 1, largestMax)
  const waitMs = within('waitMs', query.count('waitMs') ?? defaultWaitMs, 0, longestWaitMs)
  const topic = receivedTopicOfPath(event.url.pathname, route) ?? (await defaultTopicOf(backbone))
  const { leaseMs } = leases
  const pass = await admit(event, context)
  const refusal = (rights: Rights) => mayReceive(rights, topic)
  demand(refusal(pass.rights))
  // Whoever asks for the head alone would never see the messages.
  if (event.req.method === 'HEAD') return answerJson({ topic, leaseMs, messages: [] }, 200, noStore)
  await backbone
    .ready()
    .catch(throwAs({ BROKER_UNAVAILABLE: 'The broker cannot be reached. Nothing was received.' }))
  const { connections } = context.limits
  const source = sourceOf(event, context, pass.rights)
  demand(connections.refusal(source))
  const leave = connections.enter(source)
  const lease = leases.begin({ topic, max, waitMs: Math.max(waitMs, shortestWaitMs) })
  const { signal } = event.req
  const onGone = () => lease.close()
  signal.addEventListener('abort', onGone)
  if (signal.aborted) onGone()
  let revoked: PosternError | undefined
  const release = pass.guard({
    refusal,
    revoke(error) {
      revoked = error
      lease.close()
    },
  })
  const messages = (
    await lease.batch.finally(() => {
      release()
      leave?.()
    })
  ).map(toReceived)
  demand(revoked)
  return answerMessages(tally.door('receive'), messages.length, { topic, leaseMs, messages }, noStore)
}

const acknowledgement = v.object({
  topic: v.optional(v.string()),
  ids: v.array(
    v.pipe(
      v.string(),
      v.check(id => parseId(id) !== undefined),
    ),
  ),
})

async function acknowledge(event: H3Event, context: Context): Promise<HTTPResponse> {
  const { backbone } = context
  await admit(event, context)
  const body = await readBody(event, largestBodyBytes, context.limits.bodyMs)
  if (body === undefined)
    throw new PosternError(
      'PAYLOAD_TOO_LARGE',
      `The body must not be longer than ${largestBodyBytes} bytes. Acknowledge in several requests.`,
    )
  const told = v.safeParse(acknowledgement, toJson(body))
  if (!told.success)
    throw new PosternError('INVALID_REQUEST', 'The body must be JSON: {"topic": "…", "ids": ["…"]}.')
  const topic =
    told.output.topic === undefined ? await defaultTopicOf(backbone) : parseReceivedTopic(told.output.topic)
  await admitFor(event, context, rights => mayReceive(rights, topic))
  const ids = [...new Set(told.output.ids)]
  const unknown = ids.length > 0 ? await backbone.acknowledge(topic, ids).catch(throwAs(unacknowledged)) : []
  const strange = new Set(unknown)
  return answerJson({ topic, acknowledged: ids.filter(id => !strange.has(id)), unknown }, 200, noStore)
}

const unacknowledged = {
  BROKER_UNAVAILABLE: 'The broker cannot be reached. Acknowledge again.',
  RECEIPT_UNKNOWN:
    'The broker did not answer in time. Whether the messages are acknowledged is not known: acknowledge them again.',
}

/** What these errors say to a publisher, they do not mean here. */
function throwAs(texts: Partial<Record<Code, string>>): (error: unknown) => never {
  return error => {
    const text = error instanceof PosternError ? texts[error.code] : undefined
    throw error instanceof PosternError && text !== undefined ? new PosternError(error.code, text) : error
  }
}

function toJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
}

/** @throws PosternError `INVALID_REQUEST` */
function within(name: string, value: number, from: number, to: number): number {
  if (value < from || value > to)
    throw new PosternError('INVALID_REQUEST', `The parameter "${name}" must be from ${from} to ${to}.`)
  return value
}

export default receiveRoutes(sharedContext)

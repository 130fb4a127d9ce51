import type { H3Event } from 'h3'
import type { Backbone } from '#client'
import { PosternError, type Rights } from '#protocol'
import { admitFor, demand } from './admission.ts'
import { readBody } from './body.ts'
import type { Context } from './context.ts'
import type { Pass } from './pass.ts'
import { sourceOf } from './source.ts'
import type { Door } from './tally.ts'

/** The largest payload that the broker takes. @throws PosternError `BROKER_UNAVAILABLE` */
export async function maxPayloadBytesOf(backbone: Backbone): Promise<number> {
  if (backbone.maxPayloadBytes === undefined) await backbone.ready()
  if (backbone.maxPayloadBytes === undefined) throw new PosternError('BROKER_UNAVAILABLE')
  return backbone.maxPayloadBytes
}

export function payloadTooLarge(maxPayloadBytes: number): PosternError {
  return new PosternError('PAYLOAD_TOO_LARGE', undefined, {
    limit: maxPayloadBytes,
    setting: 'maxPayloadBytes',
  })
}

/**
 * The body of a request as a payload, counted for whoever publishes it, and who that is.
 *
 * @param refusal why a client may not publish it, asked before the body is read and when it has come.
 * @throws PosternError as {@link admitFor} does; `PAYLOAD_TOO_LARGE`, `RATE_LIMITED`, `REQUEST_TIMEOUT`, `INVALID_REQUEST`, `BROKER_UNAVAILABLE`
 */
export async function readPayload(
  event: H3Event,
  context: Context,
  refusal: (rights: Rights) => PosternError | undefined,
  door: Door,
): Promise<{ readonly payload: Uint8Array; readonly pass: Pass }> {
  const { backbone, limits } = context
  await admitFor(event, context, refusal)
  const limit = await maxPayloadBytesOf(backbone)
  const payload = await readBody(event, limit, limits.bodyMs)
  if (payload === undefined) throw payloadTooLarge(limit)
  const pass = await admitFor(event, context, refusal)
  countPublish(event, context, pass, door, payload.length)
  return { payload, pass }
}

/** Counts a message that came through a door. @throws PosternError `RATE_LIMITED` */
export function countPublish(
  event: H3Event,
  context: Context,
  { rights }: Pass,
  door: Door,
  bytes: number,
): void {
  context.tally.door(door).receive(bytes)
  demand(context.limits.publishing.take(sourceOf(event, context, rights), bytes))
}

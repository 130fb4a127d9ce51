import type { H3Event } from 'h3'
import type { Backbone } from '#client'
import { PosternError } from '#protocol'
import { demand } from './admission.ts'
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
 * The body of a request as a payload, counted for whoever publishes it.
 *
 * @throws PosternError `PAYLOAD_TOO_LARGE`, `RATE_LIMITED`, `REQUEST_TIMEOUT`, `INVALID_REQUEST`, `BROKER_UNAVAILABLE`
 */
export async function readPayload(
  event: H3Event,
  context: Context,
  pass: Pass,
  door: Door,
): Promise<Uint8Array> {
  const { backbone, limits } = context
  const limit = await maxPayloadBytesOf(backbone)
  const payload = await readBody(event, limit, limits.bodyMs)
  if (payload === undefined) throw payloadTooLarge(limit)
  countPublish(event, context, pass, door, payload.length)
  return payload
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

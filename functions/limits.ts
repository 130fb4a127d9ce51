import type { H3Event } from 'h3'
import type { Backbone } from '#client'
import { PosternError } from '#protocol'
import { readBody } from './body.ts'

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
 * The body of a request as a payload.
 *
 * @throws PosternError `PAYLOAD_TOO_LARGE`, `INVALID_REQUEST`, `BROKER_UNAVAILABLE`
 */
export async function readPayload(event: H3Event, backbone: Backbone): Promise<Uint8Array> {
  const limit = await maxPayloadBytesOf(backbone)
  const payload = await readBody(event, limit)
  if (payload === undefined) throw payloadTooLarge(limit)
  return payload
}

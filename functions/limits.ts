import type { Backbone } from '#client'
import { PosternError } from '#protocol'

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

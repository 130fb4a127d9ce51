import {
  isServiceTopic,
  isSystemTopic,
  PosternError,
  type Publication,
  parseTopic,
  parseType,
} from './protocol/index.ts'

/** Says what may be published. */
export class Admission {
  #validTopic: string | undefined

  /** @throws PosternError when the publication is not valid. */
  check({ topic, type, payload }: Publication, maxPayloadBytes: number): void {
    // One topic often follows itself, and checking it costs more than the rest of accepting a message.
    if (topic !== this.#validTopic) {
      if (parseTopic(topic) !== topic)
        throw new PosternError('INVALID_TOPIC', 'A topic must not end in a slash.')
      if (isSystemTopic(topic) && !isServiceTopic(topic)) throw new PosternError('RESERVED_TOPIC')
      this.#validTopic = topic
    }
    parseType(type)
    if (payload.length > maxPayloadBytes) {
      throw new PosternError('PAYLOAD_TOO_LARGE', undefined, {
        limit: maxPayloadBytes,
        setting: 'maxPayloadBytes',
      })
    }
  }
}

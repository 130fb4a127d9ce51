import { type Batch, BatchWriter, type Message } from '#protocol'

interface Line {
  readonly topic: string
  readonly payload?: string
  readonly type?: string
  readonly binary?: boolean
}

/** Gives messages their places, as a broker does. What a test does not care about has a plain value. */
export class TestLog {
  epoch = '00000000000a'
  timeMs = 1_700_000_000_000
  last = 0
  readonly #writer = new BatchWriter()

  /** Messages that came in one batch. */
  batch(lines: readonly Line[]): readonly Message[] {
    return this.whole(lines).messages
  }

  /** The batch itself. */
  whole(lines: readonly Line[]): Batch {
    for (const { topic, payload = '', type = '', binary = false } of lines) {
      this.#writer.add({ topic, type, binary, payload: new TextEncoder().encode(payload) })
    }
    const { epoch, timeMs } = this
    const batch = this.#writer.finish({ epoch, first: this.last + 1, timeMs })
    this.last = batch.last
    return batch
  }

  /** One message. */
  next(topic: string, payload = `message ${this.last + 1}`): Message {
    const [message] = this.batch([{ topic, payload }])
    if (!message) throw new Error('the batch is empty')
    return message
  }
}

/** Everything that a subscriber could notice of a message. */
export function seen({ id, timeMs, topic, type, binary, payload }: Message) {
  return { id, timeMs, topic, type, binary, payload: Buffer.from(payload).toString('hex') }
}

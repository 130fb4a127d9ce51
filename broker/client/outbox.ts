import {
  BatchWriter,
  noEpoch,
  PosternError,
  type Publication,
  type ReceiptEntry,
  type RecordKey,
  recordSize,
} from '../protocol/index.ts'
import type { PublishOptions, Receipt } from './backbone.ts'
import type { Link } from './link.ts'

/** After this the broker refuses a publish that it has not taken yet: long enough for a busy moment. */
const takeWithinMs = 2000

/** After this a publisher is told that its receipt is unknown: long enough for receipts that are withheld. */
const receiptWithinMs = 5000

/** What may wait for the broker in one process: some thousand small messages, or 32 of the largest. */
const defaultPendingBytes = 8 * 1024 * 1024

interface Sent {
  readonly resolve: (receipt: Receipt) => void
  readonly reject: (error: PosternError) => void
}

/** What an outbox needs of the connection to the broker. */
export type OutboxLink = Pick<Link, 'ready' | 'hello' | 'brokerMs' | 'request'>

/** Gathers what is published within one turn of the event loop into one request. */
export class Outbox {
  readonly #link: OutboxLink
  readonly #maxPendingBytes: number
  readonly #writer = new BatchWriter()
  #sent: Sent[] = []
  #keys: RecordKey[] = []
  #pendingBytes = 0
  #isDeferred = false

  constructor(link: OutboxLink, maxPendingBytes: number = defaultPendingBytes) {
    this.#link = link
    this.#maxPendingBytes = maxPendingBytes
  }

  /** As `Backbone.publish`. */
  async publish(
    publication: Publication,
    { idempotencyKey, identity = '' }: PublishOptions,
  ): Promise<Receipt> {
    const bytes = recordSize(publication)
    // One alone is always taken: a broker may be set to a largest payload beyond this bound.
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > this.#maxPendingBytes) {
      throw new PosternError('BACKLOG_FULL', undefined, {
        limit: this.#maxPendingBytes,
        setting: 'maxPendingBytes',
      })
    }
    this.#pendingBytes += bytes
    try {
      await this.#link.ready()
      this.#assertWithin(publication.payload.length)
      return await new Promise<Receipt>((resolve, reject) => {
        this.#append(
          publication,
          idempotencyKey === undefined ? undefined : { key: idempotencyKey, identity },
        )
        this.#sent.push({ resolve, reject })
      })
    } finally {
      this.#pendingBytes -= bytes
    }
  }

  /** Threat: what is far too large ends the connection, and with it the receipts of all that is under way. */
  #assertWithin(payloadBytes: number): void {
    const limit = this.#link.hello?.maxPayloadBytes
    if (limit !== undefined && payloadBytes > limit)
      throw new PosternError('PAYLOAD_TOO_LARGE', undefined, { limit, setting: 'maxPayloadBytes' })
  }

  #append(publication: Publication, key: { key: string; identity: string } | undefined): void {
    if (this.#writer.isFullFor(publication)) this.#flush()
    if (key) this.#keys.push({ at: this.#writer.count, ...key })
    this.#writer.add(publication)
    if (this.#isDeferred) return
    this.#isDeferred = true
    setImmediate(() => {
      this.#isDeferred = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#writer.count === 0) return
    const batch = this.#writer.finish({ epoch: noEpoch, first: 0, timeMs: 0 }).bytes
    const sent = this.#sent
    const keys = this.#keys
    this.#sent = []
    this.#keys = []
    this.#request(batch, keys).then(
      receipts => settle(sent, receipts),
      (error: unknown) => {
        const reason = error instanceof PosternError ? error : new PosternError('RECEIPT_UNKNOWN')
        for (const { reject } of sent) reject(reason)
      },
    )
  }

  async #request(batch: Uint8Array, keys: readonly RecordKey[]): Promise<readonly ReceiptEntry[]> {
    const session = this.#link.hello?.session
    if (session === undefined) throw new PosternError('BROKER_UNAVAILABLE')
    const deadlineMs = this.#link.brokerMs(takeWithinMs)
    const { head } = await this.#link.request(
      { op: 'publish', session, deadlineMs, keys },
      receiptWithinMs,
      batch,
    )
    if (head.op !== 'receipts') throw new PosternError('RECEIPT_UNKNOWN')
    return head.receipts
  }
}

function settle(sent: readonly Sent[], receipts: readonly ReceiptEntry[]): void {
  for (const [index, { resolve, reject }] of sent.entries()) {
    const receipt = receipts[index]
    if (!receipt) reject(new PosternError('RECEIPT_UNKNOWN'))
    else if ('id' in receipt) resolve(receipt)
    else reject(toError(receipt))
  }
}

function toError({ error }: Extract<ReceiptEntry, { error: unknown }>): PosternError {
  // The broker process that it was meant for has ended, without it.
  if (error.code === 'UNKNOWN_SESSION') return new PosternError('BROKER_UNAVAILABLE')
  return PosternError.fromBody(error)
}

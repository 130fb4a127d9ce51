import type { Audience } from '../audience.ts'
import type { Authority } from '../auth/authority.ts'
import type { Broker } from '../broker.ts'
import type { Delivery } from '../delivery.ts'
import type { Flow } from '../flow.ts'
import {
  type AuthorizeRequest,
  type BrokerStatus,
  batchCountOf,
  decodeBatch,
  decodeRequest,
  encodeHead,
  formatId,
  type HelloReply,
  type HelloRequest,
  isInSpace,
  type PositionRequest,
  PosternError,
  type PublishRequest,
  type PullReply,
  type PullRequest,
  parseTopic,
  protocolVersion,
  type ReceiptEntry,
  type ReceiveRequest,
  type ReplayRequest,
  type Reply,
} from '../protocol/index.ts'
import type { RemoteReceivers } from '../remote-receivers.ts'
import type { TopicPage } from '../topic-list.ts'
import type { Traffic } from '../traffic.ts'
import { verified } from './ingest.ts'

/** Frames of a reply: the head, then batches. */
type ReplyFrames = readonly Uint8Array[]

export interface RequestsOptions {
  readonly broker: Broker
  readonly flow: Flow
  readonly audience: Pick<Audience, 'report'>
  readonly delivery: Delivery
  readonly remoteReceivers: Pick<RemoteReceivers, 'take'>
  /** Names this process of the broker, so that a request for an earlier one is not taken for one of its own. */
  readonly session: string
  readonly monotonicMs: () => number
  /** Endpoints of the stream, once they are bound: those with this public key of the broker, or all. */
  readonly stream: (serverKey?: string) => readonly string[]
  readonly status: () => BrokerStatus
  readonly topics: (after: string | undefined) => TopicPage
  /** The rules of access, as they are now. */
  readonly authority: Authority
  readonly onMalformed: (error: PosternError) => void
}

/** Answers the requests of functions. Knows nothing of sockets. */
export class Requests {
  /** What was published, and what was read of the past. */
  readonly received: Traffic = { messages: 0, bytes: 0 }
  readonly sent: Traffic = { messages: 0, bytes: 0 }
  readonly #options: RequestsOptions

  constructor(options: RequestsOptions) {
    this.#options = options
  }

  /**
   * Takes one request. The reply may come later (a receipt that is withheld) or at once; it always comes.
   *
   * @param peer names the connection that asks.
   */
  handle(peer: string, frames: readonly Uint8Array[], reply: (frames: ReplyFrames) => void): void {
    const request = decodeRequest(frames[0] ?? new Uint8Array())
    if ('broken' in request) {
      this.#refuse(request.seq, new PosternError('INVALID_REQUEST', request.broken), reply)
      return
    }
    try {
      switch (request.op) {
        case 'hello':
          return reply([encodeHead(this.#hello(request))])
        case 'publish':
          return this.#publish(request, frames, reply)
        case 'replay':
          return reply(this.#replay(request))
        case 'position':
          return reply([encodeHead(this.#position(peer, request))])
        case 'pull':
          return reply([encodeHead(this.#pull(peer, request))])
        case 'receive':
          return this.#receive(peer, request, reply)
        case 'authorize':
          return this.#authorize(request, reply)
        case 'status':
          return reply([encodeHead({ op: 'status', seq: request.seq, status: this.#options.status() })])
        case 'topics':
          return reply([
            encodeHead({ op: 'topics', seq: request.seq, ...this.#options.topics(request.after) }),
          ])
      }
    } catch (error) {
      if (!(error instanceof PosternError)) throw error
      this.#refuse(request.seq, error, reply)
    }
  }

  #hello({ seq, version, serverKey }: HelloRequest): HelloReply {
    if (version !== protocolVersion) {
      throw new PosternError(
        'UNSUPPORTED_VERSION',
        `The broker speaks version ${protocolVersion} of the protocol, not ${version}.`,
      )
    }
    const { broker, session, monotonicMs, stream } = this.#options
    const { epoch, offset: last } = broker.position
    const { defaultTopic, maxPayloadBytes } = broker.limits
    return {
      op: 'hello',
      seq,
      version,
      session,
      epoch,
      last,
      clockMs: monotonicMs(),
      stream: stream(serverKey),
      defaultTopic,
      maxPayloadBytes,
      access: this.#options.authority.access,
    }
  }

  #publish(
    request: PublishRequest,
    frames: readonly Uint8Array[],
    reply: (frames: ReplyFrames) => void,
  ): void {
    const { broker, session, monotonicMs } = this.#options
    const batch = frames[1] && frames.length === 2 ? decodeBatch(frames[1]) : undefined
    if (!batch) throw new PosternError('INVALID_REQUEST', 'The second frame of a publish is not one batch.')
    this.received.messages += batch.count
    this.received.bytes += batch.bytes.length
    const keys = new Map(request.keys.map(({ at, key, identity }) => [at, { key, identity }]))
    if (request.keys.some(({ at }) => at >= batch.count)) {
      throw new PosternError('INVALID_REQUEST', '"keys" names a record that the batch does not have.')
    }
    const answer = (receipts: readonly ReceiptEntry[]) =>
      reply([encodeHead({ op: 'receipts', seq: request.seq, receipts })])

    if (request.session !== session) return answer(broker.refuse('UNKNOWN_SESSION', batch.count))
    if (monotonicMs() > request.deadlineMs) return answer(broker.refuse('BROKER_UNAVAILABLE', batch.count))
    broker.publish(
      batch.messages.map((message, at) => {
        const key = keys.get(at)
        return { publication: verified(message), ...(key && { key }) }
      }),
      answer,
    )
  }

  #replay({ seq, topics, exact, since, last }: ReplayRequest): ReplyFrames {
    const page = this.#options.broker.replay({
      selection: topics && { topics: topics.map(parseTopic), exact },
      ...(since === undefined ? {} : { since }),
      ...(last === undefined ? {} : { last }),
    })
    const head: Reply = {
      op: 'replay',
      seq,
      gap: page.gap,
      from: formatId(page.from),
      through: formatId(page.through),
      more: page.more,
    }
    for (const batch of page.batches) {
      this.sent.messages += batchCountOf(batch)
      this.sent.bytes += batch.length
    }
    return [encodeHead(head), ...page.batches]
  }

  #position(peer: string, { seq, session, offset, subscribers, delivered }: PositionRequest): Reply {
    if (session !== this.#options.session) throw new PosternError('UNKNOWN_SESSION')
    const { broker, flow, audience, authority, monotonicMs } = this.#options
    flow.report(peer, offset, monotonicMs())
    if (subscribers !== undefined && delivered !== undefined)
      audience.report(peer, { subscribers, delivered }, monotonicMs())
    const { epoch, offset: last } = broker.position
    return { op: 'position', seq, epoch, last, access: authority.access }
  }

  #pull(peer: string, { seq, session, ...steps }: PullRequest): PullReply {
    if (session !== this.#options.session) throw new PosternError('UNKNOWN_SESSION')
    for (const { topic } of steps.open) {
      if (parseTopic(topic) !== topic || !isInSpace('push', topic))
        throw new PosternError('INVALID_TOPIC', 'A puller pulls from a push topic.')
    }
    const { delivery, monotonicMs } = this.#options
    return { op: 'pull', seq, pullers: delivery.take(peer, steps, monotonicMs()) }
  }

  #receive(
    peer: string,
    { seq, session, ...steps }: ReceiveRequest,
    reply: (frames: ReplyFrames) => void,
  ): void {
    if (session !== this.#options.session) throw new PosternError('UNKNOWN_SESSION')
    const { remoteReceivers, monotonicMs } = this.#options
    remoteReceivers.take(peer, steps, monotonicMs(), outcome =>
      reply([encodeHead({ op: 'receive', seq, ...outcome })]),
    )
  }

  #authorize(
    { seq, credential, address, login }: AuthorizeRequest,
    reply: (frames: ReplyFrames) => void,
  ): void {
    const { authority } = this.#options
    const outcome =
      login && credential.kind === 'password'
        ? authority.login(credential, address)
        : authority.authorize(credential, address).then(rights => ({ rights }))
    outcome.then(
      found => reply([encodeHead({ op: 'authorize', seq, access: authority.access, ...found })]),
      (error: unknown) => {
        const told = error instanceof PosternError ? error : new PosternError('INTERNAL')
        reply([encodeHead({ op: 'error', seq, error: told.toBody() })])
      },
    )
  }

  #refuse(seq: number | null, error: PosternError, reply: (frames: ReplyFrames) => void): void {
    this.#options.broker.refusals.add(error)
    this.#options.onMalformed(error)
    reply([encodeHead({ op: 'error', seq, error: error.toBody() })])
  }
}

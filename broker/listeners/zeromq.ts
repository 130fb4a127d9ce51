import { setTimeout as delay } from 'node:timers/promises'
import type { Publisher, Pull, Router, Socket } from 'zeromq'
import type { Broker, Output } from '../broker.ts'
import type { DeliveryOutput, Handover } from '../delivery.ts'
import type { Flow } from '../flow.ts'
import type { Logger } from '../logger.ts'
import {
  batchCountOf,
  type DeliverReply,
  encodeHead,
  encodeMessages,
  type HandReply,
  type Message,
  PosternError,
} from '../protocol/index.ts'
import type { EndedReceivers, ReceiverOutput, RemoteHandout } from '../remote-receivers.ts'
import type { Traffic } from '../traffic.ts'
import type { CurveDoor } from './curve-door.ts'
import { type Dsn, type Endpoint, endpointAddress } from './dsn.ts'
import { IngestReader } from './ingest.ts'
import type { Requests } from './requests.ts'
import { attach, openPublisher, openPull, openRouter } from './sockets.ts'

/**
 * Subscribers reconnect before publishers do: measured, a restart loses 0 to 6 messages this way, and hundreds when
 * the ingest socket is first.
 */
const settleMs = 250

/** How long messages that were under way at a stop are still received. */
const drainMs = 300

/** A stop ends earlier when nothing has come for this long. */
const drainIdleMs = 50

/** After this long without a batch a beacon tells the last offset: a PUB drops the last batches without a word. */
const quietMs = 250
const beaconMs = 15_000

/** After a connection has ended, and as rarely as this, it is found out whose. */
const leftMs = 50

export interface ZeromqOptions {
  readonly ingest: Dsn
  readonly plain: Dsn
  readonly requests: Dsn
  readonly stream: Dsn
  readonly maxPayloadBytes: number
  readonly streamHighWaterMark: number
  readonly plainHighWaterMark: number
  readonly logger: Logger
  readonly flow: Flow
  /** Default: nobody is asked for keys. */
  readonly curve?: CurveDoor | undefined
}

/** The endpoints of the four sockets, with the ports that the system chose. */
export interface Endpoints {
  readonly ingest: readonly Endpoint[]
  readonly plain: readonly Endpoint[]
  readonly requests: readonly Endpoint[]
  readonly stream: readonly Endpoint[]
}

/** The four ZeroMQ sockets of the broker: bytes in, bytes out. */
export class ZeromqListener implements Output, DeliveryOutput, ReceiverOutput {
  readonly counters = { malformed: 0, undeliverable: 0 }
  /** What has come by the ingest socket. */
  readonly received: Traffic = { messages: 0, bytes: 0 }
  /** What has gone out, once however many follow it; `handed` is what pullers and receivers got. */
  readonly sent = { stream: nothing(), plain: nothing(), handed: nothing() }
  readonly #options: ZeromqOptions
  readonly #ingest: Pull
  readonly #requests: Router
  readonly #plain: Publisher
  readonly #stream: Publisher
  readonly #reader = new IngestReader()
  #streamEndpoints: readonly Endpoint[] = []
  #broker: Broker | undefined
  #beacon: NodeJS.Timeout | undefined
  #leaving: NodeJS.Timeout | undefined
  #isQuiet = true
  #hasStreamed = false
  #isClosing = false
  #arrivals = 0

  constructor(options: ZeromqOptions) {
    this.#options = options
    const place = options.curve ? { context: options.curve.context } : {}
    this.#ingest = openPull(options.maxPayloadBytes, place)
    this.#requests = openRouter(options.maxPayloadBytes, place)
    this.#plain = openPublisher(options.plainHighWaterMark, place)
    this.#stream = openPublisher(options.streamHighWaterMark, place)
  }

  /**
   * Where functions find the stream, in libzmq's form.
   *
   * @param serverKey the endpoints with this public key of ours; undefined: all.
   */
  streamAddresses(serverKey?: string): string[] {
    const { curve } = this.#options
    return this.#streamEndpoints
      .filter((_, at) => serverKey === undefined || !curve?.has('stream') || curve.hasKey(at, serverKey))
      .map(endpointAddress)
  }

  stream(batch: Uint8Array): void {
    this.#send(this.#stream, batch)
    this.sent.stream.messages += batchCountOf(batch)
    this.sent.stream.bytes += batch.length
    this.#hasStreamed = true
    if (!this.#isQuiet) return
    this.#isQuiet = false
    clearTimeout(this.#beacon)
    this.#beacon = setTimeout(() => this.#whenQuiet(), quietMs)
  }

  plain(payload: Uint8Array): void {
    this.#send(this.#plain, payload)
    this.sent.plain.messages++
    this.sent.plain.bytes += payload.length
  }

  hand(
    peer: string,
    handovers: readonly Handover[],
    untilMs: number,
    onFailed: (why: 'full' | 'gone') => void,
  ): void {
    const to = handovers.map(({ pull }) => pull)
    this.#tell(peer, { op: 'hand', seq: null, to, untilMs }, handovers, onFailed)
  }

  deliver(
    peer: string,
    handouts: readonly RemoteHandout[],
    ended: EndedReceivers,
    untilMs: number,
    onFailed: (why: 'full' | 'gone') => void,
  ): void {
    const to = handouts.map(({ receiver }) => receiver)
    const deliveries = handouts.map(handout => handout.deliveries)
    this.#tell(peer, { op: 'deliver', seq: null, to, deliveries, untilMs, ...ended }, handouts, onFailed)
  }

  /** Sends a peer what it has not asked for. */
  #tell(
    peer: string,
    head: HandReply | DeliverReply,
    parts: readonly { readonly message: Message }[],
    onFailed: (why: 'full' | 'gone') => void,
  ): void {
    if (this.#isClosing) return
    const batches = encodeMessages(parts.map(({ message }) => message))
    this.sent.handed.messages += parts.length
    for (const { length } of batches) this.sent.handed.bytes += length
    this.#requests.send([Buffer.from(peer, 'hex'), encodeHead(head), ...batches]).catch((error: unknown) => {
      if (this.#isClosing) return
      // ZMQ_ROUTER_MANDATORY tells a peer that is not there from one that does not read.
      onFailed(codeOf(error) === 'EHOSTUNREACH' ? 'gone' : 'full')
    })
  }

  /**
   * Binds the publishers, lets subscribers come back, then takes requests and messages.
   *
   * @param onLeft some peer has ended its connection.
   */
  async start(broker: Broker, requests: Requests, onLeft: () => void): Promise<Endpoints> {
    this.#broker = broker
    this.#requests.events.on('disconnect', () => this.#whenLeft(onLeft))
    await this.#options.curve?.start()
    const stream = await this.#attach(this.#stream, 'stream')
    this.#streamEndpoints = stream
    const plain = await this.#attach(this.#plain, 'plain')
    await delay(settleMs)
    const requestEndpoints = await this.#attach(this.#requests, 'requests')
    const ingest = await this.#attach(this.#ingest, 'ingest')
    void this.#receive(this.#requests, frames => this.#answer(requests, frames))
    void this.#receive(this.#ingest, frames => this.#take(broker, frames), this.#options.flow)
    this.#sendBeacon()
    return { ingest, plain, requests: requestEndpoints, stream }
  }

  /** Receives what is under way, commits it, and closes. The endpoints are not unbound: that drops live sessions. */
  async stop(): Promise<void> {
    if (this.#isClosing) return
    for (
      let waitedMs = 0, before = -1;
      waitedMs < drainMs && this.#arrivals !== before;
      waitedMs += drainIdleMs
    ) {
      before = this.#arrivals
      await delay(drainIdleMs)
    }
    this.#isClosing = true
    clearTimeout(this.#beacon)
    clearTimeout(this.#leaving)
    this.#broker?.commit()
    for (const socket of [this.#ingest, this.#requests, this.#stream, this.#plain]) socket.close()
    this.#options.curve?.close()
  }

  #attach(socket: Socket, name: keyof Endpoints): Promise<Endpoint[]> {
    const { curve } = this.#options
    if (!curve?.has(name)) return attach(socket, this.#options[name], name)
    curve.watch(socket, name)
    return attach(socket, this.#options[name], name, endpoint => curve.prepare(socket, name, endpoint))
  }

  /**
   * Receives until the socket is closed. An error in one message never ends the loop.
   *
   * @param flow where publishers get no receipt that could be withheld, they are left waiting at the socket instead.
   */
  async #receive(socket: Pull | Router, take: (frames: Buffer[]) => void, flow?: Flow): Promise<void> {
    while (!this.#isClosing) {
      if (flow?.isLagging) await new Promise<void>(resolve => flow.whenFollowed(resolve))
      try {
        const frames = await socket.receive()
        this.#arrivals++
        take(frames)
      } catch (error) {
        if (this.#isClosing || socket.closed) return
        this.#options.logger.limited('receive-failed', { reason: reasonOf(error) })
      }
    }
  }

  #take(broker: Broker, frames: readonly Uint8Array[]): void {
    const ingested = this.#reader.read(frames, broker.limits)
    for (const { length } of frames) this.received.bytes += length
    if (ingested.kind === 'malformed') {
      broker.refusals.add(ingested.error)
      return this.malformed('ingest', ingested.error)
    }
    if (ingested.kind === 'batch') {
      this.received.messages += ingested.batch.count
      return broker.acceptBatch(ingested.batch)
    }
    this.received.messages += ingested.publications.length
    for (const publication of ingested.publications) {
      try {
        broker.accept(publication)
      } catch (error) {
        if (!(error instanceof PosternError)) throw error
        this.malformed('ingest', error)
      }
    }
  }

  /** `[peer, …]`, after which a REQ socket has put an empty frame that belongs to its reply too. */
  #answer(requests: Requests, [peer, ...rest]: readonly Uint8Array[]): void {
    if (!peer) return
    const envelope = rest[0]?.length === 0 && rest.length > 1 ? [peer, rest[0]] : [peer]
    const name = Buffer.from(peer).toString('hex')
    requests.handle(name, rest.slice(envelope.length - 1), reply => {
      if (!this.#isClosing) this.#send(this.#requests, [...envelope, ...reply])
    })
  }

  /** Counts and tells, at a limited rate, what a peer has sent that cannot be served. */
  malformed(socket: string, { code, message }: PosternError): void {
    this.counters.malformed++
    this.#options.logger.limited('refused', { socket, code, reason: message })
  }

  /** A beacon between two batches could be dropped together with the last one. */
  #whenQuiet(): void {
    if (!this.#hasStreamed) return this.#sendBeacon()
    this.#hasStreamed = false
    this.#beacon = setTimeout(() => this.#whenQuiet(), quietMs)
  }

  #sendBeacon(): void {
    this.#isQuiet = true
    if (this.#isClosing || !this.#broker) return
    this.#send(this.#stream, this.#broker.beacon())
    this.#beacon = setTimeout(() => this.#sendBeacon(), beaconMs)
  }

  /** Which peer has left is not told, and the socket still knows it for a moment. */
  #whenLeft(onLeft: () => void): void {
    this.#leaving ??= setTimeout(() => {
      this.#leaving = undefined
      if (!this.#isClosing) onLeft()
    }, leftMs)
  }

  #send(socket: Publisher | Router, message: Uint8Array | Uint8Array[]): void {
    if (socket.closed) return
    socket.send(message).catch((error: unknown) => {
      this.counters.undeliverable++
      this.#options.logger.limited('undeliverable', { reason: reasonOf(error) })
    })
  }
}

function nothing(): Traffic {
  return { messages: 0, bytes: 0 }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

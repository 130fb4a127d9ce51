import { type PosternError, parseReceivedTopic } from '../protocol/index.ts'
import type { Backbone, Delivered, ReceiveEnd, ReceiveOptions, ReceiveSink, Receiving } from './backbone.ts'
import type { CurveKeys } from './curve.ts'
import { Relay } from './relay.ts'

/** How long `close()` waits for what is under way. */
const settleMs = 5000

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })

/** A message of a durable topic, with the one who received it. */
export class ReceivedMessage {
  readonly #delivered: Delivered
  readonly #acknowledge: (delivered: Delivered) => Promise<boolean>

  constructor(delivered: Delivered, acknowledge: (delivered: Delivered) => Promise<boolean>) {
    this.#delivered = delivered
    this.#acknowledge = acknowledge
  }

  /** Names the message for as long as it is kept. It is not the id of its receipt. */
  get id(): string {
    return this.#delivered.message.id
  }

  get topic(): string {
    return this.#delivered.message.topic
  }

  get type(): string {
    return this.#delivered.message.type
  }

  /** Whether it was published as bytes, not as a text. */
  get binary(): boolean {
    return this.#delivered.message.binary
  }

  get payload(): Uint8Array {
    return this.#delivered.message.payload
  }

  /** The payload as UTF-8. */
  get text(): string {
    return utf8.decode(this.payload)
  }

  /** When the broker has accepted it. */
  get time(): Date {
    return new Date(this.#delivered.message.timeMs)
  }

  /** How often it has been handed out, this time included. After a restart of the broker it may count one too many. */
  get deliveries(): number {
    return this.#delivered.deliveries
  }

  /** Somebody may have received it before. */
  get redelivered(): boolean {
    return this.#delivered.redelivered
  }

  /**
   * It is received. Until this is called it belongs to the receiver, which gives it back when it closes or dies.
   *
   * @returns true when it has left the broker's disk: it never comes again. False when the broker was lost meanwhile or
   * has not said so in time: it may come again, marked as redelivered. While the broker is away it waits.
   */
  ack(): Promise<boolean> {
    return this.#acknowledge(this.#delivered)
  }

  /** It was not received: the next one gets it, or this one again. Without effect after `ack()`. */
  giveBack(): void {
    this.#delivered.giveBack()
  }
}

/** What is done with each message. When it returns, the message is acknowledged. */
export type ProcessMessage = (message: ReceivedMessage) => unknown

export interface ReceiverOptions extends ReceiveOptions {
  /** Exactly one durable topic, or `$dead/<topic>` for what could not be received there. */
  readonly topic: string
  /** The broker's requests socket. Default `tcp://127.0.0.1:5001`. */
  readonly broker?: string
  /** For a broker that asks for keys. Default: the connection is not encrypted. */
  readonly curve?: CurveKeys
  /** A `Relay` that is there already, and stays open. Default: one of its own to `broker`, with `curve`. */
  readonly backbone?: Pick<Backbone, 'receive' | 'close'>
  /** For `run()`. */
  readonly processMessage?: ProcessMessage
}

/**
 * Receives the messages of a durable topic: what was kept first, oldest first, then what follows. Each is its own until
 * it is acknowledged, and goes to the next receiver when this one ends or crashes before that. It reconnects by itself.
 *
 * Messages come ahead of their turn, up to `window`. Where several receivers share a topic and a message takes long, a
 * window of one message shares the work evenly.
 *
 * Take them with `for await (const message of receiver)`, which ends the receiver when the loop is left, or give
 * `processMessage` and call `run()`.
 *
 * @throws PosternError `INVALID_TOPIC`, `RESERVED_TOPIC`. Error when the address of the broker is not `tcp://host:port`, or
 * a key is none.
 */
export class Receiver implements AsyncIterable<ReceivedMessage> {
  readonly #topic: string
  readonly #options: ReceiverOptions
  readonly #backbone: Pick<Backbone, 'receive' | 'close'>
  readonly #isOwn: boolean
  /** What has come and was not taken yet, by id: what comes again takes the place of what came before. */
  readonly #waiting = new Map<string, Delivered>()
  /** What `close()` waits for. */
  readonly #underWay = new Set<Promise<unknown>>()
  #wakes: (() => void)[] = []
  #receiving: Receiving | undefined
  #refusal: PosternError | undefined
  #isOver = false
  #closing: Promise<void> | undefined

  constructor(options: ReceiverOptions) {
    const { topic, broker, curve, backbone } = options
    this.#topic = parseReceivedTopic(topic)
    this.#options = options
    this.#backbone =
      backbone ?? new Relay({ ...(broker !== undefined && { broker }), ...(curve && { curve }) })
    this.#isOwn = backbone === undefined
  }

  /**
   * @throws PosternError `NOT_DURABLE` from the loop where the topic is not durable.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<ReceivedMessage, void, undefined> {
    try {
      this.#open()
      for (let next = await this.#next(); next; next = await this.#next()) {
        yield new ReceivedMessage(next, delivered => this.#acknowledge(delivered))
      }
    } finally {
      await this.close()
    }
  }

  /**
   * Calls `processMessage` with one message after the other, and acknowledges each when it returns.
   *
   * @returns when the receiver is closed.
   * @throws what `processMessage` throws: then the message is not acknowledged, and the receiver is closed. PosternError
   * `NOT_DURABLE`. TypeError where there is no `processMessage`.
   */
  async run(): Promise<void> {
    const { processMessage } = this.#options
    if (!processMessage) throw new TypeError('A receiver that runs needs processMessage.')
    const process = async (message: ReceivedMessage) => {
      await processMessage(message)
      await message.ack()
    }
    for await (const message of this) await this.#track(process(message))
  }

  /**
   * Gives back what was not acknowledged, after it has waited up to 5 s for `processMessage` and for acknowledgements
   * that are under way. A loop over it ends. May be called twice.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#isOver = true
    this.#waiting.clear()
    this.#wake()
    let timer: NodeJS.Timeout | undefined
    const patience = new Promise<void>(resolve => {
      timer = setTimeout(resolve, settleMs)
    })
    await Promise.race([this.#settled(), patience])
    clearTimeout(timer)
    this.#receiving?.close()
    if (this.#isOwn) await this.#backbone.close()
  }

  async #settled(): Promise<void> {
    // Whoever closes may be under way, and not be noted yet.
    await Promise.resolve()
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
  }

  #open(): void {
    if (this.#isOver || this.#receiving) return
    const sink: ReceiveSink = {
      deliver: delivered => {
        // After the end it goes back with everything else.
        if (!this.#isOver) this.#waiting.set(delivered.message.id, delivered)
        this.#wake()
      },
      end: (reason, error) => this.#end(reason, error),
    }
    this.#receiving = this.#backbone.receive(this.#topic, sink, this.#options)
  }

  #end(reason: ReceiveEnd, error: PosternError | undefined): void {
    this.#receiving = undefined
    // What it had has gone back.
    this.#waiting.clear()
    if (reason === 'slow') return this.#open()
    this.#refusal = error
    this.#isOver = true
    this.#wake()
  }

  async #next(): Promise<Delivered | undefined> {
    for (;;) {
      if (this.#refusal) throw this.#refusal
      if (this.#isOver) return undefined
      for (const [id, delivered] of this.#waiting) {
        this.#waiting.delete(id)
        return delivered
      }
      await new Promise<void>(resolve => this.#wakes.push(resolve))
    }
  }

  #acknowledge(delivered: Delivered): Promise<boolean> {
    return this.#track(
      delivered.acknowledge().then(
        () => true,
        () => false,
      ),
    )
  }

  #track<T>(step: Promise<T>): Promise<T> {
    const forget = () => this.#underWay.delete(step)
    this.#underWay.add(step)
    step.then(forget, forget)
    return step
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake()
  }
}

import type { Clock } from './broker.ts'
import type { Config } from './config.ts'
import { Keeper } from './keeper.ts'
import { MemoryStore } from './kept/memory.ts'
import type { KeptState, KeptStore } from './kept/store.ts'
import { KeptLedger, type LedgerTrouble } from './kept-ledger.ts'
import { KeptBatches, type KeptBatchLog } from './kept-log.ts'
import type { Logger } from './logger.ts'
import type { Publication } from './protocol/index.ts'
import { Receivers } from './receivers.ts'
import { TopicRules } from './topic-rules.ts'

/** How often what is too old is looked for. */
const expiryMs = 60_000

export interface KeptMessagesParts {
  readonly logger: Logger
  readonly clock: Clock
  readonly fingerprint: (publication: Publication) => string
  readonly timer: (delayMs: number, callback: () => void) => () => void
  /** Puts something of the caller's around the store. */
  readonly wrap?: ((store: KeptStore) => KeptStore) | undefined
}

/** Durable topics with all that belongs to them. Where none is configured, nothing is opened. */
export class KeptMessages {
  readonly rules: TopicRules
  readonly keeper: Keeper
  readonly receivers: Receivers
  readonly #parts: KeptMessagesParts
  readonly #ledger: KeptLedger
  #log: KeptBatches | undefined
  #expiry: NodeJS.Timeout | undefined
  #onTrouble: (() => void) | undefined

  private constructor(config: Config, store: KeptStore, parts: KeptMessagesParts) {
    const { logger, clock } = parts
    this.#parts = parts
    this.rules = new TopicRules(config.topics)
    this.#ledger = new KeptLedger({
      store,
      bounds: config.kept,
      monotonicMs: clock.monotonicMs,
      timer: parts.timer,
      defer: setImmediate,
      onWriting: rows => this.#log?.prepare(rows),
      onKept: kept => this.keeper.take(kept),
      onTrouble: trouble => this.#tell(trouble),
    })
    this.receivers = new Receivers(config, {
      rules: this.rules,
      ledger: this.#ledger,
      defer: setImmediate,
      onRemoved: (topic, bytes) => this.keeper.room.remove(topic, 1, bytes),
      onDead: ({ topic, id, payload }, deliveries, reason) => {
        this.keeper.room.bury(topic, payload.length)
        logger.limited('message-dead', { topic, id, deliveries, reason })
      },
      onExpired: (topic, messages) =>
        logger.limited('messages-expired', { topic, messages, setting: 'keptAgeS' }),
    })
    this.keeper = new Keeper({
      rules: this.rules,
      ledger: this.#ledger,
      log: () => this.#log ?? { logKept: () => [] },
      audience: this.receivers,
      nowMs: clock.nowMs,
      timer: parts.timer,
      fingerprint: parts.fingerprint,
      onDropped: (topic, { code, bound }) => logger.limited('not-kept', { topic, code, ...bound }),
    })
  }

  /** @throws Error where a package is missing. */
  static async make(config: Config, parts: KeptMessagesParts): Promise<KeptMessages> {
    const isUsed = new TopicRules(config.topics).hasDurable
    const store = isUsed ? await openStore(config) : new MemoryStore()
    return new KeptMessages(config, parts.wrap?.(store) ?? store, parts)
  }

  get status() {
    return {
      receivers: this.receivers.count,
      keptMessages: this.keeper.room.messages,
      keptBytes: this.keeper.room.bytes,
    }
  }

  /** What waits for the store. */
  get waitingBytes(): number {
    return this.#ledger.waitingBytes
  }

  get counters() {
    return { ...this.keeper.counters, ...this.receivers.counters, ...this.#ledger.counters }
  }

  /**
   * Opens the store, and puts into the log what it does not have of it. Resolves when that is done, or when the store
   * could not be reached at once: it is then tried again, and nothing else waits for it.
   *
   * @param keptThrough kept messages up to this number are in the log, as the journal knows.
   */
  async start(log: KeptBatchLog, keptThrough: number): Promise<void> {
    this.#log = new KeptBatches(log)
    if (!this.rules.hasDurable) return
    await new Promise<void>(resolve => {
      this.#onTrouble = () => resolve()
      this.#ledger.open(state => this.#open(state, keptThrough, resolve))
    })
    this.#onTrouble = undefined
    this.#expiry = setInterval(
      () => this.receivers.expire(this.keeper.room.topics, this.#parts.clock.nowMs()),
      expiryMs,
    )
  }

  /** Ends the receivers, writes what waits and closes the store. */
  async stop(): Promise<void> {
    clearInterval(this.#expiry)
    this.receivers.close()
    await this.#ledger.close()
  }

  #open(state: KeptState, keptThrough: number, onReady: () => void): void {
    this.keeper.open(state, keptThrough, () => {
      this.receivers.open(state.name, state.last)
      const { keptMessages, keptBytes } = this.status
      this.#parts.logger.info('kept-open', { store: state.name, keptMessages, keptBytes })
      onReady()
    })
  }

  #tell(trouble: LedgerTrouble): void {
    const { logger } = this.#parts
    if (trouble.kind === 'taken') logger.error('kept-store-taken', { setting: 'kept' })
    else {
      const { action, reason, retryMs } = trouble
      logger.limited('kept-store-failed', { action, reason, retryMs })
    }
    this.#onTrouble?.()
  }
}

/** What it needs takes megabytes, which a broker without durable topics does without. */
async function openStore(config: Config): Promise<KeptStore> {
  boundYoungObjects()
  const { makeKeptStore } = await import('./kept/open.ts')
  return makeKeptStore(config.kept, config.data)
}

/**
 * The space for young objects stays as it is at the start, 1 MiB: V8 would double it up to 16 MiB, three times, as soon
 * as thousands of messages a second are handed out, and give nothing back. Read by V8 whenever it would grow, so that
 * it holds however the process was started.
 */
function boundYoungObjects(): void {
  process.getBuiltinModule('node:v8').setFlagsFromString('--semi-space-growth-factor=1')
}

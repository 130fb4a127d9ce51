import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { Broker, type Clock, type Output } from './broker.ts'
import type { Config } from './config.ts'
import { Flow } from './flow.ts'
import { currentBoot } from './journal/boot.ts'
import { FileJournal } from './journal/file.ts'
import type { Journal } from './journal/journal.ts'
import { KeyTable } from './keys.ts'
import { Requests } from './listeners/requests.ts'
import { type Endpoints, ZeromqListener } from './listeners/zeromq.ts'
import { lockFolder } from './lock.ts'
import type { Logger } from './logger.ts'
import { type BrokerStatus, epochBytes, type Publication } from './protocol/index.ts'
import { Retained } from './retained.ts'

/** How often silent peers and old messages are looked for. */
const tickMs = 2000

/** The journal is cut into this many files, so that what is retired goes in steps. */
const filesPerTail = 4

/** A running broker. */
export interface BrokerService {
  readonly endpoints: Endpoints
  status(): BrokerStatus
  /** Takes over the settings that can change while running, and gives the names of those that differ and cannot. */
  reload(config: Config): string[]
  /** Receives what is under way, syncs the journal and closes. May be called twice. */
  stop(): Promise<void>
}

export interface ServiceParts {
  readonly logger: Logger
  /** Puts something of the caller's around the journal or the output. */
  readonly wrap?: {
    readonly journal?: (journal: Journal) => Journal
    readonly output?: (output: Output) => Output
  }
}

/** Wires the broker together and starts it. */
export async function startBroker(config: Config, { logger, wrap }: ServiceParts): Promise<BrokerService> {
  const unlock = lockFolder(config.data)
  const clock: Clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() }
  const keys = new KeyTable(config)
  const flow = new Flow(config)
  const retained = new Retained(config.history)
  const journal = new FileJournal({
    folder: join(config.data, 'journal'),
    fileBytes: config.tailBytes / filesPerTail,
    boot: currentBoot(),
    newEpoch: () => randomBytes(epochBytes).toString('hex'),
    currentKeys: () => keys.current(clock.nowMs()),
    onRotated: () => {},
  })
  const { recovery } = journal
  for (const batch of recovery.batches) for (const message of batch.messages) retained.add(message)
  const listener = new ZeromqListener({ ...config, logger })
  const broker = new Broker(
    config,
    {
      journal: wrap?.journal?.(journal) ?? journal,
      history: retained,
      keys,
      flow,
      output: wrap?.output?.(listener) ?? listener,
      clock,
      defer: setImmediate,
      fingerprint,
      onJournalFailure: error => logger.limited('journal-failed', { reason: String(error) }),
    },
    recovery,
  )
  const startedMs = clock.monotonicMs()
  const status = (): BrokerStatus => ({
    version: packageJson.version,
    epoch: broker.position.epoch,
    last: broker.position.offset,
    uptimeMs: Math.round(clock.monotonicMs() - startedMs),
    peers: flow.peers,
    topics: retained.size.topics,
    historyMessages: retained.size.messages,
    historyBytes: retained.size.bytes,
    tailBytes: broker.tailBytes,
    withheldReceipts: flow.withheld,
    counters: { ...broker.counters, ...listener.counters },
  })
  const requests = new Requests({
    broker,
    flow,
    session: randomBytes(8).toString('hex'),
    monotonicMs: clock.monotonicMs,
    stream: () => listener.streamAddresses,
    status,
    onMalformed: error => listener.malformed('requests', error),
  })
  const endpoints = await listener.start(broker, requests)
  const tick = setInterval(() => {
    flow.expire(clock.monotonicMs())
    retained.expire(clock.nowMs())
  }, tickMs)
  return {
    endpoints,
    status,
    reload: () => [],
    async stop() {
      clearInterval(tick)
      await listener.stop()
      journal.close()
      unlock()
    },
  }
}

/** 128 bits of SHA-256 over everything that a repeat must repeat. */
function fingerprint({ topic, type, binary, payload }: Publication): string {
  const hash = createHash('sha256')
  hash.update(`${topic}\0${type}\0${binary}\0`)
  hash.update(payload)
  return hash.digest().subarray(0, 16).toString('base64url')
}

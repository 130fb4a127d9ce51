import { join } from 'node:path'
import packageJson from '../package.json' with { type: 'json' }
import { Audience } from './audience.ts'
import { RuledAuthority } from './auth/ruled-authority.ts'
import { Broker, type Clock, type Output } from './broker.ts'
import type { Config } from './config.ts'
import { Curve, curveCounters } from './curve.ts'
import { Delivery } from './delivery.ts'
import { Flow } from './flow.ts'
import { Historian, type Trouble } from './history/historian.ts'
import { openArchive } from './history/open.ts'
import { currentBoot } from './journal/boot.ts'
import { FileJournal } from './journal/file.ts'
import type { Journal } from './journal/journal.ts'
import type { KeptStore } from './kept/store.ts'
import { KeptMessages } from './kept-messages.ts'
import { KeyTable } from './keys.ts'
import type { Endpoint } from './listeners/dsn.ts'
import { Requests } from './listeners/requests.ts'
import { type Endpoints, ZeromqListener } from './listeners/zeromq.ts'
import { lockFolder } from './lock.ts'
import type { Logger } from './logger.ts'
import type { BrokerFigures } from './metrics/broker-readings.ts'
import type { MetricsDoor } from './metrics/door.ts'
import { type BrokerStatus, epochBytes, isSystemTopic, type Publication } from './protocol/index.ts'
import { Rates } from './rates.ts'
import { RemoteReceivers } from './remote-receivers.ts'
import { needRestart } from './restart.ts'
import { Retained } from './retained.ts'
import type { TcpDoor, TcpDoorParts } from './tcp-door.ts'
import { pageOfTopics } from './topic-list.ts'

/** Tells one process of the broker from the next. */
const sessionBytes = 8

/** How often silent peers and old messages are looked for. */
const tickMs = 2000

/** How much of the journal may wait for an archive that does not take it, in tails. */
const maxJournalTails = 4

/**
 * The journal is cut into files, so that what is retired goes in steps. In smaller ones their creating, sealing and
 * removing was a tenth of the broker's work at full speed.
 */
const filesPerTail = 2

/** A file is read at once at the next start. */
const maxJournalFileBytes = 256 * 1024 * 1024

/** A running broker. */
export interface BrokerService {
  readonly endpoints: Endpoints & { readonly tcp?: readonly Endpoint[] }
  /** Where Prometheus finds its figures. */
  readonly metrics: string | undefined
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
    readonly store?: (store: KeptStore) => KeptStore
  }
}

/** Wires the broker together and starts it. */
export async function startBroker(config: Config, { logger, wrap }: ServiceParts): Promise<BrokerService> {
  const unlock = lockFolder(config.data)
  try {
    return await start(config, { logger, ...(wrap && { wrap }) }, unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

async function start(
  config: Config,
  { logger, wrap }: ServiceParts,
  unlock: () => void,
): Promise<BrokerService> {
  const clock: Clock = { nowMs: () => Date.now(), monotonicMs }
  const keys = new KeyTable(config)
  const flow = new Flow(config)
  const audience = new Audience()
  const rates = new Rates()
  const retained = new Retained(config.history)
  const archive = await openArchive(config.history.store, join(config.data, 'history'))
  const historian =
    archive &&
    new Historian({
      archive,
      retained,
      timer: startTimer,
      onSealed: () => retireJournal(),
      onTrouble: trouble => tell(logger, trouble),
    })
  const archivedThrough = (await historian?.load()) ?? 0
  const journal = new FileJournal({
    folder: join(config.data, 'journal'),
    fileBytes: Math.min(config.tailBytes / filesPerTail, maxJournalFileBytes),
    boot: currentBoot(),
    newEpoch: () => randomHex(epochBytes),
    after: archivedThrough,
    currentKeys: () => keys.current(clock.nowMs()),
    onRotated: last => {
      historian?.seal(last)
      retireJournal()
    },
  })
  const { recovery } = journal
  logger.info('recovered', { epoch: recovery.epoch, last: recovery.last, newEpoch: recovery.broken })
  const journaledAfter = recovery.batches[0] ? recovery.batches[0].first - 1 : recovery.last
  if (journaledAfter > archivedThrough) retained.forgetThrough(journaledAfter)
  for (const batch of recovery.batches) retained.addBatch(batch)
  const curve = config.curveKeys === '' ? undefined : new Curve(config, logger)
  const listener = new ZeromqListener({ ...config, logger, flow, curve: curve?.door })
  const delivery = new Delivery(config, listener)
  const kept = await KeptMessages.make(config, {
    logger,
    clock,
    fingerprint,
    timer: startTimer,
    wrap: wrap?.store,
  })
  const authority = new RuledAuthority(config, {
    logger,
    monotonicMs,
    nowMs: clock.nowMs,
    sessionFile: join(config.data, 'session.key'),
  })
  await authority.start()
  const door = await makeTcpDoor(config, {
    logger,
    authority,
    durableOf: topic => (isSystemTopic(topic) || kept.rules.durable(topic) ? kept.receivers : undefined),
    limitOf: topic => kept.rules.of(topic)?.receivers ?? 0,
  })
  const output: Output = {
    stream(batch) {
      listener.stream(batch)
      door?.stream(batch)
    },
    plain: payload => listener.plain(payload),
  }
  const broker = new Broker(
    config,
    {
      journal: wrap?.journal?.(journal) ?? journal,
      history: retained,
      keys,
      flow,
      delivery,
      keeper: kept.keeper,
      rules: kept.rules,
      output: wrap?.output?.(output) ?? output,
      clock,
      defer: setImmediate,
      fingerprint,
      onJournalFailure: error => logger.limited('journal-failed', { reason: String(error) }),
    },
    recovery,
  )

  /** A file of the journal is needed until the tail has left it and its history is in the archive. */
  const retireJournal = () => {
    const sealed = historian?.sealedThrough ?? Number.POSITIVE_INFINITY
    const isOverfull = journal.byteLength > maxJournalTails * config.tailBytes
    // An archive that hangs must not fill the disk with journals: its history has a gap after a restart instead.
    if (isOverfull && sealed < broker.tailFloor)
      logger.limited('journal-overfull', { bytes: journal.byteLength })
    journal.retire(isOverfull ? broker.tailFloor : Math.min(sealed, broker.tailFloor))
  }
  await kept.start(broker, recovery.keptThrough)
  // What a past epoch has left in the journal is only history now.
  historian?.seal(broker.tailFloor)

  const startedMs = clock.monotonicMs()
  const counts = () => ({ published: broker.counters.published, delivered: audience.delivered })
  rates.look(counts(), startedMs)
  const status = (): BrokerStatus => ({
    version: packageJson.version,
    epoch: broker.position.epoch,
    last: broker.position.offset,
    uptimeMs: Math.round(clock.monotonicMs() - startedMs),
    residentBytes: process.memoryUsage.rss(),
    peers: flow.peers,
    subscribers: audience.subscribers,
    delivered: audience.delivered,
    tcpConnections: door?.connections ?? 0,
    ...rates.perSecond(counts(), clock.monotonicMs()),
    topics: retained.size.topics,
    historyMessages: retained.size.messages,
    historyBytes: retained.size.bytes,
    tailBytes: broker.tailBytes,
    withheldReceipts: flow.withheld,
    pullers: delivery.pullers,
    pushMessages: delivery.holdings.waiting.messages,
    pushBytes: delivery.holdings.waiting.bytes,
    unflushedMessages: delivery.holdings.unflushed.messages,
    unflushedBytes: delivery.holdings.unflushed.bytes,
    ...kept.status,
    counters: {
      ...broker.counters,
      ...delivery.counters,
      ...kept.counters,
      keysForgottenEarly: keys.forgottenEarly,
      ...listener.counters,
      ...curveCounters(curve),
      archiveFailures: historian?.failures ?? 0,
      ...authority.counters,
      ...(door?.counters ?? { tcpRefused: 0, loginsRefused: 0, receiverLost: 0 }),
    },
  })
  const remoteReceivers = new RemoteReceivers({
    receivers: kept.receivers,
    output: listener,
    bounds: () => delivery.bounds,
    defer: queueMicrotask,
  })
  const requests = new Requests({
    broker,
    flow,
    audience,
    delivery,
    remoteReceivers,
    session: randomHex(sessionBytes),
    monotonicMs: clock.monotonicMs,
    stream: serverKey => listener.streamAddresses(serverKey),
    status,
    topics: after => pageOfTopics({ history: retained.topics(), kept: kept.keeper.room.sizes }, after),
    authority,
    onMalformed: error => listener.malformed('requests', error),
  })
  const bound = await listener.start(broker, requests, () => {
    delivery.probe()
    remoteReceivers.probe()
  })
  const tcp = config.tcp && door && (await door.start(config.tcp, broker))
  const endpoints = { ...bound, ...(tcp && { tcp: [tcp] }) }
  const metrics = await makeMetricsDoor(config, () => ({
    status: status(),
    received: {
      ingest: listener.received,
      requests: requests.received,
      ...(door && { tcp: door.received }),
    },
    sent: { ...listener.sent, replay: requests.sent, ...(door && { tcp: door.sent }) },
    refusals: broker.refusals,
    lagBytes: flow.lagBytes,
    withheldBytes: broker.withheldBytes,
    idempotencyKeys: keys.size,
    storeWaitingBytes: kept.waitingBytes,
  }))
  await metrics?.start()
  let toldForgotten = 0
  const tick = setInterval(() => {
    flow.expire(clock.monotonicMs())
    audience.expire(clock.monotonicMs(), flow.bounds.peerTimeoutMs)
    rates.look(counts(), clock.monotonicMs())
    const unpulled = delivery.expire(clock.monotonicMs(), clock.nowMs())
    if (unpulled > 0) logger.warn('push-expired', { messages: unpulled, setting: 'pushAgeMs' })
    remoteReceivers.expire(clock.monotonicMs())
    retained.expire(clock.nowMs())
    if (keys.forgottenEarly > toldForgotten) {
      toldForgotten = keys.forgottenEarly
      // A repeat under one of them is published a second time: the promise of `idempotencyMs` is not kept.
      logger.warn('keys-forgotten-early', { keys: toldForgotten, setting: 'maxIdempotencyKeys' })
    }
  }, tickMs)

  let stopping: Promise<void> | undefined
  const stop = async () => {
    clearInterval(tick)
    await Promise.all([listener.stop(), door?.stop(), metrics?.stop()])
    await authority.close()
    await kept.stop()
    journal.close()
    await historian?.close()
    unlock()
  }
  return {
    endpoints,
    metrics: metrics?.url,
    status,
    reload(next) {
      const changedKeys = curve?.reload(next) ?? []
      keys.bounds = next
      flow.bounds = next
      delivery.bounds = next
      kept.receivers.bounds = next
      retained.bounds = next.history
      authority.reload(next)
      door?.reload(next)
      broker.limits = { ...broker.limits, maxWithheldBytes: next.maxWithheldBytes }
      return [...needRestart(config, next), ...changedKeys]
    },
    stop() {
      stopping ??= stop()
      return stopping
    },
  }
}

function startTimer(delayMs: number, callback: () => void): () => void {
  const timer = setTimeout(callback, delayMs)
  return () => clearTimeout(timer)
}

function tell(logger: Logger, trouble: Trouble): void {
  const { kind, ...rest } = trouble
  const fields = Object.entries(rest).map(([name, value]) => [
    name,
    typeof value === 'number' ? value : String(value),
  ])
  logger.warn(`history-${kind}`, Object.fromEntries(fields))
}

/** What it needs takes megabytes, which a broker without that door does without. */
async function makeTcpDoor(config: Config, parts: TcpDoorParts): Promise<TcpDoor | undefined> {
  if (!config.tcp) return undefined
  const { TcpDoor } = await import('./tcp-door.ts')
  return TcpDoor.make(config, parts)
}

/** It brings an HTTP server and more, which a broker that nobody asks for figures does without. */
async function makeMetricsDoor(
  { metrics }: Config,
  figures: () => BrokerFigures,
): Promise<MetricsDoor | undefined> {
  if (!metrics) return undefined
  const { MetricsDoor } = await import('./metrics/door.ts')
  return new MetricsDoor(metrics, figures)
}

/** Milliseconds of a clock that is never set back. `performance` would take another megabyte. */
function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return 1000 * seconds + nanoseconds / 1e6
}

/** A name that is not given twice. Nobody gains by guessing it, so that no secret has to go into it. */
function randomHex(bytes: number): string {
  let hex = ''
  while (hex.length < 2 * bytes)
    hex += Math.floor(256 * Math.random())
      .toString(16)
      .padStart(2, '0')
  return hex
}

/** 128 bits of SHA-256 over everything that a repeat must repeat. */
function fingerprint({ topic, type, binary, payload }: Publication): string {
  // Not imported: it takes 3 MB, which a broker that nobody sends a key to never needs.
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256')
  hash.update(`${topic}\0${type}\0${binary}\0`)
  hash.update(payload)
  return hash.digest().subarray(0, 16).toString('base64url')
}

import type { Config } from './config.ts'
import { maxBatchBytes } from './protocol/index.ts'
import { TopicRules } from './topic-rules.ts'

/** What a queue or store of the broker takes when it is full. */
export interface WorstCase {
  readonly name: string
  /** Bytes when it is full; with `per`, of each of those. */
  readonly bytes: number
  /** What bounds it. Several settings are split by a comma. */
  readonly setting: string
  /** What fills it, in one sentence. */
  readonly why: string
  readonly place: 'memory' | 'disk'
  /**
   * There may be any number of these, each of which takes so much, and mostly only while it misbehaves: they are in no
   * sum.
   */
  readonly per?: string
}

/** Resident, with the history and the tail empty: Node, the addon and the bundle. Measured at the start: 56 to 58 MiB. */
const programBytes = 58 * 1024 * 1024

/** Name, topic and key at their longest. Measured with 20,000 of them: 1,694; with short ones 315. */
const longestKeyBytes = 1700

/** What is kept in memory of a durable topic to be handed out: a page that is read, and one that comes live. */
const keptPageBytes = 2 * 256 * 1024

/** What is kept of durable topics that nobody receives. */
const unattendedBytes = 8 * 1024 * 1024

/** The thread of SQLite: its heap may grow so far, and Node needs some for itself. */
const sqliteThreadBytes = (64 + 4 + 12) * 1024 * 1024

/** The thread that checks passwords. */
const passwordThreadBytes = 20 * 1024 * 1024

/** Messages of libzmq's queues that are fixed: what comes from each peer, and the replies that wait for it. */
const receivedMessages = 16
const replyMessages = 256
const replyBytes = 256 * 1024

/** A connection of the TCP door: its objects, and what it may have under way beside a document. */
const tcpConnectionBytes = 16 * 1024 + 256 * 1024
const tcpLabelBytes = 4096

/** How much of the journal may wait for the history's store, in tails. */
const journalTails = 4

/** The history's segments may grow so far over twice what is kept before they are tidied, and one is written twice. */
const segmentSlackBytes = 17 * 1024 * 1024

/** What each bound of a configuration can take at its worst: what cannot happen with it is left out. */
export function worstCases(config: Config): WorstCase[] {
  return [...memoryOfAll(config), ...memoryOfDurable(config), ...memoryOfPeers(config), ...diskOf(config)]
}

/** All that can be full at once, without what there may be any number of. */
export function sumOf(cases: readonly WorstCase[], place: WorstCase['place']): number {
  return cases
    .filter(one => one.place === place && one.per === undefined)
    .reduce((sum, { bytes }) => sum + bytes, 0)
}

function memoryOfAll(config: Config): WorstCase[] {
  const { tailBytes, history, maxIdempotencyKeys, maxWithheldBytes, maxPushBytes, tcp } = config
  const place = 'memory'
  return [
    {
      name: 'The program',
      bytes: programBytes + (tcp ? passwordThreadBytes : 0),
      setting: tcp ? 'tcp' : '',
      why: tcp ? 'Node, its addon, and a thread that checks passwords.' : 'Node and its addon.',
      place,
    },
    {
      name: 'The tail',
      bytes: largestOf(tailBytes, maxBatch(config)),
      setting: 'tailBytes',
      why: 'The newest part of the log; what keeping each batch costs counts.',
      place,
    },
    {
      name: 'The history',
      bytes: history.totalBytes,
      setting: 'history.totalBytes',
      why: 'The past of all topics; what keeping each message costs counts.',
      place,
    },
    {
      name: 'Idempotency keys',
      bytes: maxIdempotencyKeys * longestKeyBytes,
      setting: 'maxIdempotencyKeys',
      why: 'As many as are remembered, each as long as one may be. Usual ones take a fifth.',
      place,
    },
    {
      name: 'Withheld receipts',
      bytes: maxWithheldBytes,
      setting: 'maxWithheldBytes',
      why: 'Publishers wait because the functions cannot follow.',
      place,
    },
    {
      name: 'Push topics',
      bytes: maxPushBytes,
      setting: 'maxPushBytes',
      why: 'Messages wait for pullers, or are with pullers that have not flushed them.',
      place,
    },
  ]
}

function memoryOfDurable(config: Config): WorstCase[] {
  if (!new TopicRules(config.topics).hasDurable) return []
  const { kept, maxReceiverBacklogBytes } = config
  const place = 'memory'
  const store: WorstCase[] =
    kept.connector === 'node-sqlite'
      ? [
          {
            name: 'The store of kept messages',
            bytes: sqliteThreadBytes,
            setting: 'kept.connector',
            why: 'SQLite runs on a thread with a heap of its own.',
            place,
          },
        ]
      : []
  return [
    ...store,
    {
      name: 'Messages on their way to the store',
      bytes: kept.maxWaitingBytes,
      setting: 'kept.maxWaitingBytes',
      why: 'The store is away or slow, and publishers of durable topics go on.',
      place,
    },
    {
      name: 'Durable topics without receivers',
      bytes: unattendedBytes,
      setting: '',
      why: 'What was read for receivers that have left stays for those that come again soon.',
      place,
    },
    {
      name: 'A durable topic with receivers',
      bytes: keptPageBytes,
      setting: '',
      why: 'What comes next is read from the store in pages.',
      place,
      per: 'durable topic',
    },
    {
      name: 'A receiver',
      bytes: maxReceiverBacklogBytes + largestOf(config.pullWindowBytes, config.maxPayloadBytes),
      setting: 'maxReceiverBacklogBytes, pullWindowBytes',
      why: 'It is slower than the others of its topic, and about to be let go.',
      place,
      per: 'receiver',
    },
  ]
}

/** What a peer takes that stands still, until its heartbeats are missed. */
function memoryOfPeers(config: Config): WorstCase[] {
  const { streamHighWaterMark, plainHighWaterMark, maxPayloadBytes, maxReceiverBytes, tcp } = config
  const place = 'memory'
  const cases: WorstCase[] = [
    {
      name: 'The stream',
      bytes: streamHighWaterMark * maxBatch(config),
      setting: 'streamHighWaterMark, maxPayloadBytes',
      why: 'A functions process stands still, and all messages are as large as they may be.',
      place,
      per: 'functions process that stands still',
    },
    {
      name: 'Replies',
      bytes: replyMessages * largestOf(replyBytes, maxBatch(config)),
      setting: 'maxPayloadBytes',
      why: 'A functions process asks for the past and reads nothing.',
      place,
      per: 'functions process that stands still',
    },
    {
      name: 'The plain socket',
      bytes: plainHighWaterMark * maxPayloadBytes,
      setting: 'plainHighWaterMark, maxPayloadBytes',
      why: 'A subscriber of it stands still, and all messages are as large as they may be.',
      place,
      per: 'subscriber that stands still',
    },
    {
      name: 'What has arrived',
      bytes: receivedMessages * 2 * (maxPayloadBytes + maxBatchBytes),
      setting: 'maxPayloadBytes',
      why: 'A publisher is faster than the broker.',
      place,
      per: 'publisher',
    },
  ]
  if (!tcp) return cases
  const document = maxPayloadBytes + tcpLabelBytes
  return [
    ...cases,
    {
      name: 'The TCP door',
      // A document grows in a buffer that doubles.
      bytes: tcpConnectionBytes + 2 * document + maxReceiverBytes,
      setting: 'maxTcpConnections, maxPayloadBytes, maxReceiverBytes',
      why: `Each of up to ${config.maxTcpConnections} connections sends a document that is not whole, and reads nothing.`,
      place,
      per: 'connection',
    },
  ]
}

function diskOf(config: Config): WorstCase[] {
  const place = 'disk'
  const cases: WorstCase[] = [
    {
      name: 'The journal',
      bytes: journalTails * config.tailBytes + largestOf(config.tailBytes / 2, maxBatch(config)),
      setting: 'tailBytes',
      why: 'The store of the history does not answer; otherwise it is half as much.',
      place,
    },
  ]
  if (config.history.store.driver !== 'off')
    cases.push({
      name: 'The history',
      bytes: 2 * config.history.totalBytes + segmentSlackBytes,
      setting: 'history.totalBytes',
      why: 'Segments of which most has gone are about to be tidied.',
      place,
    })
  for (const [pattern, { durable, maxKeptBytes }] of Object.entries(config.topics)) {
    if (!durable) continue
    cases.push({
      name: `Kept messages of ${pattern}`,
      bytes: maxKeptBytes,
      setting: `topics.${pattern}.maxKeptBytes`,
      why: 'Nobody receives them. A row takes some more than its payload.',
      place,
      ...(pattern.includes('*') && { per: `topic of ${pattern}` }),
    })
  }
  return cases
}

/** A batch holds so much, or one larger message. */
function maxBatch({ maxPayloadBytes }: Config): number {
  return largestOf(maxBatchBytes, maxPayloadBytes + 1024)
}

function largestOf(...bytes: readonly number[]): number {
  return Math.max(...bytes)
}

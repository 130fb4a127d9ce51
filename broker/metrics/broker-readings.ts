import type { BrokerStatus, Refusals } from '../protocol/index.ts'
import type { Traffic } from '../traffic.ts'
import { counter, gauge, labelled, type Reading } from './reading.ts'

/** What a broker knows of itself at one moment. */
export interface BrokerFigures {
  readonly status: BrokerStatus
  /** By the socket that it came or went through. */
  readonly received: Readonly<Record<string, Traffic>>
  readonly sent: Readonly<Record<string, Traffic>>
  /** What was answered with an error. */
  readonly refusals: Pick<Refusals, 'counts' | 'limits'>
  /** How far the fastest functions process is behind. */
  readonly lagBytes: number
  readonly withheldBytes: number
  readonly idempotencyKeys: number
  /** What waits for the store of kept messages. */
  readonly storeWaitingBytes: number
}

/** The limits that clients run into, so that the first time shows as a step and not as a beginning. */
const unhit = Object.fromEntries(
  [
    'kept.maxWaitingBytes',
    'maxKept',
    'maxKeptBytes',
    'maxLoginFailures',
    'maxPayloadBytes',
    'maxPushBytes',
    'maxTcpAddressConnections',
    'maxTcpChannels',
    'maxTcpConnections',
    'maxTcpUserConnections',
    'maxUnpulledBytes',
    'maxWithheldBytes',
    'tcpPublishedBytesPerS',
    'tcpPublishesPerS',
  ].map(setting => [setting, 0]),
)

/** What each counter of a status counts. */
export const counterHelp: Readonly<Record<string, string>> = {
  published: 'Messages that have come into the log.',
  repeated: 'Messages that were there already, under the same idempotency key.',
  replays: 'Pages of the past that were read.',
  gaps: 'Replays that could not reach back as far as they were asked to.',
  flushed: 'Pushed messages that have left for their puller.',
  returned: 'Pushed messages that came back from a puller that has left.',
  pushExpired: 'Pushed messages that nobody has pulled in time.',
  kept: 'Messages of durable topics that were kept.',
  keptDropped: 'Messages of durable topics that were not kept, and whose publishers expected no receipt.',
  acknowledged: 'Messages that receivers have acknowledged.',
  givenBack: 'Messages that came back from receivers.',
  dead: 'Messages that no receiver could take.',
  expired: 'Messages of durable topics that became too old.',
  keptTransactions: 'Commits of the store of kept messages.',
  keptFailures: 'Failures of the store of kept messages.',
  keysForgottenEarly: 'Idempotency keys that went before their time because there were too many.',
  malformed: 'What has come and could not be understood, or was refused without a receipt.',
  undeliverable: 'Replies and batches that could not be sent.',
  archiveFailures: 'Failures of the store of the history.',
  curveRefusedIngest: 'Connections to the ingest socket that had no key that is let in.',
  curveRefusedPlain: 'The same at the plain socket.',
  curveRefusedRequests: 'The same at the requests socket.',
  curveRefusedStream: 'The same at the stream.',
  unauthorized: 'Clients of functions that were not let in by their password or token.',
  tcpRefused: 'Commands that were refused at the TCP door.',
  loginsRefused: 'Connections that were refused there because nobody had logged in.',
  receiverLost: 'Messages of topics that are not durable that a receiver there has lost.',
}

/** The figures of a broker. */
export function brokerReadings(figures: BrokerFigures): Reading[] {
  return [...trafficReadings(figures), ...stateReadings(figures), ...queueReadings(figures)]
}

function trafficReadings({ status, received, sent, refusals }: BrokerFigures): Reading[] {
  const counters = Object.entries(status.counters).flatMap(([name, value]) => {
    const help = counterHelp[name]
    return help === undefined ? [] : [counter(`postern_broker_${snakeOf(name)}_total`, help, value)]
  })
  return [
    counter(
      'postern_broker_received_messages_total',
      'Messages that have come, by door.',
      part(received, 'messages'),
    ),
    counter(
      'postern_broker_received_bytes_total',
      'Bytes of these as they travel, by door.',
      part(received, 'bytes'),
    ),
    counter(
      'postern_broker_sent_messages_total',
      'Messages that have gone, by door.',
      part(sent, 'messages'),
    ),
    counter(
      'postern_broker_sent_bytes_total',
      'Bytes of these as they travel, by door.',
      part(sent, 'bytes'),
    ),
    counter(
      'postern_broker_refused_total',
      'Errors that were answered, by code.',
      labelled('code', refusals.counts),
    ),
    counter(
      'postern_broker_limited_total',
      'The same by the limit that was the reason.',
      labelled('limit', { ...unhit, ...refusals.limits }),
    ),
    counter(
      'postern_broker_delivered_messages_total',
      'Messages that functions have handed to subscribers.',
      status.delivered,
    ),
    ...counters,
  ]
}

function stateReadings({ status }: BrokerFigures): Reading[] {
  const { peers, tcpConnections, subscribers, pullers, receivers } = status
  const connections = {
    functions: peers,
    tcp: tcpConnections,
    subscriber: subscribers,
    puller: pullers,
    receiver: receivers,
  }
  return [
    gauge(
      'postern_broker_connections',
      'Who is connected, directly or through functions, by kind.',
      labelled('kind', connections),
    ),
    gauge('postern_broker_log_offset', 'The number of the newest message.', status.last),
    gauge('postern_broker_topics', 'Topics of which the history keeps something.', status.topics),
    gauge('postern_broker_tail_bytes', 'The newest part of the log, in memory.', status.tailBytes),
    gauge('postern_broker_history_messages', 'Messages in the history.', status.historyMessages),
    gauge('postern_broker_history_bytes', 'What they take in memory.', status.historyBytes),
    gauge(
      'postern_broker_kept_messages',
      'Messages that are kept until they are received.',
      status.keptMessages,
    ),
    gauge('postern_broker_kept_bytes', 'Bytes of their payloads.', status.keptBytes),
  ]
}

function queueReadings(figures: BrokerFigures): Reading[] {
  const { status, lagBytes, withheldBytes, idempotencyKeys, storeWaitingBytes } = figures
  const messages = {
    push: status.pushMessages,
    unflushed: status.unflushedMessages,
    receipts: status.withheldReceipts,
  }
  const bytes = {
    push: status.pushBytes,
    unflushed: status.unflushedBytes,
    receipts: withheldBytes,
    store: storeWaitingBytes,
  }
  return [
    gauge('postern_broker_lag_bytes', 'How far the fastest functions process is behind the log.', lagBytes),
    gauge(
      'postern_broker_queue_messages',
      'What waits, by queue; for receipts, the requests that do.',
      labelled('queue', messages),
    ),
    gauge('postern_broker_queue_bytes', 'Bytes that wait, by queue.', labelled('queue', bytes)),
    gauge('postern_broker_idempotency_keys', 'Idempotency keys that are remembered.', idempotencyKeys),
  ]
}

function part(doors: Readonly<Record<string, Traffic>>, name: keyof Traffic) {
  return labelled(
    'door',
    Object.fromEntries(Object.entries(doors).map(([door, traffic]) => [door, traffic[name]])),
  )
}

function snakeOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
}

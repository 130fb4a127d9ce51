import type { BrokerStatus } from '../protocol/index.ts'
import { brokerArgument } from './broker-address.ts'
import { defineCommand } from './command.ts'
import { withBroker } from './connection.ts'
import { counted, inBytes, inRate, inTime } from './quantity.ts'

/** Counters that are no trouble, or are told elsewhere. */
const untroubled = new Set(['published', 'replays', 'flushed', 'kept', 'acknowledged', 'keptTransactions'])

export const command = defineCommand({
  name: 'status',
  description: 'Shows how a running broker is doing',
  args: {
    json: { type: 'boolean', description: 'Everything that the broker tells, as JSON' },
    ...brokerArgument,
  },
  examples: ['broker status', 'broker status --json | jq .keptMessages'],
  async run({ json, broker }) {
    const { address, status } = await withBroker(broker, async ({ address, inquiries }) => ({
      address,
      status: await inquiries.status(),
    }))
    process.stdout.write(json ? `${JSON.stringify(status)}\n` : inWords(status, address))
  },
})

function inWords(status: BrokerStatus, address: string): string {
  const { counters } = status
  const lines: [string, string][] = [
    [
      'broker',
      `${status.version} at ${address}, up ${inTime(status.uptimeMs)}, ${inBytes(status.residentBytes)} in memory`,
    ],
    ['log', `at ${status.epoch}-${status.last}, the newest ${inBytes(status.tailBytes)} of it in memory`],
    [
      'connections',
      [
        counted(status.peers, 'process', 'processes'),
        counted(status.subscribers, 'subscriber'),
        counted(status.pullers, 'puller'),
        counted(status.receivers, 'receiver'),
        counted(status.tcpConnections, 'over TCP', 'over TCP'),
      ].join(', '),
    ],
    ['in', `${inRate(status.publishedPerS)}, ${counted(counters['published'] ?? 0, 'message')} so far`],
    ['out', `${inRate(status.deliveredPerS)}, ${counted(status.delivered, 'message')} so far`],
    [
      'history',
      `${counted(status.topics, 'topic')}, ${counted(status.historyMessages, 'message')}, ${inBytes(status.historyBytes)}`,
    ],
    ['kept', `${counted(status.keptMessages, 'message')}, ${inBytes(status.keptBytes)}`],
    [
      'pushed',
      `${counted(status.pushMessages, 'message')} waiting, ${inBytes(status.pushBytes)}; ${counted(status.unflushedMessages, 'message')} not flushed, ${inBytes(status.unflushedBytes)}`,
    ],
    ['withheld', counted(status.withheldReceipts, 'receipt')],
  ]
  const trouble = Object.entries(counters).filter(([name, count]) => count > 0 && !untroubled.has(name))
  if (trouble.length > 0)
    lines.push(['counted', trouble.map(([name, count]) => `${name} ${count}`).join(', ')])
  return lines.map(([name, text]) => `${name.padEnd(13)}${text}\n`).join('')
}

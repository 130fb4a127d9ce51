/**
 * Messages per second and latency from publisher to subscriber, each way beside a control that does the least that
 * could be called the same work. Figures are ratios of medians; runs are interleaved in shuffled order.
 */
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { httpLoad, zeromqLoad } from './load.ts'
import { type Run, type Summary, shuffle, summarise } from './measure.ts'
import { startServers, stopServers } from './servers.ts'

const rounds = 5
const httpMessages = 3000
const zeromqMessages = 20_000

interface Way {
  readonly name: string
  /** The way that it is compared with; none for a control. */
  readonly control?: string
  readonly run: () => Promise<Run>
}

const servers = await startServers()
const httpWays = [1, 16].flatMap((underWay): Way[] => {
  const control = `node:http alone, ${underWay} under way`
  return [
    { name: control, run: () => httpLoad(servers.http, httpMessages, underWay) },
    {
      name: `POST → log → SSE, ${underWay} under way`,
      control,
      run: () => httpLoad(servers.postern, httpMessages, underWay),
    },
  ]
})
const ways: readonly Way[] = [
  ...httpWays,
  { name: 'zeromq.js alone, PUSH → PUB', run: () => zeromqLoad(servers.zeromq, zeromqMessages) },
  {
    name: 'PUSH → log → PUB',
    control: 'zeromq.js alone, PUSH → PUB',
    run: () => zeromqLoad(servers.posternZeromq, zeromqMessages),
  },
]

const runs = new Map<string, Run[]>(ways.map(({ name }) => [name, []]))
try {
  for (const way of ways) await way.run()
  for (let round = 0; round < rounds; round++) {
    for (const way of shuffle(ways, Math.random)) runs.get(way.name)?.push(await way.run())
  }
} finally {
  await stopServers()
}

const summaries = new Map([...runs].map(([name, done]) => [name, summarise(done)]))
const rows = ways.map(({ name, control }) => {
  const summary = summaries.get(name)
  const base = control === undefined ? undefined : summaries.get(control)
  if (!summary) throw new Error(`${name} has not run`)
  return { name, ...summary, ratio: base && summary.messagesPerSecond / base.messagesPerSecond }
})
process.stdout.write(
  process.argv.includes('--json') ? `${JSON.stringify({ machine: machine(), rows }, null, 2)}\n` : table(),
)
process.exit(0)

function machine() {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
  return { processors: cpus().length, model: cpus()[0]?.model ?? '', node: process.version, commit }
}

function table(): string {
  const { processors, model, node, commit } = machine()
  const line = (cells: readonly string[]) =>
    `${cells.map((cell, i) => (i === 0 ? cell.padEnd(34) : cell.padStart(16))).join('')}\n`
  const figures = ({ messagesPerSecond, p50Ms, p99Ms, spread }: Summary) => [
    Math.round(messagesPerSecond).toLocaleString('en'),
    spread.map(figure => Math.round(figure / 1000)).join('–'),
    p50Ms.toFixed(2),
    p99Ms.toFixed(2),
  ]
  return [
    `${processors} × ${model}, Node ${node}, commit ${commit}; median of ${rounds} runs\n`,
    line(['100-byte messages', 'messages/s', 'spread, 1000/s', 'p50 ms', 'p99 ms', 'of control']),
    ...rows.map(row =>
      line([row.name, ...figures(row), row.ratio === undefined ? '' : row.ratio.toFixed(2)]),
    ),
  ].join('')
}

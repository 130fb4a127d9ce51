import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Bench, Group } from './bench.ts'
import { Compiler } from './compiler.ts'
import { drops } from './groups/drops.ts'
import { durable } from './groups/durable.ts'
import { fanOut } from './groups/fan-out.ts'
import { floodedReaders } from './groups/floods.ts'
import { growth } from './groups/growth.ts'
import { idle } from './groups/idle.ts'
import { memory } from './groups/memory.ts'
import { requests, stalled } from './groups/requests.ts'
import { workers } from './groups/workers.ts'
import { zeromq } from './groups/zeromq.ts'
import { Load } from './load.ts'
import { describeMachine, type Machine } from './machine.ts'
import { Stage } from './program.ts'
import { bundle, Postern, sources } from './systems/postern.ts'
import { formatTable, type Table } from './table.ts'

const groups: readonly Group[] = [
  fanOut,
  zeromq,
  memory,
  growth,
  requests,
  durable,
  stalled,
  floodedReaders,
  workers,
  drops,
  idle,
]

const help = `Usage: npm run bench -- [GROUP…] [--quick] [--full] [--bundle] [--rounds N] [--load node] [--json FILE]

Measures Postern beside controls on this machine: one table for each group, medians of five runs in shuffled order.
Without a group all are measured, in about ten minutes, without the rows and runs that take long; a named group is
measured in full.

Groups: ${groups.map(({ name }) => name).join(', ')}

  --quick      a smoke run: small counts, one round; its figures mean nothing
  --full       every row and run of every group
  --bundle     measures dist/, which npm run build has made, instead of the sources
  --rounds N   runs of each row (5)
  --load node  generates the load in Node even where there is a C compiler
  --json FILE  writes the results to a file too
`

interface Wanted {
  readonly groups: readonly Group[]
  readonly isQuick: boolean
  readonly isFull: boolean
  readonly isBundle: boolean
  readonly rounds: number
  readonly isLoadInNode: boolean
  readonly json: string | undefined
}

function readArguments(): Wanted | undefined {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      full: { type: 'boolean', default: false },
      bundle: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      load: { type: 'string' },
      json: { type: 'string' },
      help: { type: 'boolean' },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    return undefined
  }
  const named = positionals.map(name => {
    const group = groups.find(known => known.name === name)
    if (!group)
      throw new TypeError(`The group ${name} is not known: ${groups.map(known => known.name).join(', ')}.`)
    return group
  })
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
  if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError('--rounds is a whole number from 1.')
  if (values.load !== undefined && values.load !== 'node') throw new TypeError('--load is node, or left out.')
  return {
    groups: named.length > 0 ? named : groups,
    isQuick: values.quick,
    isFull: values.full || named.length > 0,
    isBundle: values.bundle,
    rounds,
    isLoadInNode: values.load === 'node',
    json: values.json,
  }
}

async function run(wanted: Wanted): Promise<boolean> {
  const shared = new Stage()
  try {
    const compiler = await Compiler.find(shared)
    const program = wanted.isLoadInNode ? undefined : await compiler.build('load')
    const load = program === undefined ? 'Node, on bare sockets' : `C (${compiler.name} -O2)`
    const machine = describeMachine()
    process.stdout.write(describe(machine, load, wanted))
    const bench: Bench = {
      scale: wanted,
      rounds: { count: wanted.rounds, warmUps: wanted.isQuick ? 0 : 1, random: Math.random, onProgress },
      compiler,
      startLoad: Load.starter(program),
      postern: new Postern(wanted.isBundle ? bundle : sources),
    }
    const tables: Table[] = []
    for (const group of wanted.groups) {
      const stage = new Stage()
      try {
        tables.push(await group.measure(bench, stage))
      } finally {
        await stage.close()
        onProgress('')
      }
      process.stdout.write(tables.slice(-1).map(formatTable).join(''))
    }
    if (wanted.json !== undefined)
      writeFileSync(
        wanted.json,
        `${JSON.stringify({ machine, load, rounds: wanted.rounds, groups: tables }, null, 2)}\n`,
      )
    return tables.every(({ rows }) => rows.every(({ isOwn, wrong }) => !isOwn || wrong === 0))
  } finally {
    await shared.close()
  }
}

function describe(machine: Machine, load: string, { rounds, isQuick, isBundle }: Wanted): string {
  const { processors, model, memoryBytes, kernel, node, commit, loadAverage } = machine
  return [
    `${processors} × ${model}, ${Math.round(memoryBytes / 2 ** 30)} GiB, Linux ${kernel}, Node ${node}, commit ${commit}`,
    `load average at start ${loadAverage.toFixed(2)}; load generator: ${load}; Postern from ${isBundle ? 'dist' : 'its sources'}`,
    isQuick ? 'a smoke run: the figures mean nothing' : `medians of ${rounds} runs, in shuffled order`,
    '',
  ].join('\n')
}

/** One line that is written over, on a terminal. */
function onProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

// Whoever interrupts wants nothing to stay behind: what is left to do is done at the exit.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))

try {
  const wanted = readArguments()
  if (wanted && !(await run(wanted))) {
    process.stderr.write('\nMessages were lost, doubled or out of order.\n')
    process.exitCode = 1
  }
} catch (error) {
  process.stderr.write(
    `${error instanceof TypeError ? error.message : error instanceof Error ? error.stack : error}\n`,
  )
  process.exitCode = 1
}

import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as v from 'valibot'
import { describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/processes.ts'

const program = fileURLToPath(new URL('../bench/main.ts', import.meta.url))

const figure = v.object({ median: v.number(), low: v.number(), high: v.number() })

const results = v.object({
  machine: v.object({ processors: v.number(), commit: v.string() }),
  load: v.string(),
  groups: v.array(
    v.object({
      group: v.string(),
      leftOut: v.array(v.string()),
      rows: v.array(
        v.object({
          name: v.string(),
          control: v.optional(v.string()),
          isOwn: v.boolean(),
          runs: v.number(),
          wrong: v.number(),
          figures: v.record(v.string(), figure),
        }),
      ),
    }),
  ),
})

async function bench(...args: string[]) {
  const file = join(await temporaryFolder(), 'results.json')
  // It fails when messages of ours were lost, doubled or out of order.
  const { stdout } = await promisify(execFile)(process.execPath, [
    program,
    '--quick',
    '--json',
    file,
    ...args,
  ])
  const { groups, ...rest } = v.parse(results, JSON.parse(await readFile(file, 'utf8')))
  const rowsOf = (name: string) => groups.find(({ group }) => group === name)?.rows ?? []
  return { stdout, groups, rowsOf, ...rest }
}

type Row = v.InferOutput<typeof results>['groups'][number]['rows'][number]

const median = ({ figures }: Row, name: string) => figures[name]?.median

describe('the benchmark', () => {
  it('puts every group beside a control, and every message arrives once, in order', async () => {
    const { stdout, groups, rowsOf, machine } = await bench()

    const names = groups.map(({ group }) => group)
    expect(names).toEqual([
      'fan-out',
      'zeromq',
      'memory',
      'growth',
      'requests',
      'durable',
      'stalled',
      'floods',
      'workers',
      'drops',
      'idle',
    ])
    expect(stdout).toContain(machine.commit)
    for (const { group, rows } of groups) {
      const own = rows.filter(({ isOwn }) => isOwn)
      expect(own.length, group).toBeGreaterThan(0)
      expect(rows.filter(({ control }) => control === undefined).length, group).toBeGreaterThan(0)
      for (const row of own) expect([row.name, row.runs, row.wrong]).toEqual([row.name, 1, 0])
    }
    for (const row of [...rowsOf('fan-out'), ...rowsOf('workers')].filter(({ isOwn }) => isOwn)) {
      const connections = Number.parseInt(row.name, 10)
      expect([row.name, median(row, 'connections')]).toEqual([row.name, connections])
      expect([row.name, median(row, 'deliveries')]).toEqual([row.name, 20 * connections])
    }
    for (const group of ['fan-out', 'memory', 'growth'])
      expect(rowsOf(group).map(({ name }) => name)).toContainEqual(
        expect.stringContaining('Postern, WebSocket'),
      )
    for (const row of rowsOf('requests')) expect([row.name, median(row, 'messages')]).toEqual([row.name, 20])
    for (const row of rowsOf('durable')) {
      const publishers = Number.parseInt(row.name, 10)
      expect([row.name, median(row, 'messages')]).toEqual([row.name, 2 * publishers])
    }
    for (const row of rowsOf('zeromq')) expect([row.name, median(row, 'messages')]).toEqual([row.name, 500])
    for (const row of rowsOf('drops')) expect([row.name, median(row, 'deliveries')]).toEqual([row.name, 4000])
    const [resumed] = rowsOf('growth').filter(({ name, isOwn }) => isOwn && name.includes('resume'))
    expect(resumed && median(resumed, 'deliveries')).toBe(20 * 100)
  }, 180_000)

  it('generates its load in Node where there is no C compiler, and checks as much', async () => {
    const { load, rowsOf } = await bench('--load', 'node', 'fan-out')

    expect(load).toContain('Node')
    for (const row of rowsOf('fan-out').filter(({ isOwn }) => isOwn)) {
      const connections = Number.parseInt(row.name, 10)
      expect([row.name, row.wrong, median(row, 'deliveries')]).toEqual([row.name, 0, 20 * connections])
    }
  }, 180_000)
})

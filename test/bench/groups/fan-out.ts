import type { Bench, Group } from '../bench.ts'
import { deliver, deliveryColumns, until } from '../delivery.ts'
import type { PublishPlan } from '../load.ts'
import type { Stage } from '../program.ts'
import { floorName, hasPackage, startControl, startFloor, startSocketIo } from '../systems/controls.ts'
import type { FanOut } from '../systems/fan-out.ts'
import { hasNchan, nchanInstaller, startNchan } from '../systems/nchan.ts'
import { toRows } from '../table.ts'
import { runTrials, type Way } from '../trial.ts'

/** How messages come. */
interface Pattern {
  readonly name: string
  readonly plan: PublishPlan
}

/** Fan-out by Server-Sent Events and WebSocket, beside the floor, Nchan, and two libraries of npm. */
export const fanOut: Group = {
  name: 'fan-out',
  async measure(bench, stage) {
    const leftOut: string[] = []
    const [few, many] = bench.scale.isQuick ? [20, 40] : [1000, 10_000]
    const isFull = bench.scale.isFull || bench.scale.isQuick
    const patterns = patternsOf(bench)
    const brief = patterns.filter(({ name }) => name === 'one at a time' || name === 'W = 16')
    const libraries = patterns.filter(({ name }) => name === '50/s' || name === 'W = 16')
    const programs = await startPrograms(bench, stage, leftOut)
    const packages = await startPackages(stage, leftOut)
    const startSocket = () =>
      bench.postern.start(stage, { protocol: 'websocket', name: 'Postern, WebSocket' })
    const ways = [
      ...(await waysOf(bench, stage, few, programs, patterns)),
      ...(await waysOf(bench, stage, few, [await startSocket()], patterns)),
      ...(await waysOf(bench, stage, few, packages, isFull ? patterns : libraries)),
      ...(await waysOf(bench, stage, many, await startPrograms(bench, stage, []), isFull ? patterns : brief)),
      ...(await waysOf(bench, stage, many, [await startSocket()], brief)),
      ...(isFull ? await waysOf(bench, stage, many, await startPackages(stage, []), patterns) : []),
    ]
    const rows = toRows(deliveryColumns, await runTrials(inOrder(ways, patterns), bench.rounds))
    return { group: this.name, title: '100 bytes to', columns: deliveryColumns, rows, leftOut }
  },
}

function patternsOf({ scale }: Bench): readonly Pattern[] {
  const bytes = 100
  return [
    { name: 'one at a time', plan: { bytes, takesTurns: true, ...until(scale, 0.7) } },
    { name: '50/s', plan: { bytes, rate: 50, underWay: 16, ...until(scale, 1.5) } },
    ...[1, 16, 64].map(underWay => ({
      name: `W = ${underWay}`,
      plan: { bytes, underWay, ...until(scale, 0.6) },
    })),
  ]
}

async function waysOf(
  bench: Bench,
  stage: Stage,
  connections: number,
  systems: readonly FanOut[],
  patterns: readonly Pattern[],
): Promise<Way[]> {
  const ways: Way[] = []
  for (const system of systems) {
    const load = await bench.startLoad(stage)
    await load.open(system, connections)
    for (const { name: pattern, plan } of patterns) {
      const nameOf = (name: string) => `${connections.toLocaleString('en')}, ${pattern}: ${name}`
      const control = bench.compiler.name === undefined ? undefined : floorName
      ways.push({
        name: nameOf(system.name),
        isOwn: system.name.startsWith('Postern'),
        ...(control !== undefined && system.name !== control && { control: nameOf(control) }),
        run: () => deliver(load, system, plan),
      })
    }
  }
  return ways
}

/** Rows that are compared stand together. */
function inOrder(ways: readonly Way[], patterns: readonly Pattern[]): Way[] {
  const placeOf = ({ name }: Way) => patterns.findIndex(pattern => name.includes(`, ${pattern.name}: `))
  const sizeOf = ({ name }: Way) => Number.parseInt(name.replaceAll(',', ''), 10)
  return ways.toSorted((a, b) => sizeOf(a) - sizeOf(b) || placeOf(a) - placeOf(b))
}

async function startPrograms(bench: Bench, stage: Stage, leftOut: string[]): Promise<FanOut[]> {
  const systems: FanOut[] = [await bench.postern.start(stage)]
  const floor = await bench.compiler.build('servers/floor.c')
  if (floor === undefined) leftOut.push('the floor: there is no C compiler')
  else systems.push(await startFloor(stage, floor))
  if (hasNchan()) systems.push(await startNchan(stage))
  else leftOut.push(`Nchan: not installed (on Debian, as root: ${nchanInstaller})`)
  return systems
}

async function startPackages(stage: Stage, leftOut: string[]): Promise<FanOut[]> {
  const systems: FanOut[] = []
  if (hasPackage('socket.io')) systems.push(await startSocketIo(stage))
  else leftOut.push('socket.io: not installed')
  if (hasPackage('better-sse')) systems.push(await startControl(stage, 'better-sse', 'better-sse'))
  else leftOut.push('better-sse: not installed')
  return systems
}

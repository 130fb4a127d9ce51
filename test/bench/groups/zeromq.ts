import { addClientKey } from '../../../broker/auth/curve-keys.ts'
import type { Bench, Group } from '../bench.ts'
import { processorSeconds } from '../meter.ts'
import { type Running, type Stage, startCommand, startNode } from '../program.ts'
import { nchanInstaller as installer } from '../systems/nchan.ts'
import { type Column, toRows } from '../table.ts'
import { type Run, runTrials, type Way } from '../trial.ts'

const columns: readonly Column[] = [
  { key: 'messagesPerSecond', title: 'messages/s', digits: 0, hasSpread: true, hasRatio: true },
  { key: 'publisherUs', title: 'publisher µs', digits: 2 },
  { key: 'middleUs', title: 'middle µs', digits: 2 },
  { key: 'subscriberUs', title: 'subscriber µs', digits: 2 },
  { key: 'p50Ms', title: 'p50 ms', digits: 1 },
  { key: 'p99Ms', title: 'p99 ms', digits: 1 },
]

/** From a publisher's process through another one to a subscriber's, over ZeroMQ. */
export const zeromq: Group = {
  name: 'zeromq',
  async measure(bench, stage) {
    const leftOut: string[] = []
    const paths = await startPaths(bench, stage, leftOut)
    const [control] = paths
    const ways = [100, 1024].flatMap(bytes =>
      paths.map((path): Way => {
        const nameOf = ({ name }: Path) => `${bytes.toLocaleString('en')} bytes: ${name}`
        return {
          name: nameOf(path),
          isOwn: path.isOwn,
          ...(control && path !== control && { control: nameOf(path.control ?? control) }),
          run: () => carry(path, bytes, bench.scale.isQuick ? 'count=500' : 'seconds=0.7'),
        }
      }),
    )
    const rows = toRows(columns, await runTrials(ways, bench.rounds))
    return { group: this.name, title: 'one publisher, one subscriber', columns, rows, leftOut }
  },
}

/** Three processes in a row. */
interface Path {
  readonly name: string
  readonly isOwn: boolean
  /** What it is compared with. Default: the first. */
  readonly control?: Path
  readonly publisher: Running
  readonly middlePid: number
  readonly subscriber: Running
}

/** The control first. */
async function startPaths(bench: Bench, stage: Stage, leftOut: string[]): Promise<Path[]> {
  const c = await buildInC(bench)
  const paths: Path[] = []
  if (c) {
    const proxy = await startCommand(stage, c.proxy, [])
    paths.push(
      await join({
        name: 'zmq_proxy, clients in C, a frame each',
        isOwn: false,
        publisher: await startCommand(stage, c.publisher, [String(proxy.told['push'])], { tells: false }),
        subscriber: await startCommand(stage, c.subscriber, [String(proxy.told['subscribe'])], {
          tells: false,
        }),
        middlePid: proxy.pid,
      }),
    )
  } else leftOut.push(`zmq_proxy: no C compiler with libzmq (on Debian, as root: ${installer})`)
  const forwarder = await startNode(stage, 'test/bench/zeromq/forwarder.ts')
  paths.push(
    await join({
      name: 'zeromq.js, a frame each',
      isOwn: false,
      publisher: await startEnd(stage, 'publisher', 'frames', String(forwarder.told['push'])),
      subscriber: await startEnd(stage, 'subscriber', 'frames', String(forwarder.told['subscribe'])),
      middlePid: forwarder.pid,
    }),
  )
  const batches = await bench.postern.startBroker(stage)
  const inPlain = await join({
    name: 'Postern: Sender → log → Relay, batches',
    isOwn: true,
    publisher: await startEnd(stage, 'publisher', 'sender', batches.ingest),
    subscriber: await startEnd(stage, 'subscriber', 'relay', batches.requests),
    middlePid: batches.pid,
  })
  paths.push(inPlain, await startWithKeys(bench, stage, inPlain))
  const frames = await bench.postern.startBroker(stage)
  const name = `Postern: ingest → log → plain, ${c ? 'clients in C' : 'zeromq.js'}, a frame each`
  paths.push(
    await join({
      name,
      isOwn: true,
      publisher: c
        ? await startCommand(stage, c.publisher, [frames.ingest], { tells: false })
        : await startEnd(stage, 'publisher', 'frames', frames.ingest),
      subscriber: c
        ? await startCommand(stage, c.subscriber, [frames.plain], { tells: false })
        : await startEnd(stage, 'subscriber', 'frames', frames.plain),
      middlePid: frames.pid,
    }),
  )
  return paths
}

/** The same, encrypted. */
async function startWithKeys(bench: Bench, stage: Stage, control: Path): Promise<Path> {
  const curveKeys = `${stage.folder}/keys`
  addClientKey(curveKeys, 'publisher', ['publisher'])
  addClientKey(curveKeys, 'subscriber', ['functions'])
  const broker = await bench.postern.startBroker(stage, { curveKeys })
  const end = (name: string, way: string, endpoint: string) =>
    startNode(stage, `test/bench/zeromq/${name}.ts`, [way, endpoint, `${curveKeys}/${name}.json`])
  return join({
    name: `${control.name}, with keys`,
    isOwn: true,
    control,
    publisher: await end('publisher', 'sender', broker.ingest),
    subscriber: await end('subscriber', 'relay', broker.requests),
    middlePid: broker.pid,
  })
}

function startEnd(stage: Stage, file: string, way: string, endpoint: string): Promise<Running> {
  return startNode(stage, `test/bench/zeromq/${file}.ts`, [way, endpoint])
}

async function buildInC({ compiler }: Bench) {
  if (!compiler.hasZeromq) return undefined
  const build = (name: string) => compiler.build(`zeromq/${name}.c`, ['-lzmq'])
  const [publisher, subscriber, proxy] = [
    await build('publisher'),
    await build('subscriber'),
    await build('proxy'),
  ]
  return publisher && subscriber && proxy ? { publisher, subscriber, proxy } : undefined
}

/** A subscription takes a moment to reach its publisher: marks are sent until one comes through. */
async function join(path: Path): Promise<Path> {
  let hasJoined = false
  const joined = path.subscriber.ask('join').then(() => {
    hasJoined = true
  })
  while (!hasJoined) {
    await path.publisher.ask('mark')
    await Promise.race([joined, new Promise(resolve => setTimeout(resolve, 20))])
  }
  return path
}

async function carry(
  { publisher, middlePid, subscriber }: Path,
  bytes: number,
  extent: string,
): Promise<Run> {
  const pids = { publisherUs: publisher.pid, middleUs: middlePid, subscriberUs: subscriber.pid }
  const before = Object.values(pids).map(pid => processorSeconds([pid]))
  const sent = numbersOf(await publisher.ask(`send ${extent} bytes=${bytes}`))
  const got = numbersOf(await subscriber.ask(`expect count=${sent('count')}`))
  const messages = got('received')
  const processor = Object.entries(pids).map(([name, pid], i): [string, number] => [
    name,
    (1e6 * (processorSeconds([pid]) - (before[i] ?? 0))) / Math.max(1, messages),
  ])
  const kinds = ['missing', 'repeated', 'disordered', 'strange'].filter(kind => got(kind) > 0)
  return {
    wrongs: kinds.map(kind => `${got(kind)} ${kind}`).join(', '),
    figures: {
      messages,
      wrong: kinds.reduce((sum, kind) => sum + got(kind), 0),
      messagesPerSecond: (1e6 * messages) / Math.max(1, got('lastUs') - sent('startedUs')),
      ...Object.fromEntries(processor),
      p50Ms: got('p50Us') / 1000,
      p99Ms: got('p99Us') / 1000,
      p999Ms: got('p999Us') / 1000,
    },
  }
}

function numbersOf(text: string): (name: string) => number {
  const told: unknown = JSON.parse(text)
  return name => {
    const value: unknown = Reflect.get(Object(told), name)
    if (typeof value !== 'number') throw new Error(`no ${name} in ${text}`)
    return value
  }
}

import { type Running, type Stage, startCommand, startNode } from './program.ts'
import type { FanOut } from './systems/fan-out.ts'

/** What came of one command to the load. */
export interface LoadResult {
  readonly connections: number
  /** From the first message sent until the last was delivered or answered. */
  readonly seconds: number
  /** Messages that were accepted. */
  readonly messages: number
  readonly deliveries: number
  /** From the first message sent until the last was answered. */
  readonly answeredSeconds: number
  readonly p50Us: number
  readonly p99Us: number
  readonly p999Us: number
  readonly maxUs: number
  /** The id that the first connection saw last. */
  readonly lastId: string
  /** Connections that the server has ended. */
  readonly ended: number
  /** Messages refused, missing, repeated, out of order, not whole; gaps that were told; connections that were ended. */
  readonly wrong: number
  /** The same in words, empty when all is right. */
  readonly wrongs: string
}

export interface PublishPlan {
  readonly bytes: number
  /** POSTs under way at once. Default 1. */
  readonly underWay?: number
  /** What ends it: so many messages, or so many seconds. */
  readonly count?: number
  readonly seconds?: number
  /** Messages a second. Default: as fast as answers come. */
  readonly rate?: number
  /** The next is sent when the one before has come everywhere. */
  readonly takesTurns?: boolean
  readonly topics?: number
  readonly classes?: number
  /** Seconds without a sign after which what is missing counts as lost. Default 8. */
  readonly patience?: number
}

export interface OpenPlan {
  readonly classes?: number
  /** The path, with places for numbers. Default: that of the system. */
  readonly path?: string
  /** Added to the path so many times. */
  readonly extra?: string
  readonly extras?: number
  readonly lastEventId?: string
  /** How many of the newest messages come first. */
  readonly missed?: number
  readonly isStalled?: boolean
}

/** How the load generator is started: in C where there is a compiler, else in Node on bare sockets. */
export type LoadStarter = (stage: Stage) => Promise<Load>

/** The load generator: a process that opens connections, publishes, and checks what arrives. */
export class Load {
  readonly #process: Running

  constructor(process: Running) {
    this.#process = process
  }

  /** @param program the compiled generator; without one Node does it. */
  static starter(program: string | undefined): LoadStarter {
    return async stage =>
      new Load(
        program === undefined
          ? await startNode(stage, 'test/bench/load/main.ts')
          : await startCommand(stage, program, [], { tells: false }),
      )
  }

  /** Opens connections in addition to those that are open. Resolves when all have begun. */
  async open(system: FanOut, count: number, plan: OpenPlan = {}): Promise<LoadResult> {
    const { classes = 1, path = system.subscribePath, extra, extras, lastEventId, missed, isStalled } = plan
    // A stalled one reads no further than its head.
    const begin = isStalled ? 'head' : system.begin
    const words: Words = { n: count, address: system.address, path, classes, kind: system.protocol, begin }
    if (extra !== undefined && extras) Object.assign(words, { extra, extras })
    if (lastEventId !== undefined) words['header'] = `Last-Event-ID:~${lastEventId}`
    if (missed !== undefined) words['missed'] = missed
    if (isStalled) words['stalled'] = 1
    const result = await this.#command('open', words)
    if (result.connections < count)
      throw new Error(`${system.name}: ${result.connections} of ${count} opened`)
    return result
  }

  /** Waits for what those that have just been opened had missed. */
  settle(): Promise<LoadResult> {
    return this.#command('settle', {})
  }

  /** Publishes, and resolves when everything has arrived, or nothing has for a while. */
  publish({ address, publishPath }: FanOut, plan: PublishPlan, path = publishPath): Promise<LoadResult> {
    const { bytes, underWay = 1, count, seconds, rate, takesTurns, topics = 1, classes = 1, patience } = plan
    const words: Words = { address, path, bytes, under: underWay, topics, classes }
    if (count !== undefined) words['count'] = count
    if (seconds !== undefined) words['seconds'] = seconds
    if (rate !== undefined) words['rate'] = rate
    if (takesTurns) words['turns'] = 1
    if (patience !== undefined) words['patience'] = patience
    return this.#command('publish', words)
  }

  async close(): Promise<void> {
    await this.#command('close', {})
  }

  async #command(verb: string, words: Words): Promise<LoadResult> {
    const line = [verb, ...Object.entries(words).map(([name, value]) => `${name}=${value}`)].join(' ')
    return readResult(await this.#process.ask(line), line)
  }
}

type Words = Record<string, string | number>

const kindsOfWrong = ['refused', 'missing', 'repeated', 'disordered', 'strange', 'gaps', 'ended'] as const

function readResult(text: string, command: string): LoadResult {
  const told: unknown = JSON.parse(text)
  const field = (name: string): unknown => Reflect.get(Object(told), name)
  if (field('error') !== undefined) throw new Error(`the load, at "${command}": ${field('error')}`)
  const number = (name: string): number => {
    const value = field(name)
    if (typeof value !== 'number') throw new Error(`the load tells no ${name}: ${text}`)
    return value
  }
  const wrongs = kindsOfWrong.filter(kind => number(kind) > 0)
  return {
    connections: number('connections'),
    seconds: number('seconds'),
    messages: number('messages'),
    deliveries: number('deliveries'),
    answeredSeconds: number('answeredSeconds'),
    p50Us: number('p50Us'),
    p99Us: number('p99Us'),
    p999Us: number('p999Us'),
    maxUs: number('maxUs'),
    lastId: String(field('lastId')),
    ended: number('ended'),
    wrong: wrongs.reduce((sum, kind) => sum + number(kind), 0),
    wrongs: wrongs.map(kind => `${number(kind)} ${kind}`).join(', '),
  }
}

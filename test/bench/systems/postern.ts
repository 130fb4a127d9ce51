import { writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { join } from 'node:path'
import { type Running, type Stage, startNode } from '../program.ts'
import type { FanOut } from './fan-out.ts'

/** A broker of its own. */
export interface PosternBroker {
  readonly pid: number
  /** In libzmq's form: `tcp://127.0.0.1:41234`. */
  readonly ingest: string
  readonly plain: string
  readonly requests: string
  /** Where a setting has opened the TCP door. */
  readonly tcp?: string
}

/** The topic that everything goes to where topics are not what is measured. */
const topic = 'bench'

export interface FunctionsOptions {
  /** Processes that share the port. Default 1. */
  readonly workers?: number
  /** Arguments of Node itself. */
  readonly flags?: readonly string[]
  /** Default: Server-Sent Events. */
  readonly protocol?: 'sse' | 'websocket'
  readonly name?: string
  /** Settings. */
  readonly env?: Readonly<Record<string, string>>
}

export interface PosternFunctions extends FanOut {
  kill(signal: NodeJS.Signals): void
  /** Calls for each line of the log. */
  onLog(listener: (line: string) => void): void
}

/** The files that are run: as they lie in the checkout, or as they ship. */
export interface PosternPrograms {
  readonly broker: string
  readonly functions: string
}

export const sources: PosternPrograms = { broker: 'broker/main.ts', functions: 'functions/main.ts' }
export const bundle: PosternPrograms = { broker: 'dist/broker/main.js', functions: 'dist/functions/main.js' }

/** Starts brokers and functions. */
export class Postern {
  readonly #programs: PosternPrograms

  constructor(programs: PosternPrograms) {
    this.#programs = programs
  }

  /** Starts a broker with these settings, else the defaults. */
  async startBroker(stage: Stage, settings: object = {}): Promise<PosternBroker> {
    const folder = await mkdtemp(join(stage.folder, 'broker-'))
    const config = join(folder, 'broker.config.jsonc')
    writeFileSync(config, JSON.stringify({ defaultTopic: topic, ...settings }))
    const running = await startNode(stage, this.#programs.broker, [], {
      env: {
        POSTERN_CONFIG: config,
        POSTERN_DATA: join(folder, 'data'),
        POSTERN_INGEST: 'zmq-bind://PULL@127.0.0.1:0',
        POSTERN_PLAIN: 'zmq-bind://PUB@127.0.0.1:0',
        POSTERN_REQUESTS: 'zmq-bind://ROUTER@127.0.0.1:0',
        POSTERN_STREAM: 'zmq-bind://PUB@127.0.0.1:0',
      },
    })
    const endpoint = (name: string) => String(running.told[name])
    return {
      pid: running.pid,
      ingest: endpoint('ingest'),
      plain: endpoint('plain'),
      requests: endpoint('requests'),
      ...(running.told['tcp'] !== undefined && { tcp: endpoint('tcp') }),
    }
  }

  /** Starts functions for a broker, as in production: on Node's own HTTP server. */
  async startFunctions(
    stage: Stage,
    broker: PosternBroker,
    { workers = 1, flags = [], protocol = 'sse', name = 'Postern', env = {} }: FunctionsOptions = {},
  ): Promise<PosternFunctions> {
    const args = ['--host', 'node', ...(workers > 1 ? ['--workers', String(workers)] : [])]
    const running: Running = await startNode(stage, this.#programs.functions, args, {
      flags,
      env: { POSTERN_BROKER: broker.requests, PORT: '0', HOST: '127.0.0.1', ...env },
    })
    const url = String(running.told['url'])
    return {
      name,
      address: new URL(url).host,
      publishPath: `/message/${topic}`,
      ...(protocol === 'sse' ? streams : await sockets(url)),
      pids: [running.pid],
      brokerPids: [broker.pid],
      kill: running.kill,
      onLog: running.onLine,
    }
  }

  /** Starts a broker with one functions process, or as many workers. */
  async start(stage: Stage, options: FunctionsOptions = {}): Promise<PosternFunctions> {
    return this.startFunctions(stage, await this.startBroker(stage), options)
  }
}

type Subscribing = Pick<FanOut, 'subscribePath' | 'protocol' | 'begin'>

/** The first block has only an id: the place from which on nothing is missed. */
const streams: Subscribing = { subscribePath: `/event/${topic}`, protocol: 'sse', begin: 'id' }

/** Bare payloads, which have no such block: nothing is missed after the head, once the functions know the log. */
async function sockets(url: string): Promise<Subscribing> {
  const { ok, status } = await fetch(new URL('/health/ready', url))
  if (!ok) throw new Error(`Postern is not ready: ${status}`)
  return { subscribePath: `/sub/${topic}`, protocol: 'websocket', begin: 'head' }
}

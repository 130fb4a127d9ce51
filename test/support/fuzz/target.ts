import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { CurveKeys } from '../../../broker/client/index.ts'
import { TestKeys } from '../curve-keys.ts'
import {
  type BrokerProcess,
  type FunctionsProcess,
  startBrokerProcess,
  startFunctionsProcess,
  temporaryFolder,
} from '../processes.ts'
import { residentBytes } from '../resident.ts'
import { userLines } from '../users.ts'

const megabyte = 1024 * 1024

/** Of each process, which ends when it needs more: a leak then shows as an end. */
const NODE_OPTIONS = '--max-old-space-size=128'

/** What the garbage of Node, the queues of libzmq and the history may add, whatever was sent. */
const slackBytes = 128 * megabyte

/** Files and sockets that may have come with the first use of something. */
const slackFiles = 10

/** A bound for a broken program, not a wait. */
const settleWithinMs = 20_000

/** What a stranger may name. Everything else in the log is from somebody who was let in. */
export const strangersPlace = 'fuzz'

/** The topic of what names none. */
export const defaultTopic = `${strangersPlace}/default`

export const names = {
  durable: `${strangersPlace}/sms`,
  plain: `${strangersPlace}/a`,
} as const

/** Amy may do everything, everybody else speaks and listens in one place. */
export const rules = {
  access: [
    { who: 'user:amy', publish: ['**'], subscribe: ['**'] },
    { who: '*', publish: [`${strangersPlace}/**`], subscribe: [`${strangersPlace}/**`] },
  ],
  users: Object.values(userLines),
  topics: { [names.durable]: { durable: true, maxKept: 1000, maxKeptBytes: megabyte } },
}

export interface TargetOptions {
  /** Of the broker, over {@link rules}. */
  readonly settings?: object
  /** Of the functions. */
  readonly env?: Readonly<Record<string, string>>
  /** Whether the sockets of ZeroMQ ask for keys. */
  readonly isKeyed?: boolean
}

/** Real processes with rules and every door open, and what must hold of them whatever comes. */
export class Target {
  readonly broker: BrokerProcess
  readonly functions: FunctionsProcess
  readonly ports: Readonly<Record<'http' | 'tcp' | 'requests' | 'ingest' | 'plain' | 'stream', number>>
  #before: readonly { readonly files: number; readonly bytes: number }[] = []

  /** Where the sockets of ZeroMQ ask for keys: those of functions. */
  readonly curve: CurveKeys | undefined

  private constructor(broker: BrokerProcess, functions: FunctionsProcess, curve: CurveKeys | undefined) {
    this.broker = broker
    this.functions = functions
    this.curve = curve
    const { ingest, plain, requests, stream, program } = broker
    this.ports = {
      http: portOf(functions.url),
      tcp: portOf(String(program.told['tcp'])),
      ...{ ingest: portOf(ingest), plain: portOf(plain), requests: portOf(requests), stream: portOf(stream) },
    }
  }

  static async start({ settings = {}, env = {}, isKeyed = false }: TargetOptions = {}): Promise<Target> {
    const config = join(await temporaryFolder(), 'broker.config.json')
    await writeFile(config, JSON.stringify({ ...rules, ...settings }))
    const keys = isKeyed ? await TestKeys.make() : undefined
    const curve = keys?.add('web', 'functions')
    const broker = await startBrokerProcess({
      POSTERN_CONFIG: config,
      POSTERN_DEFAULT_TOPIC: defaultTopic,
      POSTERN_TCP: 'tcp://127.0.0.1:0',
      NODE_OPTIONS,
      ...keys?.env,
    })
    const functions = await startFunctionsProcess(broker.requests, {
      NODE_OPTIONS,
      // Those who behave on a bare WebSocket answer no ping.
      POSTERN_PING_MS: '600000',
      ...(keys && { POSTERN_CURVE: keys.fileOf('web') }),
      ...env,
    })
    return new Target(broker, functions, curve)
  }

  /** What a client sets at its socket of ZeroMQ. */
  get curveOptions(): { curveServerKey?: string; curvePublicKey?: string; curveSecretKey?: string } {
    if (!this.curve) return {}
    const { serverKey, publicKey, secretKey } = this.curve
    return { curveServerKey: serverKey, curvePublicKey: publicKey, curveSecretKey: secretKey }
  }

  /** What comes from now on must leave nothing behind. */
  async settled(): Promise<void> {
    this.#before = await Promise.all(
      this.#programs.map(async pid => ({ files: await filesOf(pid), bytes: await residentBytes(pid) })),
    )
  }

  /** Both run, and have told of nothing that must not happen. */
  assertWell(): void {
    for (const { program } of [this.broker, this.functions]) {
      const { exitCode, signalCode } = program.child
      const last = program.output().slice(-4000)
      if (exitCode !== null || signalCode !== null)
        throw new Error(`it has ended with ${exitCode ?? signalCode}\n${last}`)
      const bad = program
        .output()
        .split('\n')
        .filter(line => /"level":"error"|"receive-failed"/.test(line))
      expect(bad).toEqual([])
    }
  }

  /** What was opened since {@link settled} is closed, and its memory is free again. */
  async assertNothingLeft(): Promise<void> {
    for (const [at, pid] of this.#programs.entries()) {
      const { files = 0, bytes = 0 } = this.#before[at] ?? {}
      await expect
        .poll(() => filesOf(pid), { timeout: settleWithinMs })
        .toBeLessThanOrEqual(files + slackFiles)
      expect((await residentBytes(pid)) - bytes).toBeLessThan(slackBytes)
    }
  }

  get #programs(): number[] {
    return [this.broker, this.functions].map(({ program }) => program.child.pid ?? 0)
  }
}

function portOf(address: string): number {
  return Number(new URL(address.replace('tcp:', 'http:')).port)
}

async function filesOf(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length
}

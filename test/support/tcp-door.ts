import { onTestFinished } from 'vitest'
import { RuledAuthority } from '../../broker/auth/ruled-authority.ts'
import type { Config } from '../../broker/config.ts'
import { loadConfig } from '../../broker/config.ts'
import { TcpDoor } from '../../broker/tcp-door.ts'
import { MemoryReceivers } from './memory-receivers.ts'
import { TestBroker } from './test-broker.ts'
import { TestLogger, userLines } from './users.ts'

export interface OpenDoor {
  readonly port: number
  readonly door: TcpDoor
  readonly authority: RuledAuthority
  readonly logger: TestLogger
  /** The log behind it, whose turns end by themselves. */
  readonly test: TestBroker
  /** What is kept of the durable topic `sms`. */
  readonly sms: MemoryReceivers
  /** Publishes as another door does. */
  publish(topic: string, payload: string | Uint8Array, binary?: boolean): void
}

/** Opens a TCP door on a free port, with a log in memory behind it. Its users are amy, bob and eve. */
export async function openDoor(settings: Partial<Config> = {}, limit = 0): Promise<OpenDoor> {
  const config: Config = {
    ...loadConfig({}),
    users: Object.values(userLines),
    legacyAckMs: 10,
    ...settings,
  }
  const logger = new TestLogger()
  const test = new TestBroker({ maxPayloadBytes: config.maxPayloadBytes })
  const sms = new MemoryReceivers('sms')
  const authority = new RuledAuthority(config, {
    logger,
    monotonicMs: () => performance.now(),
    nowMs: () => test.nowMs,
    sessionFile: '',
  })
  await authority.start()
  const door = await TcpDoor.make(config, {
    logger,
    authority,
    durableOf: topic => (topic === 'sms' ? sms : undefined),
    limitOf: () => limit,
  })
  const publish: (typeof test.broker)['publish'] = (items, reply) => {
    test.broker.publish(items, reply)
    setImmediate(() => {
      test.turn()
      for (const batch of test.streamed.splice(0)) {
        for (const message of batch.messages) if (message.topic === 'sms') sms.keep(message)
        door.stream(batch.bytes)
      }
    })
  }
  const { port } = await door.start(
    { host: '127.0.0.1', port: 0 },
    { publish, refusals: test.broker.refusals },
  )
  onTestFinished(async () => {
    await door.stop()
    await authority.close()
  })
  return {
    port,
    door,
    authority,
    logger,
    test,
    sms,
    publish: (topic, payload, binary = false) =>
      publish([{ publication: { topic, type: '', binary, payload: Buffer.from(payload) } }], () => {}),
  }
}

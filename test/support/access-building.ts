import type { AccessRule } from '../../broker/auth/rules.ts'
import { Relay } from '../../broker/client/index.ts'
import { type Config, loadConfig } from '../../broker/config.ts'
import { type BrokerService, startBroker } from '../../broker/service.ts'
import { createContext } from '../../functions/context.ts'
import { serve } from '../../functions/server.ts'
import { readSettings } from '../../functions/settings.ts'
import type { Building } from './access-doors.ts'
import { temporaryFolder } from './processes.ts'
import { TestLogger } from './users.ts'

export interface AccessSettings extends Pick<Config, 'tokens' | 'users' | 'topics'> {
  readonly access: readonly AccessRule[]
}

/** A real broker with all its doors, whose rules can be changed. */
export class AccessBuilding {
  readonly logger = new TestLogger()
  readonly #config: Config
  /** Those that close: nobody has to wait for them. */
  readonly #closing: Promise<void>[] = []
  #broker: BrokerService | undefined

  private constructor(config: Config) {
    this.#config = config
  }

  static async open(settings: AccessSettings): Promise<AccessBuilding> {
    const config = loadConfig({
      POSTERN_DATA: await temporaryFolder(),
      POSTERN_INGEST: 'zmq-bind://PULL@127.0.0.1:0',
      POSTERN_PLAIN: 'zmq-bind://PUB@127.0.0.1:0',
      POSTERN_REQUESTS: 'zmq-bind://ROUTER@127.0.0.1:0',
      POSTERN_STREAM: 'zmq-bind://PUB@127.0.0.1:0',
      POSTERN_TCP: 'tcp://127.0.0.1:0',
    })
    const building = new AccessBuilding({ ...config, ...settings, access: copied(settings.access) })
    const { logger } = building
    building.#broker = await startBroker(building.#config, { logger })
    return building
  }

  get broker(): BrokerService {
    if (!this.#broker) throw new Error('the broker is not there')
    return this.#broker
  }

  /** Goes through the doors while these rules hold. */
  async under<Result>(
    access: readonly AccessRule[],
    visit: (building: Building) => Promise<Result>,
  ): Promise<Result> {
    const { broker, logger } = this
    broker.reload({ ...this.#config, access: copied(access) })
    const [requests] = broker.endpoints.requests
    const [tcp] = broker.endpoints.tcp ?? []
    if (!requests || !tcp) throw new Error('the broker does not listen')
    const backbone = new Relay({ broker: `tcp://127.0.0.1:${requests.port}` })
    const context = createContext({ backbone, log: logger, settings: readSettings({}) })
    const server = await serve({ host: 'node', hostname: '127.0.0.1', port: 0, context })
    try {
      await backbone.ready()
      const hello = { topic: 'chat', type: '', binary: false, payload: Buffer.from('a') }
      const { id } = await backbone.publish(hello)
      return await visit({ url: server.url, tcpPort: tcp.port, since: id })
    } finally {
      this.#closing.push(server.close())
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#closing)
    await this.broker.stop()
  }
}

function copied(access: readonly AccessRule[]): Config['access'] {
  return access.map(({ who, publish, subscribe, history }) => ({
    who: [...who],
    publish: [...publish],
    subscribe: [...subscribe],
    history,
  }))
}

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Backbone, type CurveKeys, Relay } from '../../broker/client/index.ts'
import { TestKeys } from './curve-keys.ts'
import { MemoryBackbone, type MemoryBackboneOptions } from './memory-backbone.ts'
import { startBrokerProcess, temporaryFolder } from './processes.ts'

/**
 * One log as two processes see it, of each kind of backbone.
 *
 * @param settings those of the broker that the backbone in memory has too.
 */
export function backbonePairs(settings: Pick<MemoryBackboneOptions, 'maxUnpulledBytes' | 'topics'>) {
  return [
    {
      name: 'the built-in broker',
      async open(): Promise<[Backbone, Backbone]> {
        const config = join(await temporaryFolder(), 'broker.config.json')
        await writeFile(config, JSON.stringify(settings))
        const broker = await startBrokerProcess({ POSTERN_CONFIG: config })
        return [new Relay({ broker: broker.requests }), new Relay({ broker: broker.requests })]
      },
    },
    {
      name: 'the built-in broker with keys',
      async open(): Promise<[Backbone, Backbone]> {
        const keys = await TestKeys.make()
        const config = join(await temporaryFolder(), 'broker.config.json')
        await writeFile(config, JSON.stringify(settings))
        const [here, there] = [keys.add('here', 'functions'), keys.add('there', 'functions')]
        const broker = await startBrokerProcess({ POSTERN_CONFIG: config, ...keys.env })
        const relay = (curve: CurveKeys) => new Relay({ broker: broker.requests, curve })
        return [relay(here), relay(there)]
      },
    },
    {
      name: 'memory',
      async open(): Promise<[Backbone, Backbone]> {
        const backbone = new MemoryBackbone(settings)
        return [backbone, backbone]
      },
    },
  ]
}

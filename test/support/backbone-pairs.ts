import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Backbone, Relay } from '../../broker/client/index.ts'
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
      name: 'memory',
      async open(): Promise<[Backbone, Backbone]> {
        const backbone = new MemoryBackbone(settings)
        return [backbone, backbone]
      },
    },
  ]
}

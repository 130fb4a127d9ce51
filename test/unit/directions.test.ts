import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { brokenDirection, importsOf } from '../support/imports.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folders = ['broker', 'functions', 'site', 'infra', 'test']
const files = folders.flatMap(folder =>
  readdirSync(`${root}${folder}`, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile())
    .map(entry => `${entry.parentPath.slice(root.length)}/${entry.name}`),
)
const sources = files.filter(file => file.endsWith('.ts'))
const shipped = files.filter(file => !file.startsWith('test/'))
const read = (file: string) => readFileSync(`${root}${file}`, 'utf8')

describe('the directions of the imports', () => {
  it('hold in every file', () => {
    const broken = sources.flatMap(file =>
      importsOf(read(file)).flatMap(found => brokenDirection(file, found) ?? []),
    )
    expect(broken).toEqual([])
  })

  it.each([
    ['broker/protocol/id.ts', `import { randomBytes } from 'node:crypto'`],
    ['broker/protocol/id.ts', `import { Broker } from '../broker.ts'`],
    ['broker/protocol/id.ts', `import type { Broker } from '../broker.ts'`],
    ['broker/broker.ts', `import { readFileSync } from 'node:fs'`],
    ['broker/broker.ts', `import { Push } from 'zeromq'`],
    ['broker/broker.ts', `import { FileJournal } from './journal/file.ts'`],
    ['broker/broker.ts', `import { anything } from './journal/journal.ts'`],
    ['broker/retained.ts', `import type { Config } from './config.ts'`],
    ['broker/journal/file.ts', `import { Broker } from '../broker.ts'`],
    ['broker/history/historian.ts', `import { Retained } from '../retained.ts'`],
    ['broker/history/open.ts', `import(name)`],
    ['broker/history/open.ts', `import(\`\${name}/driver\`)`],
    ['broker/listeners/zeromq.ts', `import { Broker } from '../broker.ts'`],
    ['broker/listeners/zeromq.ts', `import type { FileJournal } from '../journal/file.ts'`],
    ['broker/client/relay.ts', `import { parseDsn } from '../listeners/dsn.ts'`],
    ['broker/client/relay.ts', `import type { Logger } from '../logger.ts'`],
    ['broker/config.ts', `import { startBroker } from './service.ts'`],
    ['broker/service.ts', `import './main.ts'`],
    ['broker/service.ts', `export * from './client/index.ts'`],
    ['broker/logger.ts', `import { Config } from './config.ts'`],
    ['functions/message.ts', `import { Broker } from '../broker/broker.ts'`],
    ['functions/message.ts', `import { Relay } from '../broker/client/index.ts'`],
    ['functions/message.ts', `import { Push } from 'zeromq'`],
    ['functions/message.ts', `import { Users } from '../broker/auth/users.ts'`],
    ['broker/auth/rights.ts', `import { createHash } from 'node:crypto'`],
    ['broker/auth/index.ts', `export * from './tokens.ts'`],
    ['broker/limits/crowd.ts', `import { Broker } from '../broker.ts'`],
    ['broker/auth/tokens.ts', `import { Broker } from '../broker.ts'`],
    ['broker/client/relay.ts', `import { mayPublish } from '../auth/rights.ts'`],
    ['functions/page.ts', `import { roomNamed } from '../site/room.ts'`],
    ['functions/page.ts', `const site = await import('../site/room.ts')`],
    ['functions/event.ts', `import {\n  a,\n  b,\n} from '../test/support/messages.ts'`],
    ['site/chat.ts', `import { parseTopic } from '#protocol'`],
    ['site/chat.ts', `import { H3 } from 'h3'`],
    ['site/chat.ts', `import { join } from 'node:path'`],
    ['infra/start.ts', `import { startBroker } from '../broker/service.ts'`],
    ['other/file.ts', `import './another.ts'`],
  ])('are broken when %s has: %s', (file, source) => {
    const broken = importsOf(source).map(found => brokenDirection(file, found))
    expect(broken).toHaveLength(1)
    expect(broken[0]).toContain(file)
  })

  it.each([
    ['broker/broker.ts', `import type { Journal } from './journal/journal.ts'`],
    ['broker/listeners/requests.ts', `import type { Broker } from '../broker.ts'`],
    ['broker/history/open.ts', `import(\`unstorage/drivers/\${name}\`)`],
    ['functions/message.ts', `import { mayPublish } from '#auth'`],
    ['broker/listeners/tcp-connection.ts', `import { mayPublish } from '../auth/rights.ts'`],
    ['functions/server.ts', `import { toNodeHandler } from 'h3/node'`],
    ['broker/service.ts', `import packageJson from '../package.json' with { type: 'json' }`],
  ])('hold when %s has: %s', (file, source) => {
    expect(importsOf(source).map(found => brokenDirection(file, found))).toEqual([undefined])
  })
})

describe('a file', () => {
  it('outside test/ has at most 400 lines', () => {
    const long = shipped.filter(file => /\.(ts|css|html)$/.test(file) && read(file).split('\n').length > 401)
    expect(long).toEqual([])
  })

  it('outside test/ is named after what it is', () => {
    const vague = /(^|\/)(utils?|helpers?|misc|common|lib)(\/|$)/
    expect(shipped.filter(file => vague.test(file.replace(/\.\w+$/, '')))).toEqual([])
  })

  it('is named in lower case, its words joined with "-"', () => {
    const odd = sources.filter(file => !/^[a-z0-9]+([.-][a-z0-9]+)*$/.test(basename(file)))
    expect(odd).toEqual([])
  })
})
